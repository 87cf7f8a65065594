//! Components, one inside the other.

use serde_json::Value;

use super::super::{CardFault, CardFaultKind, CardVersion, TextForm};
use super::{Fields, Walk, as_list, child, fault, item, known, list, object, required, schema, tag_of};

/// Containers around a component. Source: "飞书卡片常见问题", at most five levels. A column is no level of its own: the
/// page "分栏" itself shows three column sets inside each other.
const CONTAINERS_MAX: usize = 5;

/// Where a component stands.
#[derive(Clone, Copy)]
struct Place {
    containers: usize,
    /// Directly in the card, as the only thing that tables and 1.0 buttons care about.
    at_root: bool,
}

impl Place {
    const ROOT: Place = Place { containers: 0, at_root: true };

    fn inside(self) -> Place {
        Place { containers: self.containers + 1, at_root: false }
    }
}

impl Walk {
    pub(super) fn root_elements(&mut self, elements: &[Value], path: &str) -> Result<(), CardFault> {
        for (index, element) in elements.iter().enumerate() {
            self.component(element, &item(path, index), Place::ROOT)?;
        }
        Ok(())
    }

    fn component(&mut self, value: &Value, path: &str, place: Place) -> Result<(), CardFault> {
        let fields = object(value, path)?;
        let tag = tag_of(fields, path)?;
        let refused = |why| Err(fault(child(path, "tag"), why, tag));
        self.tag_is_known(tag, path)?;
        if place.containers > CONTAINERS_MAX {
            return refused(CardFaultKind::TooDeep);
        }
        match tag {
            "table" if !place.at_root => return refused(CardFaultKind::Misplaced),
            "column" => return refused(CardFaultKind::Misplaced),
            "button" | "overflow" if self.version == CardVersion::One && place.at_root => {
                return refused(CardFaultKind::OutsideAction);
            }
            _ => {}
        }
        self.common(fields, tag, path)?;
        match tag {
            "column_set" => self.columns(fields, path, place),
            "collapsible_panel" => {
                self.panel_header(fields, path)?;
                self.children(fields, path, "elements", place)
            }
            "interactive_container" => {
                self.behaviors(fields, path)?;
                self.children(fields, path, "elements", place)
            }
            "action" => self.children(fields, path, "actions", place),
            "note" => self.note(fields, path, place),
            "markdown" => self.markdown(fields, path),
            "div" => self.div(fields, path, place),
            "img" => self.image(fields, path),
            "img_combination" => {
                for (index, image) in list(fields, path, "img_list")?.iter().enumerate() {
                    let path = item(&child(path, "img_list"), index);
                    self.image(object(image, &path)?, &path)?;
                }
                Ok(())
            }
            "person" => {
                self.shows = true;
                required(fields, path, "user_id").map(drop)
            }
            "person_list" => {
                self.shows = true;
                list(fields, path, "persons").map(drop)
            }
            "chart" => self.chart(fields, path),
            "table" => self.table(fields, path),
            "button" => self.button(fields, path),
            "overflow" => self.overflow(fields, path),
            "checker" => self.checker(fields, path),
            _ => Ok(()),
        }
    }

    fn tag_is_known(&self, tag: &str, path: &str) -> Result<(), CardFault> {
        let refused = |why| Err(fault(child(path, "tag"), why, tag));
        let new = self.version == CardVersion::Two;
        match tag {
            tag if schema::calls_back(tag) => refused(CardFaultKind::CallsBack),
            "action" | "note" if new => refused(CardFaultKind::OldTag),
            "audio" if new => refused(CardFaultKind::NeedsOwnFile),
            tag if new && schema::properties(tag).is_none() => refused(CardFaultKind::UnknownTag),
            tag if !new && !schema::is_of_1_0(tag) => refused(CardFaultKind::UnknownTag),
            _ => Ok(()),
        }
    }

    /// What any component may have: an id, texts around it, an icon.
    fn common(&mut self, fields: &Fields, tag: &str, path: &str) -> Result<(), CardFault> {
        if self.version == CardVersion::Two
            && let Some(properties) = schema::properties(tag)
        {
            known(fields, path, &properties)?;
        }
        self.count(fields, path)?;
        for part in ["text", "alt", "title", "hover_tips", "disabled_tips"] {
            if let Some(text) = fields.get(part) {
                self.text(text, &child(path, part), schema::TEXT_TAGS)?;
            }
        }
        if let Some(confirm) = fields.get("confirm") {
            self.confirm(confirm, &child(path, "confirm"))?;
        }
        self.icon(fields, path)
    }

