//! Card JSON 2.0, judged as the platform does: one unknown property and the whole card is refused.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{BYTES_MAX, CardError, ELEMENTS_MAX, schema};

type Fields = Map<String, Value>;

/// Unknown property or wrong shape.
const SHAPE: u32 = 200_621;
const TYPE: u32 = 200_732;
const FORMAT: u32 = 200_737;
const TOO_MANY: u32 = 11_310;
const TAG: u32 = 200_861;
const NO_NAME: u32 = 200_530;
const ROWS: u32 = 200_915;
const CHART: u32 = 200_550;

/// Components nest at most this deep.
const DEPTH_MAX: usize = 5;
const TABLES_MAX: usize = 5;

#[derive(Default)]
struct Seen {
    elements: usize,
    ids: BTreeSet<String>,
    names: BTreeSet<String>,
    tables: usize,
}

#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a str,
    depth: usize,
    in_form: bool,
}

/// Judges a card that says `"schema":"2.0"`.
///
/// # Errors
/// The first thing the platform would refuse.
pub fn check(card: &Value) -> Result<(), CardError> {
    let bytes = card.to_string().len();
    if bytes > BYTES_MAX {
        return Err(CardError::at(TOO_MANY, "ROOT", format!("card of {bytes} bytes is too large")));
    }
    let mut seen = Seen::default();
    let root = known(card, "ROOT", schema::ROOT)?;
    if let Some(config) = root.get("config") {
        let config = known(config, "config", schema::CONFIG)?;
        if config.get("update_multi").is_some_and(|value| value != &Value::Bool(true)) {
            return Err(CardError::at(FORMAT, "config.update_multi", "only true is allowed"));
        }
        one_of(config, "config", "width_mode", &["default", "compact", "fill"])?;
        if let Some(summary) = config.get("summary") {
            known(summary, "config.summary", &["content", "i18n_content"])?;
        }
    }
    if let Some(header) = root.get("header") {
        check_header(header, &mut seen)?;
    }
    if let Some(link) = root.get("card_link") {
        known(link, "card_link", &["url", "android_url", "ios_url", "pc_url"])?;
    }
    let Some(body) = root.get("body") else { return Ok(()) };
    let body = known(body, "body", schema::BODY)?;
    let elements = list(body, "body", "elements")?;
    for (index, element) in elements.iter().enumerate() {
        let path = format!("body.elements[{index}]");
        component(element, Place { path: &path, depth: 0, in_form: false }, &mut seen)?;
    }
    if seen.elements > ELEMENTS_MAX {
        return Err(CardError::at(TOO_MANY, "body", format!("element exceeds the limit: {}", seen.elements)));
    }
    Ok(())
}

fn check_header(header: &Value, seen: &mut Seen) -> Result<(), CardError> {
    let header = known(header, "header", schema::HEADER)?;
    for part in ["title", "subtitle"] {
        text_at(header, "header", part, seen)?;
    }
    if !header.contains_key("title") {
        return Err(CardError::at(TYPE, "header.title", "title is required"));
    }
    one_of(header, "header", "template", schema::TEMPLATES)?;
    let tags = header.get("text_tag_list").and_then(Value::as_array).cloned().unwrap_or_default();
    if tags.len() > 3 {
        return Err(CardError::at(TOO_MANY, "header.text_tag_list", "at most 3 tags"));
    }
    for tag in &tags {
        let tag = known(tag, "header.text_tag_list", &["tag", "element_id", "text", "color"])?;
        if tag.get("tag") != Some(&Value::from("text_tag")) {
            return Err(CardError::at(TAG, "header.text_tag_list", "unsupported tag"));
        }
        count(tag, "header.text_tag_list", seen)?;
        text_at(tag, "header.text_tag_list", "text", seen)?;
    }
    Ok(())
}

