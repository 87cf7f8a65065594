//! Would Feishu take this card, and would everything on it work?
//!
//! Judged as `batch_send` will: the first fault ends the reading, with its place in the JSON. 1.0 shrugs at
//! properties it does not know, 2.0 refuses the whole card for one. Buttons that call back are refused in either:
//! cards sent in batches do not support it, and the press would reach a bot that knows nothing of the card.
//!
//! Sources: contract 4.1 to 4.3; the official pages "卡片 JSON 1.0 结构", "卡片 JSON 2.0 结构", "卡片 JSON 2.0
//! 版本更新说明", "卡片 JSON 1.0/2.0 版本组件概述" with the page of each component, "配置卡片交互", "配置卡片多语言"
//! and "飞书卡片常见问题", as of October 2025.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{CardFacts, CardFault, CardFaultKind, CardVersion, Counted, JsonType, shortened};

mod parse;
mod parts;
mod pressed;
mod schema;
mod table;
mod walk;

pub use parse::{Parsed, parse};

/// Elements, components and texts of a 2.0 card. Source: contract 4.1.
const ELEMENTS_MAX: usize = 200;

/// Tags behind a title. Source: contract 4.2.
const HEADER_TAGS_MAX: usize = 3;

/// Characters of a property's name that a path shows.
const KEY_CHARS_MAX: usize = 40;

type Fields = Map<String, Value>;

/// A card being read, and what was learnt of it so far.
struct Walk {
    version: CardVersion,
    facts: CardFacts,
    elements: usize,
    tables: usize,
    ids: BTreeSet<String>,
    /// Whether there is anything to see so far. A ruler alone is nothing.
    shows: bool,
}

/// Judges a card as it will be sent.
///
/// # Errors
/// The first thing that Feishu would refuse, or that would not work in a broadcast.
pub fn check(card: &Value) -> Result<CardFacts, CardFault> {
    let Some(root) = card.as_object() else {
        return Err(fault("", CardFaultKind::NotACard, &found(card)));
    };
    if root.is_empty() {
        return Err(fault("", CardFaultKind::Empty, ""));
    }
    let mut walk = Walk::new(version(root)?);
    match walk.version {
        CardVersion::One => walk.first(root)?,
        CardVersion::Two => walk.second(root)?,
    }
    if walk.shows { Ok(walk.facts) } else { Err(fault("", CardFaultKind::Empty, "")) }
}

/// A 1.0 card without the properties that are `null`: programs write those for what they do not set, and 1.0 shrugs at
/// them as it does at what it does not know.
fn without_nulls(fields: &Fields) -> Fields {
    let kept = fields.iter().filter(|(_, value)| !value.is_null());
    kept.map(|(key, value)| (key.clone(), within(value))).collect()
}

fn within(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(without_nulls(fields)),
        // A place in a list stays a place, so that paths keep their numbers.
        Value::Array(items) => items.iter().map(within).collect(),
        other => other.clone(),
    }
}

fn version(root: &Fields) -> Result<CardVersion, CardFault> {
    let has_body = root.contains_key("body");
    let has_elements = root.contains_key("elements");
    if has_body && (has_elements || root.contains_key("i18n_elements")) {
        return Err(fault("body", CardFaultKind::BothVersions, "elements, body"));
    }
    match root.get("schema") {
        None if has_body => Err(fault("schema", CardFaultKind::SchemaMissing, "")),
        None => Ok(CardVersion::One),
        Some(Value::String(schema)) if schema == "1.0" && has_body => {
            Err(fault("schema", CardFaultKind::SchemaMissing, schema))
        }
        Some(Value::String(schema)) if schema == "1.0" => Ok(CardVersion::One),
        Some(Value::String(schema)) if schema == "2.0" && has_elements => {
            Err(fault("elements", CardFaultKind::NeedsBody, "elements"))
        }
        Some(Value::String(schema)) if schema == "2.0" => Ok(CardVersion::Two),
        Some(other) => Err(fault("schema", CardFaultKind::UnknownSchema, &found(other))),
    }
}

impl Walk {
    fn new(version: CardVersion) -> Self {
        let facts = CardFacts { version, title: None, image_keys: vec![], texts: vec![] };
        Self { version, facts, elements: 0, tables: 0, ids: BTreeSet::new(), shows: false }
    }

