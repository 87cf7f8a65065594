//! What a card lets a person press, and the callback that a press makes.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::person::Press;
use super::schema;

/// One control with a callback.
#[derive(Clone, Debug, Serialize)]
pub struct Control {
    /// `button`, `select_static`, …
    pub tag: String,
    /// The callback value.
    pub value: Value,
    pub name: Option<String>,
    /// What it says on it.
    pub label: String,
    /// Values that a select offers.
    pub options: Vec<String>,
    pub disabled: bool,
    /// The dialog before the press.
    pub confirm: Option<Value>,
    /// Inputs of the form around it; `None` outside of a form.
    pub inputs: Option<Vec<Input>>,
    pub submits: bool,
}

/// One input of a form.
#[derive(Clone, Debug, Serialize)]
pub struct Input {
    pub name: String,
    pub tag: String,
    pub default: Value,
    pub required: bool,
    pub options: Vec<String>,
}

impl Control {
    /// The `action` of the callback value; empty where it has none.
    pub fn action(&self) -> &str {
        self.value.get("action").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Every control with a callback, in reading order.
pub fn find(card: &Value) -> Vec<Control> {
    let mut controls = vec![];
    gather(card, None, &mut controls);
    controls
}

fn gather(value: &Value, form: Option<&[Input]>, controls: &mut Vec<Control>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| gather(item, form, controls)),
        Value::Object(fields) => {
            let tag = fields.get("tag").and_then(Value::as_str).unwrap_or_default();
            if let Some(value) = callback_of(fields, tag) {
                controls.push(control(fields, tag, value, form));
            }
            let own = (tag == "form").then(|| inputs_of(value));
            let form = own.as_deref().or(form);
            fields.values().for_each(|field| gather(field, form, controls));
        }
        _ => {}
    }
}

fn callback_of(fields: &Map<String, Value>, tag: &str) -> Option<Value> {
    if tag != "button" && tag != "overflow" && tag != "interactive_container" && !schema::is_input(tag) {
        return None;
    }
    let behaviors = fields.get("behaviors").and_then(Value::as_array);
    let callback = behaviors.and_then(|list| list.iter().find(|behavior| behavior["type"] == "callback"));
    callback.map(|behavior| behavior["value"].clone()).or_else(|| fields.get("value").cloned())
}

fn control(fields: &Map<String, Value>, tag: &str, value: Value, form: Option<&[Input]>) -> Control {
    let label = fields.get("text").or_else(|| fields.get("placeholder")).and_then(|text| text["content"].as_str());
    Control {
        tag: tag.into(),
        value,
        name: fields.get("name").and_then(Value::as_str).map(str::to_owned),
        label: label.unwrap_or_default().into(),
        options: options_of(fields),
        disabled: fields.get("disabled") == Some(&Value::Bool(true)),
        confirm: fields.get("confirm").cloned(),
        inputs: form.map(<[Input]>::to_vec),
        submits: fields
            .get("form_action_type")
            .or_else(|| fields.get("action_type"))
            .is_some_and(|kind| kind == "submit" || kind == "form_submit"),
    }
}

fn options_of(fields: &Map<String, Value>) -> Vec<String> {
    let options = fields.get("options").and_then(Value::as_array).into_iter().flatten();
    options.filter_map(|option| option["value"].as_str().map(str::to_owned)).collect()
}

fn inputs_of(form: &Value) -> Vec<Input> {
    let mut inputs = vec![];
    super::walk(form, &mut |fields| {
        let tag = fields.get("tag").and_then(Value::as_str).unwrap_or_default();
        if !schema::is_input(tag) {
            return;
        }
        let default = ["default_value", "initial_option", "selected_values", "initial_date", "initial_datetime"]
            .iter()
            .find_map(|key| fields.get(*key).cloned());
        inputs.push(Input {
            name: fields.get("name").and_then(Value::as_str).unwrap_or_default().into(),
            tag: tag.into(),
            default: default.unwrap_or_else(|| if tag.starts_with("multi_") { json!([]) } else { json!("") }),
            required: fields.get("required") == Some(&Value::Bool(true)),
            options: options_of(fields),
        });
    });
    inputs
}

