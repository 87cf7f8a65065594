//! Which properties each tag of card JSON 2.0 knows. A property that is not here is an error there.

/// What every component may carry.
pub const COMMON: &[&str] = &["tag", "element_id", "margin"];

const LAYOUT: &[&str] =
    &["direction", "padding", "horizontal_spacing", "horizontal_align", "vertical_spacing", "vertical_align"];
const CHOICE: &[&str] = &[
    "type",
    "name",
    "placeholder",
    "required",
    "disabled",
    "disabled_tips",
    "hover_tips",
    "width",
    "behaviors",
    "confirm",
    "value",
];

/// Root of the card.
pub const ROOT: &[&str] = &["schema", "config", "card_link", "header", "body"];
/// `config`.
pub const CONFIG: &[&str] = &[
    "streaming_mode",
    "streaming_config",
    "summary",
    "locales",
    "enable_forward",
    "enable_forward_interaction",
    "update_multi",
    "width_mode",
    "use_custom_translation",
    "style",
];
/// `header`.
pub const HEADER: &[&str] =
    &["title", "subtitle", "text_tag_list", "i18n_text_tag_list", "template", "icon", "padding", "ud_icon"];
/// `body`, besides `elements`.
pub const BODY: &[&str] = &[
    "elements",
    "direction",
    "padding",
    "horizontal_spacing",
    "horizontal_align",
    "vertical_spacing",
    "vertical_align",
];
/// Colours of a header.
pub const TEMPLATES: &[&str] = &[
    "blue",
    "wathet",
    "turquoise",
    "green",
    "yellow",
    "orange",
    "red",
    "carmine",
    "violet",
    "purple",
    "indigo",
    "grey",
    "default",
];
/// `type` of a button.
pub const BUTTON_TYPES: &[&str] = &[
    "default",
    "primary",
    "danger",
    "text",
    "primary_text",
    "danger_text",
    "primary_filled",
    "danger_filled",
    "laser",
];

/// Properties of a text object (`plain_text`, `lark_md`).
pub const TEXT: &[&str] =
    &["tag", "element_id", "content", "i18n_content", "text_size", "text_color", "text_align", "lines", "icon"];

/// Tags that hold no component of their own but stand in a text's or header's place.
pub const TEXT_TAGS: &[&str] = &["plain_text", "lark_md"];

/// Properties of a component, besides [`COMMON`]; `None` for a tag that 2.0 does not know.
pub fn properties(tag: &str) -> Option<Vec<&'static str>> {
    let (own, shared): (&[&str], &[&[&str]]) = match tag {
        "markdown" => (&["content", "i18n_content", "text_align", "text_size", "icon", "href"], &[]),
        "div" => (&["text", "icon", "width"], &[]),
        "hr" => (&[], &[]),
        "img" => (&["img_key", "alt", "title", "corner_radius", "scale_type", "size", "transparent", "preview"], &[]),
        "img_combination" => (&["combination_mode", "combination_transparent", "corner_radius", "img_list"], &[]),
        "person" => (&["user_id", "size", "show_avatar", "show_name", "style"], &[]),
        "person_list" => {
            (&["persons", "size", "lines", "show_avatar", "show_name", "drop_invalid_user_id", "icon"], &[])
        }
        "chart" => (&["chart_spec", "aspect_ratio", "color_theme", "preview", "height"], &[]),
        "table" => (
            &["page_size", "row_height", "row_max_height", "freeze_first_column", "header_style", "columns", "rows"],
            &[],
        ),
        "column_set" => {
            (&["horizontal_spacing", "horizontal_align", "columns", "flex_mode", "background_style", "action"], &[])
        }
        "column" => (&["elements", "background_style", "width", "weight", "action"], &[LAYOUT]),
        "form" => (&["name", "elements", "confirm"], &[LAYOUT]),
        "collapsible_panel" => (&["elements", "expanded", "header", "border", "background_color"], &[LAYOUT]),
        "interactive_container" => (
            &[
                "elements",
                "width",
                "height",
                "background_style",
                "has_border",
                "border_color",
                "corner_radius",
                "behaviors",
                "hover_tips",
                "disabled",
                "disabled_tips",
                "confirm",
            ],
            &[LAYOUT],
        ),
        "button" => (
            &[
                "type",
                "size",
                "width",
                "text",
                "icon",
                "hover_tips",
                "disabled",
                "disabled_tips",
                "confirm",
                "behaviors",
                "name",
                "required",
                "form_action_type",
            ],
            &[],
        ),
        "overflow" => (&["width", "options", "confirm", "value"], &[]),
        "checker" => (
            &[
                "name",
                "checked",
                "text",
                "overall_checkable",
                "button_area",
                "checked_style",
                "padding",
                "confirm",
                "behaviors",
                "hover_tips",
                "disabled",
                "disabled_tips",
            ],
            &[],
        ),
        "input" => (
            &[
                "name",
                "required",
                "disabled",
                "disabled_tips",
                "placeholder",
                "default_value",
                "width",
                "max_length",
                "input_type",
                "show_icon",
                "rows",
                "auto_resize",
                "max_rows",
                "label",
                "label_position",
                "value",
                "behaviors",
                "confirm",
                "fallback",
            ],
            &[],
        ),
        "select_static" => (&["options", "initial_option", "initial_index"], &[CHOICE]),
        "multi_select_static" | "multi_select_person" => (&["options", "selected_values"], &[CHOICE]),
        "select_person" => (&["options", "initial_option"], &[CHOICE]),
        "date_picker" => (&["initial_date"], &[CHOICE]),
        "picker_time" => (&["initial_time"], &[CHOICE]),
        "picker_datetime" => (&["initial_datetime"], &[CHOICE]),
        _ => return None,
    };
    Some(own.iter().chain(shared.iter().copied().flatten()).chain(COMMON).copied().collect())
}

/// Components that a person can use, and that a form therefore wants a `name` for.
pub fn is_input(tag: &str) -> bool {
    matches!(
        tag,
        "input"
            | "select_static"
            | "multi_select_static"
            | "select_person"
            | "multi_select_person"
            | "date_picker"
            | "picker_time"
            | "picker_datetime"
            | "checker"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_1_0_are_unknown_to_2_0() {
        assert!(properties("note").is_none() && properties("action").is_none());
        assert!(properties("button").is_some_and(|known| known.contains(&"behaviors") && !known.contains(&"value")));
    }
}
