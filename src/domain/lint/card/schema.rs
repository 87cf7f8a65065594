//! Tags of both card languages, and the properties that 2.0 knows.
//!
//! Every list is that of the component's official page, "完整 JSON 2.0 结构" and its table, together with the older
//! properties that the pages still show in 2.0 cards. Components that call back have no list: they are refused.

/// What every component may carry. `fallback` is what older clients show instead.
const COMMON: &[&str] = &["tag", "element_id", "margin", "fallback"];

/// What containers add.
const LAYOUT: &[&str] =
    &["direction", "padding", "horizontal_spacing", "horizontal_align", "vertical_spacing", "vertical_align"];

/// The top of a 2.0 card. Source: "卡片 JSON 2.0 结构".
pub const ROOT: &[&str] = &["schema", "config", "card_link", "header", "body"];

/// `config` of 2.0. `wide_screen_mode` and the like are gone.
pub const CONFIG: &[&str] = &[
    "streaming_mode",
    "streaming_config",
    "summary",
    "locales",
    "enable_forward",
    "update_multi",
    "width_mode",
    "use_custom_translation",
    "enable_forward_interaction",
    "style",
];

pub const WIDTH_MODES: &[&str] = &["default", "compact", "fill"];

/// `header` of 2.0. Source: page "标题".
pub const HEADER: &[&str] =
    &["title", "subtitle", "text_tag_list", "i18n_text_tag_list", "template", "icon", "ud_icon", "padding"];

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

pub const TEXT_TAG: &[&str] = &["tag", "element_id", "text", "color"];

pub const BODY: &[&str] = &[
    "elements",
    "direction",
    "padding",
    "horizontal_spacing",
    "horizontal_align",
    "vertical_spacing",
    "vertical_align",
];

/// `card_link`, `multi_url`.
pub const LINK: &[&str] = &["url", "android_url", "ios_url", "pc_url"];

/// A behavior that opens a page. Source: "配置卡片交互".
pub const OPEN_URL: &[&str] = &["type", "default_url", "android_url", "ios_url", "pc_url"];

/// A text object.
pub const TEXT: &[&str] =
    &["tag", "element_id", "content", "i18n_content", "text_size", "text_color", "text_align", "lines", "icon"];

/// Tags of a text object.
pub const TEXT_TAGS: &[&str] = &["plain_text", "lark_md"];

/// The title of a collapsible panel may be Markdown as well.
pub const PANEL_TITLE_TAGS: &[&str] = &["plain_text", "lark_md", "markdown"];

/// `type` of a button. Source: contract 4.2.
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

/// A column of a table. Source: page "表格".
pub const TABLE_COLUMN: &[&str] =
    &["name", "display_name", "width", "data_type", "vertical_align", "horizontal_align", "format", "date_format"];

pub const DATA_TYPES: &[&str] = &["text", "lark_md", "options", "number", "persons", "date", "markdown"];

/// Languages of a card. Source: "配置卡片多语言".
pub const LOCALES: &[&str] = &[
    "zh_cn", "en_us", "zh_hk", "zh_tw", "ja_jp", "id_id", "vi_vn", "th_th", "pt_br", "es_es", "ko_kr", "de_de",
    "fr_fr", "it_it", "ru_ru", "ms_my",
];

/// Components that send what people enter to the bot, whatever is set on them. Source: "配置卡片交互": all interactive
/// components call back, except the checker; a form exists to be submitted.
pub fn calls_back(tag: &str) -> bool {
    matches!(
        tag,
        "form"
            | "input"
            | "select_static"
            | "multi_select_static"
            | "select_person"
            | "multi_select_person"
            | "date_picker"
            | "picker_time"
            | "picker_datetime"
            | "select_img"
    )
}

/// Tags that 1.0 knows, besides those that [`calls_back`]. Source: "卡片 JSON 1.0 版本组件概述", and the older pages
/// of `action` ("交互模块") and `note` ("备注").
pub fn is_of_1_0(tag: &str) -> bool {
    matches!(tag, "action" | "note") || (properties(tag).is_some() && tag != "audio")
}

/// Properties of a 2.0 component; `None` for a tag that 2.0 does not know. Source: "卡片 JSON 2.0 版本组件概述" and the
/// page of each.
pub fn properties(tag: &str) -> Option<Vec<&'static str>> {
    let (own, layout): (&[&str], &[&str]) = match tag {
        // Containers.
        "column_set" => {
            (&["horizontal_spacing", "horizontal_align", "columns", "flex_mode", "background_style", "action"], &[])
        }
        "column" => (&["elements", "background_style", "width", "weight", "action"], LAYOUT),
        "collapsible_panel" => (&["elements", "expanded", "header", "border", "background_color"], LAYOUT),
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
            LAYOUT,
        ),
        // What is only looked at.
        "markdown" => (&["content", "i18n_content", "text_align", "text_size", "icon", "href"], &[]),
        "div" => (&["text", "fields", "icon", "width"], &[]),
        "hr" => (&[], &[]),
        "img" => (
            &[
                "img_key",
                "i18n_img_key",
                "alt",
                "title",
                "corner_radius",
                "scale_type",
                "size",
                "transparent",
                "preview",
                "mode",
                "custom_width",
                "compact_width",
            ],
            &[],
        ),
        "img_combination" => (&["combination_mode", "combination_transparent", "corner_radius", "img_list"], &[]),
        "person" => (&["user_id", "size", "show_avatar", "show_name", "style"], &[]),
        "person_list" => {
            (&["persons", "size", "lines", "show_avatar", "show_name", "drop_invalid_user_id", "icon", "ud_icon"], &[])
        }
        "chart" => (&["chart_spec", "aspect_ratio", "color_theme", "preview", "height"], &[]),
        "table" => (
            &["page_size", "row_height", "row_max_height", "freeze_first_column", "header_style", "columns", "rows"],
            &[],
        ),
        "audio" => (&[], &[]),
        // What is pressed.
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
                "url",
                "multi_url",
                "value",
                "action_type",
            ],
            &[],
        ),
        "overflow" => (&["width", "options", "confirm", "behaviors", "value"], &[]),
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
        _ => return None,
    };
    Some(COMMON.iter().chain(own).chain(layout).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_2_0_dropped_is_of_1_0_only() {
        for tag in ["action", "note"] {
            assert!(is_of_1_0(tag) && properties(tag).is_none(), "{tag}");
        }
        assert!(!is_of_1_0("audio") && !is_of_1_0("buton"));
    }

    #[test]
    fn nothing_that_calls_back_is_also_let_through() {
        let tags = ["form", "input", "select_static", "date_picker", "picker_time", "select_img", "select_person"];
        assert!(tags.iter().all(|tag| calls_back(tag) && properties(tag).is_none()));
    }
}
