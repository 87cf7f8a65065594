//! The small parts of components: texts in several languages, icons, images, links, ids.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::super::{CardFault, CardFaultKind, CardText, CardVersion, JsonType, TextForm};
use super::{Fields, Walk, as_text, child, fault, found, item, known, object, required, schema, tag_of};

/// An image within Markdown: `![what it shows](img_…)`. An address there is no key of anybody.
static MARKDOWN_IMAGE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"!\[[^\]\n]*\]\([ \t]*(img_[0-9A-Za-z_.-]+)[^)\n]*\)").expect("a literal pattern"));

/// Addresses that a link may have. `lark:` carries `lark://msgcard/unsupported_action`, "opens nothing here". Source:
/// "飞书卡片常见问题": http and https only.
const SCHEMES: [&str; 3] = ["http://", "https://", "lark://"];

/// Characters of an `element_id`. Source: contract 4.2.
const ELEMENT_ID_CHARS_MAX: usize = 20;

impl Walk {
    /// Takes an element into account: how many there are, and that no id is there twice.
    pub(super) fn count(&mut self, fields: &Fields, path: &str) -> Result<(), CardFault> {
        self.elements += 1;
        let Some(id) = fields.get("element_id").filter(|_| self.version == CardVersion::Two) else { return Ok(()) };
        let path = child(path, "element_id");
        let id = as_text(id, &path)?;
        let begins = id.starts_with(|c: char| c.is_ascii_alphabetic());
        if !begins || id.len() > ELEMENT_ID_CHARS_MAX || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(fault(path, CardFaultKind::BadElementId, id));
        }
        if !self.ids.insert(id.to_owned()) {
            return Err(fault(path, CardFaultKind::RepeatedElementId, id));
        }
        Ok(())
    }

    /// A text object: `{"tag": "plain_text", "content": "…"}`.
    pub(super) fn text(&mut self, value: &Value, path: &str, tags: &'static [&'static str]) -> Result<(), CardFault> {
        let fields = object(value, path)?;
        let tag = tag_of(fields, path)?;
        if !tags.contains(&tag) {
            return Err(fault(child(path, "tag"), CardFaultKind::BadValue { allowed: tags }, tag));
        }
        if self.version == CardVersion::Two {
            known(fields, path, schema::TEXT)?;
        }
        self.count(fields, path)?;
        self.icon(fields, path)?;
        let form = if tag == "plain_text" { TextForm::Plain } else { TextForm::Markdown };
        self.words(fields, path, form)
    }

    /// `content` and its translations. One of them must be there.
    pub(super) fn words(&mut self, fields: &Fields, path: &str, form: TextForm) -> Result<(), CardFault> {
        let mut there = false;
        if let Some(content) = fields.get("content") {
            let path = child(path, "content");
            self.keep(as_text(content, &path)?, path, form);
            there = true;
        }
        // `i18n` is what 1.0 calls it in a title; 2.0 has refused it as a property it does not know.
        for key in ["i18n_content", "i18n"] {
            let Some(locales) = fields.get(key) else { continue };
            let path = child(path, key);
            for (locale, text) in object(locales, &path)? {
                if self.version == CardVersion::Two && !is_locale(locale) {
                    let why = CardFaultKind::BadValue { allowed: schema::LOCALES };
                    return Err(fault(child(&path, locale), why, locale));
                }
                let path = child(&path, locale);
                self.keep(as_text(text, &path)?, path, form);
                there = true;
            }
        }
        if there { Ok(()) } else { Err(fault(child(path, "content"), CardFaultKind::Missing, "")) }
    }

    pub(super) fn keep(&mut self, text: &str, path: String, form: TextForm) {
        if form == TextForm::Markdown {
            for image in MARKDOWN_IMAGE.captures_iter(text).filter_map(|found| found.get(1)) {
                self.facts.image_keys.push((path.clone(), image.as_str().to_owned()));
            }
        }
        if !text.trim().is_empty() {
            self.shows |= form != TextForm::Address;
            self.facts.texts.push(CardText { path, text: text.to_owned(), form });
        }
    }

    /// Every text inside a value whose shape nobody checks. Iterative: its depth is the sender's choice.
    pub(super) fn strings(&mut self, value: &Value, path: &str, form: TextForm) {
        let mut open = vec![(value, path.to_owned())];
        while let Some((value, path)) = open.pop() {
            match value {
                Value::String(text) => self.keep(text, path, form),
                // Pushed backwards, so that they are read forwards.
                Value::Array(items) => {
                    open.extend(items.iter().enumerate().rev().map(|(n, value)| (value, item(&path, n))));
                }
                Value::Object(fields) => {
                    open.extend(fields.iter().rev().map(|(key, value)| (value, child(&path, key))));
                }
                _ => {}
            }
        }
    }

    /// `icon` beside a text. Only a custom one has an image; the standard ones are Feishu's own.
    pub(super) fn icon(&mut self, fields: &Fields, path: &str) -> Result<(), CardFault> {
        let Some(icon) = fields.get("icon") else { return Ok(()) };
        let path = child(path, "icon");
        let icon = object(icon, &path)?;
        match icon.get("tag").map(|tag| as_text(tag, &child(&path, "tag"))).transpose()? {
            Some("standard_icon") => Ok(()),
            // The title of 1.0 has no tag there.
            Some("custom_icon") | None => self.image_keys(icon, &path),
            Some(other) => Err(fault(child(&path, "tag"), CardFaultKind::UnknownTag, other)),
        }
    }

    pub(super) fn image(&mut self, fields: &Fields, path: &str) -> Result<(), CardFault> {
        if !fields.contains_key("i18n_img_key") {
            required(fields, path, "img_key")?;
        }
        self.image_keys(fields, path)
    }

    fn image_keys(&mut self, fields: &Fields, path: &str) -> Result<(), CardFault> {
        let translated =
            fields.get("i18n_img_key").map(|keys| object(keys, &child(path, "i18n_img_key"))).transpose()?;
        let own = fields.get("img_key").map(|key| (child(path, "img_key"), key));
        let translated = translated.into_iter().flatten();
        let keys = own.into_iter().chain(translated.map(|(l, key)| (child(&child(path, "i18n_img_key"), l), key)));
        for (path, key) in keys {
            let key = as_text(key, &path)?.trim();
            if !key.is_empty() {
                self.shows = true;
                self.facts.image_keys.push((path, key.to_owned()));
            }
        }
        Ok(())
    }

    /// The addresses of a link for each kind of device. Returns whether any of them leads somewhere.
    pub(super) fn links(&mut self, link: &Value, path: &str) -> Result<bool, CardFault> {
        let mut leads = false;
        for (key, address) in object(link, path)? {
            if key.ends_with("url") {
                leads |= self.address(address, &child(path, key))?;
            }
        }
        Ok(leads)
    }

    /// One address. Returns whether it leads somewhere: those of single devices are often left empty.
    pub(super) fn address(&mut self, address: &Value, path: &str) -> Result<bool, CardFault> {
        let text = as_text(address, path)?.trim();
        if text.is_empty() {
            return Ok(false);
        }
        let lower: String = text.chars().take(8).collect::<String>().to_ascii_lowercase();
        if !SCHEMES.iter().any(|scheme| lower.starts_with(scheme)) {
            return Err(fault(path, CardFaultKind::BadLink, text));
        }
        self.keep(text, path.to_owned(), TextForm::Address);
        Ok(true)
    }

    /// What happens on a press. Returns whether it opens a page.
    pub(super) fn behaviors(&mut self, fields: &Fields, path: &str) -> Result<bool, CardFault> {
        let Some(behaviors) = fields.get("behaviors") else { return Ok(false) };
        let path = child(path, "behaviors");
        let wrong = || fault(path.as_str(), CardFaultKind::WrongType { wanted: JsonType::List }, &found(behaviors));
        let mut opens = false;
        for (index, behavior) in behaviors.as_array().ok_or_else(wrong)?.iter().enumerate() {
            let path = item(&path, index);
            let fields = object(behavior, &path)?;
            match required(fields, &path, "type")? {
                "open_url" => {
                    if self.version == CardVersion::Two {
                        known(fields, &path, schema::OPEN_URL)?;
                        let address = child(&path, "default_url");
                        fields.get("default_url").ok_or_else(|| fault(address, CardFaultKind::Missing, ""))?;
                    }
                    opens |= self.links(behavior, &path)?;
                }
                "callback" => return Err(fault(path, CardFaultKind::CallsBack, "callback")),
                other => {
                    let why = CardFaultKind::BadValue { allowed: &["open_url"] };
                    return Err(fault(child(&path, "type"), why, other));
                }
            }
        }
        Ok(opens)
    }
}

/// `zh_cn`, `en_us`. Feishu lists sixteen; another of the same shape does no harm.
fn is_locale(locale: &str) -> bool {
    let letters = |part: &str| part.chars().all(|c| c.is_ascii_alphabetic());
    locale.split_once('_').is_some_and(|(language, country)| {
        language.len() == 2 && (2..=3).contains(&country.len()) && letters(language) && letters(country)
    })
}