/// One component and everything in it.
fn component(value: &Value, place: Place<'_>, seen: &mut Seen) -> Result<(), CardError> {
    let Place { path, depth, in_form } = place;
    let tag = value.get("tag").and_then(Value::as_str).unwrap_or_default();
    let Some(properties) = schema::properties(tag) else {
        return Err(CardError::at(TAG, path, format!("unsupported tag {tag:?}")));
    };
    let fields = known(value, path, &properties)?;
    count(fields, path, seen)?;
    if depth > DEPTH_MAX {
        return Err(CardError::at(TOO_MANY, path, "components are nested too deep"));
    }
    for part in ["text", "placeholder", "label", "alt", "title", "hover_tips", "disabled_tips"] {
        text_at(fields, path, part, seen)?;
    }
    if let Some(confirm) = fields.get("confirm") {
        let confirm = known(confirm, path, &["title", "text"])?;
        for part in ["title", "text"] {
            text_at(confirm, path, part, seen)?;
        }
    }
    behaviors(fields, path)?;
    if in_form && (schema::is_input(tag) || tag == "button") {
        named(fields, path, seen)?;
    }
    match tag {
        "markdown" => markdown(fields, path)?,
        "div" if !fields.contains_key("text") => return Err(CardError::at(TYPE, path, "text is required")),
        "img" => require_text(fields, path, "img_key")?,
        "button" => button(fields, path, in_form)?,
        "select_static" | "multi_select_static" => options(fields, path, seen)?,
        "chart" => chart(fields, path)?,
        "table" => {
            if depth > 0 || in_form {
                return Err(CardError::at(SHAPE, path, "a table stands at the root only"));
            }
            table(fields, path, seen)?;
        }
        "form" => {
            if depth > 0 {
                return Err(CardError::at(SHAPE, path, "a form stands at the root only"));
            }
            require_text(fields, path, "name")?;
            named(fields, path, seen)?;
        }
        _ => {}
    }
    let inner_form = in_form || tag == "form";
    let (key, children) = match tag {
        "column_set" => ("columns", list(fields, path, "columns")?),
        "form" | "column" | "collapsible_panel" | "interactive_container" => {
            ("elements", list(fields, path, "elements")?)
        }
        _ => return Ok(()),
    };
    for (index, child) in children.iter().enumerate() {
        let path = format!("{path}.{key}[{index}]");
        let inner = child.get("tag").and_then(Value::as_str).unwrap_or_default();
        if (key == "columns") != (inner == "column") {
            return Err(CardError::at(TAG, &path, format!("{inner:?} cannot stand in {tag:?}")));
        }
        component(child, Place { path: &path, depth: depth + 1, in_form: inner_form }, seen)?;
    }
    Ok(())
}

fn markdown(fields: &Fields, path: &str) -> Result<(), CardError> {
    require_text(fields, path, "content")?;
    i18n(fields, path)
}

fn button(fields: &Fields, path: &str, in_form: bool) -> Result<(), CardError> {
    one_of(fields, path, "type", schema::BUTTON_TYPES)?;
    one_of(fields, path, "form_action_type", &["submit", "reset"])?;
    if fields.contains_key("form_action_type") && !in_form {
        return Err(CardError::at(SHAPE, path, "form_action_type outside of a form"));
    }
    let label = fields.get("text").and_then(|text| text.get("content")).and_then(Value::as_str).unwrap_or_default();
    if label.chars().count() > 100 {
        return Err(CardError::at(FORMAT, path, "the text of a button has at most 100 characters"));
    }
    Ok(())
}

/// Source: card JSON 2.0, component "chart".
fn chart(fields: &Fields, path: &str) -> Result<(), CardError> {
    let spec = fields.get("chart_spec").and_then(Value::as_object);
    let spec = spec.ok_or_else(|| CardError::at(CHART, path, "chart_spec is an object and required"))?;
    if !spec.get("type").is_some_and(Value::is_string) {
        return Err(CardError::at(CHART, path, "chart_spec has no type"));
    }
    if !spec.get("data").is_some_and(|data| data.is_object() || data.is_array()) {
        return Err(CardError::at(CHART, path, "chart_spec has no data"));
    }
    one_of(fields, path, "aspect_ratio", &["1:1", "2:1", "4:3", "16:9"])?;
    one_of(fields, path, "color_theme", &["brand", "rainbow", "complementary", "converse", "primary"])?;
    if fields.get("preview").is_some_and(|preview| !preview.is_boolean()) {
        return Err(CardError::at(TYPE, path, "preview is true or false"));
    }
    let tall = |height: &str| {
        height == "auto"
            || height.strip_suffix("px").is_some_and(|px| px.parse().is_ok_and(|px: u32| (1..1000).contains(&px)))
    };
    match fields.get("height") {
        Some(height) if !height.as_str().is_some_and(tall) => {
            Err(CardError::at(FORMAT, path, "height is auto or 1px to 999px"))
        }
        _ => Ok(()),
    }
}

fn options(fields: &Fields, path: &str, seen: &mut Seen) -> Result<(), CardError> {
    for option in list(fields, path, "options")? {
        let option = known(option, path, &["text", "value", "icon"])?;
        text_at(option, path, "text", seen)?;
        require_text(option, path, "value")?;
    }
    Ok(())
}