    fn confirm(&mut self, confirm: &Value, path: &str) -> Result<(), CardFault> {
        let fields = object(confirm, path)?;
        if self.version == CardVersion::Two {
            known(fields, path, &["title", "text"])?;
        }
        for part in ["title", "text"] {
            if let Some(text) = fields.get(part) {
                self.text(text, &child(path, part), schema::TEXT_TAGS)?;
            }
        }
        Ok(())
    }

    fn children(&mut self, fields: &Fields, path: &str, key: &str, place: Place) -> Result<(), CardFault> {
        for (index, element) in list(fields, path, key)?.iter().enumerate() {
            self.component(element, &item(&child(path, key), index), place.inside())?;
        }
        Ok(())
    }

    fn columns(&mut self, fields: &Fields, path: &str, place: Place) -> Result<(), CardFault> {
        self.press_link(fields, path)?;
        for (index, column) in list(fields, path, "columns")?.iter().enumerate() {
            let path = item(&child(path, "columns"), index);
            let column = object(column, &path)?;
            let tag = tag_of(column, &path)?;
            if tag != "column" {
                return Err(fault(child(&path, "tag"), CardFaultKind::Misplaced, tag));
            }
            self.common(column, tag, &path)?;
            self.press_link(column, &path)?;
            // A column may stay empty.
            if column.contains_key("elements") || self.version == CardVersion::Two {
                self.children(column, &path, "elements", place)?;
            }
        }
        Ok(())
    }

    /// `action` of a column or a set of them: opens a page, and nothing else.
    fn press_link(&mut self, fields: &Fields, path: &str) -> Result<(), CardFault> {
        let Some(action) = fields.get("action") else { return Ok(()) };
        let path = child(path, "action");
        match object(action, &path)?.get("multi_url") {
            Some(link) => self.links(link, &child(&path, "multi_url")).map(drop),
            None => Ok(()),
        }
    }

    fn panel_header(&mut self, fields: &Fields, path: &str) -> Result<(), CardFault> {
        let Some(header) = fields.get("header") else { return Ok(()) };
        let path = child(path, "header");
        let header = object(header, &path)?;
        if let Some(title) = header.get("title") {
            self.text(title, &child(&path, "title"), schema::PANEL_TITLE_TAGS)?;
        }
        self.icon(header, &path)
    }

    /// Small print of 1.0: texts, icons and images.
    fn note(&mut self, fields: &Fields, path: &str, place: Place) -> Result<(), CardFault> {
        for (index, element) in list(fields, path, "elements")?.iter().enumerate() {
            let path = item(&child(path, "elements"), index);
            let fields = object(element, &path)?;
            match tag_of(fields, &path)? {
                "plain_text" | "lark_md" => self.text(element, &path, schema::TEXT_TAGS)?,
                "custom_icon" => self.image(fields, &path)?,
                "standard_icon" => {}
                _ => self.component(element, &path, place.inside())?,
            }
        }
        Ok(())
    }

    fn markdown(&mut self, fields: &Fields, path: &str) -> Result<(), CardFault> {
        self.words(fields, path, TextForm::Markdown)?;
        if let Some(links) = fields.get("href") {
            let path = child(path, "href");
            for (name, link) in object(links, &path)? {
                self.links(link, &child(&path, name))?;
            }
        }
        Ok(())
    }

    fn div(&mut self, fields: &Fields, path: &str, place: Place) -> Result<(), CardFault> {
        let parts = fields.get("fields").map(|parts| as_list(parts, &child(path, "fields"))).transpose()?;
        for (index, part) in parts.into_iter().flatten().enumerate() {
            let path = item(&child(path, "fields"), index);
            let text = object(part, &path)?.get("text");
            let path = child(&path, "text");
            self.text(text.ok_or_else(|| fault(path.as_str(), CardFaultKind::Missing, ""))?, &path, schema::TEXT_TAGS)?;
        }
        if parts.is_none() && !fields.contains_key("text") {
            return Err(fault(child(path, "text"), CardFaultKind::Missing, ""));
        }
        match fields.get("extra") {
            // 1.0 only: 2.0 has refused it as a property it does not know.
            Some(extra) => self.component(extra, &child(path, "extra"), place.inside()),
            None => Ok(()),
        }
    }

    fn chart(&mut self, fields: &Fields, path: &str) -> Result<(), CardFault> {
        let path = child(path, "chart_spec");
        let spec = fields.get("chart_spec").ok_or_else(|| fault(path.as_str(), CardFaultKind::Missing, ""))?;
        object(spec, &path)?;
        self.shows = true;
        self.strings(spec, &path, TextForm::Plain);
        Ok(())
    }
}