    fn first(&mut self, whole: &Fields) -> Result<(), CardFault> {
        // A language is not a property: where one is named, its elements must be there.
        for (locale, elements) in whole.get("i18n_elements").and_then(Value::as_object).into_iter().flatten() {
            as_list(elements, &child("i18n_elements", locale))?;
        }
        let root = &without_nulls(whole);
        if let Some(config) = root.get("config") {
            object(config, "config")?;
        }
        self.header(root)?;
        self.card_link(root)?;
        let locales = root.get("i18n_elements").map(|locales| object(locales, "i18n_elements")).transpose()?;
        for (locale, elements) in locales.into_iter().flatten() {
            // Each language is a card of its own.
            self.tables = 0;
            let path = child("i18n_elements", locale);
            self.root_elements(as_list(elements, &path)?, &path)?;
        }
        match root.get("elements") {
            Some(elements) => {
                self.tables = 0;
                self.root_elements(as_list(elements, "elements")?, "elements")
            }
            None if locales.is_some() => Ok(()),
            None => Err(fault("elements", CardFaultKind::Missing, "")),
        }
    }

    fn second(&mut self, root: &Fields) -> Result<(), CardFault> {
        known(root, "", schema::ROOT)?;
        if let Some(config) = root.get("config") {
            self.config(object(config, "config")?)?;
        }
        self.header(root)?;
        self.card_link(root)?;
        if let Some(body) = root.get("body") {
            let body = object(body, "body")?;
            known(body, "body", schema::BODY)?;
            self.root_elements(list(body, "body", "elements")?, "body.elements")?;
        }
        if self.elements > ELEMENTS_MAX {
            let why = CardFaultKind::TooMany { what: Counted::Elements, most: ELEMENTS_MAX };
            return Err(fault("body.elements", why, &self.elements.to_string()));
        }
        Ok(())
    }

    fn config(&mut self, config: &Fields) -> Result<(), CardFault> {
        known(config, "config", schema::CONFIG)?;
        if let Some(shared) = config.get("update_multi").filter(|shared| **shared != Value::Bool(true)) {
            return Err(fault("config.update_multi", CardFaultKind::NotShared, &found(shared)));
        }
        one_of(config, "config", "width_mode", schema::WIDTH_MODES)?;
        if let Some(summary) = config.get("summary") {
            let summary = object(summary, "config.summary")?;
            known(summary, "config.summary", &["content", "i18n_content"])?;
            self.words(summary, "config.summary", super::TextForm::Plain)?;
            // It stands in the chat list only.
            self.shows = false;
        }
        Ok(())
    }

    fn header(&mut self, root: &Fields) -> Result<(), CardFault> {
        let Some(header) = root.get("header") else { return Ok(()) };
        let header = object(header, "header")?;
        if self.version == CardVersion::Two {
            known(header, "header", schema::HEADER)?;
            one_of(header, "header", "template", schema::TEMPLATES)?;
            if !header.contains_key("title") {
                return Err(fault("header.title", CardFaultKind::Missing, ""));
            }
        }
        for part in ["title", "subtitle"] {
            if let Some(text) = header.get(part) {
                let path = child("header", part);
                let first = self.facts.texts.len();
                self.text(text, &path, schema::TEXT_TAGS)?;
                if part == "title" {
                    self.facts.title = title_among(self.facts.texts.get(first..).unwrap_or_default());
                }
            }
        }
        if let Some(tags) = header.get("text_tag_list") {
            self.header_tags(tags, "header.text_tag_list")?;
        }
        if let Some(locales) = header.get("i18n_text_tag_list") {
            for (locale, tags) in object(locales, "header.i18n_text_tag_list")? {
                self.header_tags(tags, &child("header.i18n_text_tag_list", locale))?;
            }
        }
        self.icon(header, "header")
    }

    fn header_tags(&mut self, tags: &Value, path: &str) -> Result<(), CardFault> {
        let tags = as_list(tags, path)?;
        if tags.len() > HEADER_TAGS_MAX {
            let why = CardFaultKind::TooMany { what: Counted::HeaderTags, most: HEADER_TAGS_MAX };
            return Err(fault(path, why, &tags.len().to_string()));
        }
        for (index, tag) in tags.iter().enumerate() {
            let path = item(path, index);
            let fields = object(tag, &path)?;
            if self.version == CardVersion::Two {
                known(fields, &path, schema::TEXT_TAG)?;
                let tag = tag_of(fields, &path)?;
                if tag != "text_tag" {
                    return Err(fault(child(&path, "tag"), CardFaultKind::UnknownTag, tag));
                }
                self.count(fields, &path)?;
            }
            if let Some(text) = fields.get("text") {
                self.text(text, &child(&path, "text"), schema::TEXT_TAGS)?;
            }
        }
        Ok(())
    }