fn table(fields: &Fields, path: &str, seen: &mut Seen) -> Result<(), CardError> {
    seen.tables += 1;
    if seen.tables > TABLES_MAX {
        return Err(CardError::at(TOO_MANY, path, "at most 5 tables"));
    }
    if !(1..=10).contains(&fields.get("page_size").and_then(Value::as_i64).unwrap_or(5)) {
        return Err(CardError::at(FORMAT, path, "page_size is 1 to 10"));
    }
    let columns = list(fields, path, "columns")?;
    if columns.len() > 50 || columns.is_empty() {
        return Err(CardError::at(TOO_MANY, path, "1 to 50 columns"));
    }
    let allowed =
        ["name", "display_name", "width", "data_type", "vertical_align", "horizontal_align", "format", "date_format"];
    let mut names = BTreeSet::new();
    for column in columns {
        let column = known(column, path, &allowed)?;
        require_text(column, path, "name")?;
        let types = ["text", "lark_md", "options", "number", "persons", "date", "markdown"];
        one_of(column, path, "data_type", &types)?;
        names.insert(column["name"].as_str().unwrap_or_default());
    }
    for row in list(fields, path, "rows")? {
        let row = row.as_object().ok_or_else(|| CardError::at(200_914, path, "a row is an object"))?;
        if let Some(stranger) = row.keys().find(|key| !names.contains(key.as_str())) {
            return Err(CardError::at(ROWS, path, format!("row key {stranger} is no column")));
        }
    }
    Ok(())
}

fn behaviors(fields: &Fields, path: &str) -> Result<(), CardError> {
    let Some(behaviors) = fields.get("behaviors") else { return Ok(()) };
    let list = behaviors.as_array().ok_or_else(|| CardError::at(TYPE, path, "behaviors is a list"))?;
    for behavior in list {
        let kind = behavior.get("type").and_then(Value::as_str).unwrap_or_default();
        match kind {
            "callback" => {
                known(behavior, path, &["type", "value"])?;
                if !behavior.get("value").is_some_and(Value::is_object) {
                    return Err(CardError::at(
                        TYPE,
                        path,
                        "a callback value that is no object breaks receivers (200671)",
                    ));
                }
            }
            "open_url" => {
                let link = known(behavior, path, &["type", "default_url", "android_url", "ios_url", "pc_url"])?;
                require_text(link, path, "default_url")?;
            }
            other => return Err(CardError::at(FORMAT, path, format!("unknown behavior {other:?}"))),
        }
    }
    Ok(())
}

/// A text object under `part`, where there is one.
fn text_at(fields: &Fields, path: &str, part: &str, seen: &mut Seen) -> Result<(), CardError> {
    let Some(value) = fields.get(part) else { return Ok(()) };
    let path = format!("{path}.{part}");
    let tag = value.get("tag").and_then(Value::as_str).unwrap_or_default();
    if !schema::TEXT_TAGS.contains(&tag) {
        return Err(CardError::at(TAG, &path, format!("a text is plain_text or lark_md, not {tag:?}")));
    }
    let text = known(value, &path, schema::TEXT)?;
    count(text, &path, seen)?;
    if !text.get("content").is_some_and(Value::is_string) {
        return Err(CardError::at(TYPE, &path, "content is a string"));
    }
    i18n(text, &path)
}

fn i18n(fields: &Fields, path: &str) -> Result<(), CardError> {
    let Some(value) = fields.get("i18n_content") else { return Ok(()) };
    let locales = value.as_object().ok_or_else(|| CardError::at(TYPE, path, "i18n_content is an object"))?;
    for (locale, text) in locales {
        let shaped = locale.split_once('_').is_some_and(|(a, b)| a.len() == 2 && (2..=3).contains(&b.len()));
        if !shaped || !text.is_string() {
            return Err(CardError::at(TYPE, path, format!("i18n_content.{locale} is no text of a locale")));
        }
    }
    Ok(())
}

fn count(fields: &Fields, path: &str, seen: &mut Seen) -> Result<(), CardError> {
    seen.elements += 1;
    let Some(id) = fields.get("element_id") else { return Ok(()) };
    let id = id.as_str().unwrap_or_default();
    let shaped = id.starts_with(|c: char| c.is_ascii_alphabetic())
        && id.len() <= 20
        && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !shaped || !seen.ids.insert(id.to_owned()) {
        return Err(CardError::at(FORMAT, path, format!("element_id {id:?} is malformed or there twice")));
    }
    Ok(())
}

fn named(fields: &Fields, path: &str, seen: &mut Seen) -> Result<(), CardError> {
    let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() || !seen.names.insert(name.to_owned()) {
        return Err(CardError::at(NO_NAME, path, format!("name {name:?} in a form is empty or there twice")));
    }
    Ok(())
}

fn known<'a>(value: &'a Value, path: &str, properties: &[&str]) -> Result<&'a Fields, CardError> {
    let fields = value.as_object().ok_or_else(|| CardError::at(TYPE, path, "not an object"))?;
    match fields.keys().find(|key| !properties.contains(&key.as_str())) {
        Some(stranger) => Err(CardError::at(SHAPE, path, format!("unknown property, property: {stranger}"))),
        None => Ok(fields),
    }
}