/// Presses a card as its client would: the control, and the `action` object of the callback.
///
/// # Errors
/// No such control, or the client would not let it be pressed like this.
pub fn press(card: &Value, press: &Press) -> Result<(Control, Value), String> {
    let controls = find(card);
    let shown: Vec<String> = controls.iter().map(|control| control.action().to_owned()).collect();
    let fits = |control: &&Control| {
        control.action() == press.action
            && press.with.iter().all(|(key, value)| control.value.get(key) == Some(value))
            && match &press.option {
                Some(option) if is_picker(&control.tag) => is_picked(&control.tag, option),
                Some(option) => control.options.contains(option),
                // A picker calls back once something was picked.
                None => !is_picker(&control.tag),
            }
    };
    let Some(control) = controls.iter().find(fits) else {
        return Err(format!("the card shows no {press:?}; it shows {shown:?}"));
    };
    if control.disabled {
        return Err(format!("{} is disabled", press.action));
    }
    let mut action = json!({"value": control.value, "tag": control.tag, "timezone": "Asia/Shanghai"});
    if let Some(name) = &control.name {
        action["name"] = name.clone().into();
    }
    if control.tag == "multi_select_static" {
        action["options"] = json!(press.option.iter().collect::<Vec<_>>());
    } else if !control.options.is_empty() || is_picker(&control.tag) {
        action["option"] = press.option.clone().ok_or("a select needs an option to be chosen")?.into();
    }
    match &control.inputs {
        Some(inputs) if control.submits => action["form_value"] = fill(inputs, press)?,
        _ if !press.form.is_empty() => return Err("this control does not submit a form".into()),
        _ => {}
    }
    Ok((control.clone(), action))
}

fn is_picker(tag: &str) -> bool {
    ["picker_datetime", "date_picker", "picker_time"].contains(&tag)
}

/// What a client calls back with: the time on its clock and how far that is from UTC.
fn is_picked(tag: &str, option: &str) -> bool {
    let words: Vec<usize> = match tag {
        "picker_datetime" => vec![10, 5, 5],
        "date_picker" => vec![10, 5],
        _ => vec![5, 5],
    };
    option.split(' ').map(str::len).eq(words)
}

/// The values of a submitted form: what was typed, and the defaults of the rest.
fn fill(inputs: &[Input], press: &Press) -> Result<Value, String> {
    if let Some((stranger, _)) = press.form.iter().find(|(name, _)| !inputs.iter().any(|input| &input.name == name)) {
        return Err(format!("the form has no input {stranger}"));
    }
    let mut values = Map::new();
    for input in inputs {
        let typed = press.form.iter().find(|(name, _)| *name == input.name).map(|(_, value)| value.clone());
        let value = typed.unwrap_or_else(|| input.default.clone());
        if input.required && (value == json!("") || value == json!([])) {
            return Err(format!("{} must be filled in", input.name));
        }
        values.insert(input.name.clone(), value);
    }
    Ok(Value::Object(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Value {
        json!({"schema": "2.0", "body": {"elements": [
            {"tag": "select_static", "placeholder": {"tag": "plain_text", "content": "?"},
                "options": [{"text": {"tag": "plain_text", "content": "A"}, "value": "od-a"}],
                "behaviors": [{"type": "callback", "value": {"action": "pick", "version": 3}}]},
            {"tag": "form", "name": "f", "elements": [{"tag": "input", "name": "reason"},
                {"tag": "button", "name": "no", "form_action_type": "submit", "text": {"tag": "plain_text", "content": "No"},
                    "behaviors": [{"type": "callback", "value": {"action": "reject", "version": 4}}]}]}
        ]}})
    }

    #[test]
    fn a_select_calls_back_with_its_option_and_a_form_with_all_inputs() {
        let (_, picked) = press(&card(), &Press::action("pick").option("od-a")).expect("is offered");
        assert_eq!((&picked["option"], &picked["tag"]), (&json!("od-a"), &json!("select_static")));
        let (_, rejected) = press(&card(), &Press::action("reject").field("reason", "太长")).expect("is there");
        assert_eq!(rejected["form_value"], json!({"reason": "太长"}));
        assert_eq!(super::super::version_of(&card()), 4);
    }

    #[test]
    fn what_the_card_does_not_show_cannot_be_pressed() {
        assert!(press(&card(), &Press::action("approve")).is_err());
        assert!(press(&card(), &Press::action("pick").option("od-b")).is_err());
        assert!(press(&card(), &Press::action("reject").field("other", "x")).is_err());
    }
}