    fn card_link(&mut self, root: &Fields) -> Result<(), CardFault> {
        let Some(link) = root.get("card_link") else { return Ok(()) };
        if self.version == CardVersion::Two {
            known(object(link, "card_link")?, "card_link", schema::LINK)?;
        }
        self.links(link, "card_link").map(drop)
    }
}

/// The title in Chinese, else the first that is not blank.
fn title_among(texts: &[super::CardText]) -> Option<String> {
    let shown = |text: &&super::CardText| !text.text.trim().is_empty();
    let chinese = texts.iter().filter(shown).find(|text| text.path.ends_with(".zh_cn"));
    chinese.or_else(|| texts.iter().find(shown)).map(|text| text.text.clone())
}

fn fault(path: impl Into<String>, why: CardFaultKind, found: &str) -> CardFault {
    CardFault { path: path.into(), why, found: shortened(found) }
}

/// A value as it is written, without what is inside of it.
fn found(value: &Value) -> String {
    match value {
        Value::Object(_) => "{…}".to_owned(),
        Value::Array(_) => "[…]".to_owned(),
        Value::String(text) => format!("\"{}\"", shortened(text)),
        other => other.to_string(),
    }
}

fn child(path: &str, key: &str) -> String {
    let key: String = if key.chars().count() > KEY_CHARS_MAX {
        key.chars().take(KEY_CHARS_MAX - 1).chain(['…']).collect()
    } else {
        key.to_owned()
    };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Fields, CardFault> {
    let wrong = || fault(path, CardFaultKind::WrongType { wanted: JsonType::Object }, &found(value));
    value.as_object().ok_or_else(wrong)
}

fn as_list<'a>(value: &'a Value, path: &str) -> Result<&'a Vec<Value>, CardFault> {
    let wrong = || fault(path, CardFaultKind::WrongType { wanted: JsonType::List }, &found(value));
    value.as_array().ok_or_else(wrong)
}

fn as_text<'a>(value: &'a Value, path: &str) -> Result<&'a str, CardFault> {
    let wrong = || fault(path, CardFaultKind::WrongType { wanted: JsonType::Text }, &found(value));
    value.as_str().ok_or_else(wrong)
}

/// A list that must be there.
fn list<'a>(fields: &'a Fields, path: &str, key: &str) -> Result<&'a Vec<Value>, CardFault> {
    let path = child(path, key);
    let value = fields.get(key).ok_or_else(|| fault(path.as_str(), CardFaultKind::Missing, ""))?;
    as_list(value, &path)
}

/// A text that must be there, and not be blank.
fn required<'a>(fields: &'a Fields, path: &str, key: &str) -> Result<&'a str, CardFault> {
    let path = child(path, key);
    let value = fields.get(key).ok_or_else(|| fault(path.as_str(), CardFaultKind::Missing, ""))?;
    let text = as_text(value, &path)?;
    if text.trim().is_empty() { Err(fault(path, CardFaultKind::Missing, "")) } else { Ok(text) }
}

fn tag_of<'a>(fields: &'a Fields, path: &str) -> Result<&'a str, CardFault> {
    required(fields, path, "tag")
}

fn known(fields: &Fields, path: &str, properties: &[&str]) -> Result<(), CardFault> {
    match fields.keys().find(|key| !properties.contains(&key.as_str())) {
        Some(stranger) => Err(fault(child(path, stranger), CardFaultKind::UnknownProperty, stranger)),
        None => Ok(()),
    }
}

fn one_of(fields: &Fields, path: &str, key: &str, allowed: &'static [&'static str]) -> Result<(), CardFault> {
    match fields.get(key) {
        Some(value) if !value.as_str().is_some_and(|value| allowed.contains(&value)) => {
            Err(fault(child(path, key), CardFaultKind::BadValue { allowed }, &found(value)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