fn list<'a>(fields: &'a Fields, path: &str, key: &str) -> Result<&'a Vec<Value>, CardError> {
    let found = fields.get(key).and_then(Value::as_array);
    found.ok_or_else(|| CardError::at(TYPE, path, format!("{key} is a list")))
}

fn require_text(fields: &Fields, path: &str, key: &str) -> Result<(), CardError> {
    if fields.get(key).is_some_and(Value::is_string) {
        return Ok(());
    }
    Err(CardError::at(TYPE, path, format!("{key} is a string and required")))
}

fn one_of(fields: &Fields, path: &str, key: &str, allowed: &[&str]) -> Result<(), CardError> {
    match fields.get(key) {
        Some(value) if !value.as_str().is_some_and(|value| allowed.contains(&value)) => {
            Err(CardError::at(FORMAT, path, format!("{key} cannot be {value}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(element: Value) -> u32 {
        check(&json!({"schema": "2.0", "body": {"elements": [element]}})).expect_err("must be refused").code
    }

    #[test]
    fn a_whole_card_of_the_documentation_passes() {
        let card = json!({"schema": "2.0",
        "config": {"update_multi": true, "enable_forward": false, "width_mode": "fill", "summary": {"content": "x"}},
        "header": {"title": {"tag": "plain_text", "content": "t", "i18n_content": {"en_us": "t"}}, "template": "blue",
            "text_tag_list": [{"tag": "text_tag", "text": {"tag": "plain_text", "content": "P"}, "color": "orange"}]},
        "body": {"direction": "vertical", "vertical_spacing": "medium", "elements": [
            {"tag": "markdown", "content": "**b**", "i18n_content": {"zh_cn": "x"}},
            {"tag": "div", "text": {"tag": "plain_text", "content": "x", "text_size": "notation", "text_color": "grey"}},
            {"tag": "hr"},
            {"tag": "table", "page_size": 10, "columns": [{"name": "id", "display_name": "ID", "data_type": "text"}], "rows": [{"id": "1"}]},
            {"tag": "form", "name": "f1", "elements": [
                {"tag": "input", "name": "reason", "placeholder": {"tag": "plain_text", "content": "?"}, "required": false},
                {"tag": "button", "name": "go", "type": "danger", "form_action_type": "submit", "text": {"tag": "plain_text", "content": "No"},
                    "behaviors": [{"type": "callback", "value": {"action": "reject"}}]}]},
            {"tag": "column_set", "columns": [{"tag": "column", "width": "weighted", "weight": 1, "elements": [
                {"tag": "button", "text": {"tag": "plain_text", "content": "Yes"}, "behaviors": [{"type": "callback", "value": {}}]}]}]}
        ]}});
        assert_eq!(check(&card), Ok(()));
    }

    #[test]
    fn what_2_0_refuses_is_refused_with_its_sub_code() {
        assert_eq!(refused(json!({"tag": "note", "elements": []})), TAG);
        assert_eq!(refused(json!({"tag": "action", "actions": []})), TAG);
        assert_eq!(refused(json!({"tag": "hr", "colour": "red"})), SHAPE);
        assert_eq!(refused(json!({"tag": "hr", "element_id": "1x"})), FORMAT);
        assert_eq!(refused(json!({"tag": "form", "name": "f", "elements": [{"tag": "input"}]})), NO_NAME);
        let form = json!({"tag": "form", "name": "f", "elements": []});
        assert_eq!(refused(json!({"tag": "column_set", "columns": [{"tag": "column", "elements": [form]}]})), SHAPE);
        let rows = json!({"tag": "table", "columns": [{"name": "a"}], "rows": [{"b": 1}]});
        assert_eq!(refused(rows), ROWS);
        let spec = json!({"type": "line", "data": {"values": []}, "xField": "t", "yField": "n"});
        assert_eq!(refused(json!({"tag": "chart", "chart_spec": spec.to_string()})), CHART);
        assert_eq!(refused(json!({"tag": "chart", "chart_spec": {"type": "line"}})), CHART);
        assert_eq!(refused(json!({"tag": "chart", "chart_spec": spec, "aspect_ratio": "3:2"})), FORMAT);
        assert_eq!(refused(json!({"tag": "chart", "chart_spec": spec, "height": "1000px"})), FORMAT);
        assert_eq!(refused(json!({"tag": "chart", "chart_spec": spec, "title": "x"})), SHAPE);
    }

    #[test]
    fn two_hundred_elements_are_the_most() {
        let card = |count| json!({"schema": "2.0", "body": {"elements": vec![json!({"tag": "hr"}); count]}});
        assert_eq!(check(&card(200)), Ok(()));
        assert_eq!(check(&card(201)).expect_err("one too many").code, TOO_MANY);
    }
}
