//! Cards that Feishu takes pass, each thing that it refuses is found where it stands.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::lint::{TextForm, TextPlace};

fn passes(card: Value) -> CardFacts {
    check(&card).unwrap_or_else(|fault| panic!("{fault:?}\n{card}"))
}

#[track_caller]
fn refused(card: &Value, path: &str, why: CardFaultKind) {
    let fault = check(card).expect_err("must be refused");
    assert_eq!((fault.path.as_str(), fault.why), (path, why), "{card}");
}

/// A 2.0 card of these elements.
fn two(elements: Value) -> Value {
    json!({"schema": "2.0", "body": {"elements": elements}})
}

/// A 1.0 card of these elements.
fn one(elements: Value) -> Value {
    json!({"elements": elements})
}

fn words(content: &str) -> Value {
    json!({"tag": "plain_text", "content": content})
}

fn link_button() -> Value {
    json!({"tag": "button", "text": words("查看"), "behaviors": [{"type": "open_url", "default_url": "https://example.com"}]})
}

fn columns(elements: Value) -> Value {
    json!({"tag": "column_set", "columns": [{"tag": "column", "elements": elements}]})
}

#[test]
fn an_announcement_in_2_0_passes_with_its_title_texts_and_images() {
    let card = json!({
        "schema": "2.0",
        "config": {"update_multi": true, "width_mode": "fill", "enable_forward": true,
            "summary": {"content": "体检通知", "i18n_content": {"en_us": "Check-up"}},
            "style": {"text_size": {"cus-0": {"default": "medium", "pc": "medium", "mobile": "large"}}}},
        "card_link": {"url": "https://example.com", "pc_url": ""},
        "header": {"title": {"tag": "plain_text", "content": "体检通知", "i18n_content": {"en_us": "Check-up"}},
            "subtitle": words("十二月"), "template": "blue", "padding": "12px",
            "icon": {"tag": "custom_icon", "img_key": "img_v3_icon"},
            "text_tag_list": [{"tag": "text_tag", "element_id": "t1", "text": words("重要"), "color": "red"}]},
        "body": {"direction": "vertical", "padding": "12px", "vertical_spacing": "8px", "elements": [
            {"tag": "markdown", "element_id": "m1", "content": "**时间** <font color='red'>周五</font> ![图](img_v3_map) <at id=all></at>",
                "icon": {"tag": "standard_icon", "token": "chat_outlined", "img_key": "img_v3_ignored"}},
            {"tag": "div", "text": {"tag": "plain_text", "content": "小字", "text_size": "notation", "text_color": "grey", "lines": 2}},
            {"tag": "div", "fields": [{"is_short": true, "text": {"tag": "lark_md", "content": "**地点**\n三楼"}}]},
            {"tag": "hr", "margin": "4px"},
            {"tag": "img", "img_key": "img_v3_big", "i18n_img_key": {"en_us": "img_v3_big_en"}, "alt": words("")},
            {"tag": "img_combination", "combination_mode": "double", "img_list": [{"img_key": "img_v3_a"}, {"img_key": "img_v3_b"}]},
            {"tag": "person_list", "persons": [{"id": "ou_a"}], "show_name": true},
            {"tag": "chart", "chart_spec": {"type": "bar", "data": {"values": [{"time": "周一", "value": 3}]}}, "aspect_ratio": "16:9"},
            {"tag": "table", "page_size": 5, "header_style": {"bold": true},
                "columns": [{"name": "who", "display_name": "谁", "data_type": "text"}, {"name": "note", "data_type": "markdown"}],
                "rows": [{"who": "张三", "note": "![](img_v3_cell)"}, {"who": 7}]},
            {"tag": "collapsible_panel", "expanded": false, "header": {"title": {"tag": "markdown", "content": "**细节**"}, "width": "auto"},
                "border": {"color": "grey"}, "elements": [{"tag": "markdown", "content": "正文"}]},
            {"tag": "interactive_container", "behaviors": [{"type": "open_url", "default_url": "https://example.com"}],
                "elements": [{"tag": "markdown", "content": "可点"}]},
            {"tag": "column_set", "flex_mode": "bisect", "action": {"multi_url": {"url": "https://example.com"}}, "columns": [
                {"tag": "column", "width": "weighted", "weight": 1, "elements": [link_button()]},
                {"tag": "column", "elements": [{"tag": "overflow", "options": [
                    {"text": words("更多"), "multi_url": {"url": "https://example.com", "ios_url": "lark://msgcard/unsupported_action"}}]}]}]},
            {"tag": "checker", "name": "c1", "checked": false, "text": words("我已知悉")}
        ]}
    });
    let facts = passes(card);
    assert_eq!((facts.version, facts.title.as_deref()), (CardVersion::Two, Some("体检通知")));
    let keys: Vec<(&str, &str)> = facts.image_keys.iter().map(|(path, key)| (path.as_str(), key.as_str())).collect();
    assert_eq!(
        keys,
        [
            ("header.icon.img_key", "img_v3_icon"),
            ("body.elements[0].content", "img_v3_map"),
            ("body.elements[4].img_key", "img_v3_big"),
            ("body.elements[4].i18n_img_key.en_us", "img_v3_big_en"),
            ("body.elements[5].img_list[0].img_key", "img_v3_a"),
            ("body.elements[5].img_list[1].img_key", "img_v3_b"),
            ("body.elements[8].rows[0].note", "img_v3_cell"),
        ]
    );
    let form_of = |path: &str| facts.texts.iter().find(|text| text.path == path).map(|text| text.form);
    assert_eq!(form_of("body.elements[0].content"), Some(TextForm::Markdown));
    assert_eq!(form_of("body.elements[1].text.content"), Some(TextForm::Plain));
    assert_eq!(form_of("body.elements[7].chart_spec.data.values[0].time"), Some(TextForm::Plain));
    assert_eq!(form_of("card_link.url"), Some(TextForm::Address));
}

#[test]
fn the_card_of_the_batch_send_page_passes() {
    let ticket = json!({
        "config": {"wide_screen_mode": true},
        "elements": [{"tag": "div", "fields": [
            {"is_short": true, "text": {"tag": "lark_md", "content": "**🗳工单来源：**\n报事报修"}},
            {"is_short": true, "text": {"tag": "lark_md", "content": "**📝工单类型：**\n客服工单"}}]}],
        "header": {"template": "turquoise", "title": {"content": "📚晒挚爱好书，赢读书礼金", "tag": "plain_text"}}
    });
    assert_eq!(passes(ticket).title.as_deref(), Some("📚晒挚爱好书，赢读书礼金"));
}

#[test]
fn what_1_0_has_of_its_own_passes() {
    let facts = passes(json!({
        "config": {"wide_screen_mode": true, "enable_forward": true, "of_tomorrow": 1},
        "header": {"title": {"tag": "plain_text", "i18n": {"en_us": "Notice", "zh_cn": "通知"}}, "icon": {"img_key": "img_v2_old"}},
        "i18n_header": {},
        "i18n_elements": {
            "zh_cn": [
                {"tag": "div", "text": {"tag": "lark_md", "content": "你好"}, "extra": {"tag": "img", "img_key": "img_v2_extra", "alt": words("")}},
                {"tag": "action", "layout": "flow", "actions": [
                    {"tag": "button", "text": {"tag": "lark_md", "content": "更多 :玫瑰:"}, "url": "https://example.com", "type": "default", "value": {}},
                    {"tag": "button", "text": words("多端"), "multi_url": {"url": "https://example.com", "android_url": ""}}]},
                {"tag": "note", "elements": [{"tag": "custom_icon", "img_key": "img_v2_note"}, words("备注"),
                    {"tag": "img", "img_key": "img_v2_small", "alt": words("")}]},
                columns(json!([link_button()]))],
            "en_us": [{"tag": "markdown", "content": "[Hello]($u)", "href": {"u": {"url": "https://example.com"}}, "of_tomorrow": 1}]
        }
    }));
    assert_eq!((facts.version, facts.title.as_deref()), (CardVersion::One, Some("通知")));
    let keys: Vec<&str> = facts.image_keys.iter().map(|(_, key)| key.as_str()).collect();
    assert_eq!(keys, ["img_v2_old", "img_v2_extra", "img_v2_note", "img_v2_small"]);
}

#[test]
fn a_null_of_1_0_is_nothing() {
    let button = json!({"tag": "button", "text": words("x"), "url": "https://a.cn", "value": null, "icon": null});
    let action = json!({"tag": "action", "actions": [button]});
    passes(json!({"config": null, "header": null, "card_link": {"url": null}, "elements": [action]}));
    let wanted = JsonType::Object;
    refused(&one(json!([action, null])), "elements[1]", CardFaultKind::WrongType { wanted });
    let wanted = JsonType::List;
    let language = json!({"i18n_elements": {"zh_cn": [action], "en_us": null}});
    refused(&language, "i18n_elements.en_us", CardFaultKind::WrongType { wanted });
    let wanted = JsonType::Object;
    refused(&json!({"schema": "2.0", "config": null}), "config", CardFaultKind::WrongType { wanted });
}

#[test]
fn a_card_says_which_language_it_is_written_in() {
    use CardFaultKind::*;
    let text = json!([{"tag": "markdown", "content": "x"}]);
    refused(&json!([1]), "", NotACard);
    refused(&json!({}), "", Empty);
    refused(&json!({"schema": "3.0", "elements": text}), "schema", UnknownSchema);
    refused(&json!({"schema": 2.0, "body": {"elements": text}}), "schema", UnknownSchema);
    refused(&json!({"body": {"elements": text}}), "schema", SchemaMissing);
    refused(&json!({"schema": "1.0", "body": {"elements": text}}), "schema", SchemaMissing);
    refused(&json!({"schema": "2.0", "elements": text}), "elements", NeedsBody);
    refused(&json!({"schema": "2.0", "elements": text, "body": {"elements": text}}), "body", BothVersions);
    refused(&json!({"elements": text, "body": {"elements": text}}), "body", BothVersions);
    refused(&json!({"header": {"title": words("x")}}), "elements", Missing);
    assert_eq!(passes(json!({"schema": "1.0", "elements": text})).version, CardVersion::One);
}

#[test]
fn a_card_on_which_nobody_sees_anything_is_empty() {
    for elements in [json!([]), json!([{"tag": "hr"}]), json!([{"tag": "markdown", "content": " \n"}])] {
        refused(&two(elements.clone()), "", CardFaultKind::Empty);
        refused(&one(elements), "", CardFaultKind::Empty);
    }
    refused(&json!({"schema": "2.0", "config": {"summary": {"content": "x"}}}), "", CardFaultKind::Empty);
    passes(json!({"schema": "2.0", "header": {"title": words("放假通知")}}));
    passes(two(json!([{"tag": "img", "img_key": "img_a", "alt": words("")}])));
}

#[test]
fn one_unknown_property_of_2_0_is_named_where_it_stands() {
    let card = |key: &str| {
        let mut card = two(json!([{"tag": "hr"}, {"tag": "markdown", "content": "x"}]));
        card[key] = json!({});
        card
    };
    use CardFaultKind::UnknownProperty;
    refused(&card("i18n_elements"), "body", CardFaultKind::BothVersions);
    refused(&card("fallback"), "fallback", UnknownProperty);
    let config = json!({"schema": "2.0", "config": {"wide_screen_mode": true}, "body": {"elements": []}});
    refused(&config, "config.wide_screen_mode", UnknownProperty);
    let header = json!({"schema": "2.0", "header": {"title": words("x"), "color": "red"}, "body": {"elements": []}});
    refused(&header, "header.color", UnknownProperty);
    let body = json!({"schema": "2.0", "body": {"elements": [], "gap": 1}});
    refused(&body, "body.gap", UnknownProperty);
    refused(&two(json!([{"tag": "hr", "colour": "red"}])), "body.elements[0].colour", UnknownProperty);
    let rounded =
        json!([{"tag": "column_set", "columns": [{"tag": "column", "corner_radius": "8px", "elements": []}]}]);
    refused(&two(rounded), "body.elements[0].columns[0].corner_radius", UnknownProperty);
    let title = json!([{"tag": "div", "text": {"tag": "plain_text", "content": "x", "i18n": {}}}]);
    refused(&two(title), "body.elements[0].text.i18n", UnknownProperty);
    let extra = json!([{"tag": "div", "text": words("x"), "extra": link_button()}]);
    refused(&two(extra), "body.elements[0].extra", UnknownProperty);
    let link =
        json!([{"tag": "button", "behaviors": [{"type": "open_url", "default_url": "https://a.cn", "url": ""}]}]);
    refused(&two(link), "body.elements[0].behaviors[0].url", UnknownProperty);
}

#[test]
fn an_unknown_component_is_named_where_it_stands() {
    use CardFaultKind::*;
    refused(
        &two(json!([columns(json!([{"tag": "buton"}]))])),
        "body.elements[0].columns[0].elements[0].tag",
        UnknownTag,
    );
    refused(&one(json!([{"tag": "markdwon", "content": "x"}])), "elements[0].tag", UnknownTag);
    refused(&one(json!([{"tag": "audio", "file_key": "f"}])), "elements[0].tag", UnknownTag);
    refused(&two(json!([{"tag": "audio", "file_key": "f"}])), "body.elements[0].tag", NeedsOwnFile);
    refused(&two(json!([{"tag": "action", "actions": []}])), "body.elements[0].tag", OldTag);
    refused(&two(json!([{"tag": "note", "elements": []}])), "body.elements[0].tag", OldTag);
    refused(&two(json!([{"content": "x"}])), "body.elements[0].tag", Missing);
    let wanted = JsonType::Object;
    refused(&two(json!(["x"])), "body.elements[0]", WrongType { wanted });
}

#[test]
fn whatever_calls_back_is_refused_and_links_stay() {
    use CardFaultKind::CallsBack;
    let callback = json!({"type": "callback", "value": {"action": "approve"}});
    let press = |more: Value| {
        let mut button = json!({"tag": "button", "text": words("好")});
        button.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        two(json!([button]))
    };
    refused(&press(json!({"behaviors": [callback]})), "body.elements[0].behaviors[0]", CallsBack);
    let both = json!({"behaviors": [{"type": "open_url", "default_url": "https://a.cn"}, callback]});
    refused(&press(both), "body.elements[0].behaviors[1]", CallsBack);
    refused(&press(json!({})), "body.elements[0]", CallsBack);
    refused(&press(json!({"behaviors": [{"type": "open_url", "default_url": ""}]})), "body.elements[0]", CallsBack);
    refused(&press(json!({"url": "https://a.cn", "value": {"k": 1}})), "body.elements[0].value", CallsBack);
    let submit = json!({"url": "https://a.cn", "form_action_type": "submit"});
    refused(&press(submit), "body.elements[0].form_action_type", CallsBack);
    passes(press(json!({"url": "https://a.cn", "value": {}})));

    let old = |button: Value| one(json!([{"tag": "action", "actions": [button]}]));
    refused(
        &old(json!({"tag": "button", "text": words("好"), "value": {"k": 1}})),
        "elements[0].actions[0].value",
        CallsBack,
    );
    refused(
        &old(json!({"tag": "button", "text": words("好"), "value": "yes"})),
        "elements[0].actions[0].value",
        CallsBack,
    );
    refused(&old(json!({"tag": "button", "text": words("好")})), "elements[0].actions[0]", CallsBack);
    let picked = json!({"tag": "overflow", "options": [{"text": words("一"), "value": "1"}]});
    refused(&old(picked), "elements[0].actions[0].options[0].value", CallsBack);
    let nothing = json!({"tag": "overflow", "options": [{"text": words("一")}]});
    refused(&old(nothing), "elements[0].actions[0].options[0]", CallsBack);
    let container = json!([{"tag": "interactive_container", "behaviors": [callback], "elements": []}]);
    refused(&two(container), "body.elements[0].behaviors[0]", CallsBack);
    let tick = json!([{"tag": "checker", "text": words("x"), "behaviors": [callback]}]);
    refused(&two(tick), "body.elements[0].behaviors[0]", CallsBack);
    let area = json!([{"tag": "checker", "text": words("x"), "button_area": {"buttons": [{"tag": "button", "text": words("y")}]}}]);
    refused(&two(area), "body.elements[0].button_area.buttons[0]", CallsBack);
}

#[test]
fn inputs_call_back_wherever_they_stand() {
    for tag in [
        "form",
        "input",
        "select_static",
        "multi_select_static",
        "select_person",
        "multi_select_person",
        "date_picker",
        "picker_time",
        "picker_datetime",
        "select_img",
    ] {
        let input = json!({"tag": tag, "name": "n", "elements": []});
        refused(&two(json!([input])), "body.elements[0].tag", CardFaultKind::CallsBack);
        let inside = two(json!([columns(json!([input]))]));
        refused(&inside, "body.elements[0].columns[0].elements[0].tag", CardFaultKind::CallsBack);
        refused(&one(json!([input])), "elements[0].tag", CardFaultKind::CallsBack);
    }
}

#[test]
fn a_bare_button_of_1_0_must_stand_in_an_action() {
    let button = json!({"tag": "button", "text": words("x"), "url": "https://a.cn"});
    refused(&one(json!([button])), "elements[0].tag", CardFaultKind::OutsideAction);
    passes(one(json!([{"tag": "action", "actions": [button]}])));
    passes(one(json!([columns(json!([button]))])));
    passes(two(json!([button])));
}

#[test]
fn two_hundred_elements_are_the_most_and_texts_count() {
    let many = |count| json!(vec![json!({"tag": "div", "text": words("x")}); count]);
    passes(two(many(100)));
    let why = CardFaultKind::TooMany { what: Counted::Elements, most: 200 };
    refused(&two(many(101)), "body.elements", why);
    passes(one(many(300)));
    let rulers = |count| {
        let mut elements = vec![json!({"tag": "hr"}); count];
        elements.push(json!({"tag": "markdown", "content": "x"}));
        two(json!(elements))
    };
    passes(rulers(199));
    refused(&rulers(200), "body.elements", why);
}

#[test]
fn an_element_id_is_well_formed_and_there_once() {
    let ids = |first: &str, second: &str| {
        two(json!([{"tag": "hr", "element_id": first},
            {"tag": "div", "text": {"tag": "plain_text", "content": "x", "element_id": second}}]))
    };
    passes(ids("a1", "b_2"));
    refused(&ids("same", "same"), "body.elements[1].text.element_id", CardFaultKind::RepeatedElementId);
    for bad in ["1a", "", "a-b", "名字", &"a".repeat(21)] {
        refused(&ids(bad, "b"), "body.elements[0].element_id", CardFaultKind::BadElementId);
    }
    passes(ids(&"a".repeat(20), "b"));
}

#[test]
fn values_that_feishu_lists_are_checked_in_2_0() {
    let config = |config: Value| json!({"schema": "2.0", "config": config, "header": {"title": words("x")}});
    refused(&config(json!({"update_multi": false})), "config.update_multi", CardFaultKind::NotShared);
    let allowed = schema::WIDTH_MODES;
    refused(&config(json!({"width_mode": "wide"})), "config.width_mode", CardFaultKind::BadValue { allowed });
    let header = |header: Value| json!({"schema": "2.0", "header": header});
    let allowed = schema::TEMPLATES;
    let pink = header(json!({"title": words("x"), "template": "pink"}));
    refused(&pink, "header.template", CardFaultKind::BadValue { allowed });
    refused(&header(json!({"subtitle": words("x")})), "header.title", CardFaultKind::Missing);
    let tag = json!({"tag": "text_tag", "text": words("x")});
    let four = header(json!({"title": words("x"), "text_tag_list": [tag, tag, tag, tag]}));
    refused(&four, "header.text_tag_list", CardFaultKind::TooMany { what: Counted::HeaderTags, most: 3 });
    let allowed = schema::TEXT_TAGS;
    let div = two(json!([{"tag": "div", "text": {"tag": "markdown", "content": "x"}}]));
    refused(&div, "body.elements[0].text.tag", CardFaultKind::BadValue { allowed });
    let wanted = JsonType::Text;
    let number = two(json!([{"tag": "markdown", "content": 5}]));
    refused(&number, "body.elements[0].content", CardFaultKind::WrongType { wanted });
    let long = json!([{"tag": "button", "text": words(&"长".repeat(101)), "url": "https://a.cn"}]);
    refused(&two(long), "body.elements[0].text.content", CardFaultKind::TooLong { most: 100 });
    let allowed = schema::BUTTON_TYPES;
    let red = json!([{"tag": "button", "type": "red", "url": "https://a.cn"}]);
    refused(&two(red), "body.elements[0].type", CardFaultKind::BadValue { allowed });
    let locale = json!([{"tag": "markdown", "content": "x", "i18n_content": {"chinese": "x"}}]);
    let allowed = schema::LOCALES;
    refused(&two(locale), "body.elements[0].i18n_content.chinese", CardFaultKind::BadValue { allowed });
    refused(&two(json!([{"tag": "div"}])), "body.elements[0].text", CardFaultKind::Missing);
    refused(&two(json!([{"tag": "img", "alt": words("")}])), "body.elements[0].img_key", CardFaultKind::Missing);
}

#[test]
fn only_web_addresses_are_links() {
    for bad in ["www.example.com", "javascript:alert(1)", "mailto:a@example.com"] {
        let button = two(json!([{"tag": "button", "behaviors": [{"type": "open_url", "default_url": bad}]}]));
        refused(&button, "body.elements[0].behaviors[0].default_url", CardFaultKind::BadLink);
        let link = json!({"elements": [], "card_link": {"url": bad}});
        refused(&link, "card_link.url", CardFaultKind::BadLink);
    }
    passes(two(json!([{"tag": "button", "text": words("x"), "url": "HTTPS://EXAMPLE.COM"}])));
}

#[test]
fn rows_fill_columns_that_are_there() {
    let table = |columns: Value, rows: Value| json!({"tag": "table", "columns": columns, "rows": rows});
    let name = json!([{"name": "a", "data_type": "text"}]);
    passes(two(json!([table(name.clone(), json!([{"a": "1"}]))])));
    let stranger = table(name.clone(), json!([{"a": "1"}, {"b": "2"}]));
    refused(&two(json!([stranger])), "body.elements[0].rows[1].b", CardFaultKind::NoSuchColumn);
    let wanted = JsonType::Object;
    let list = table(name.clone(), json!([["1"]]));
    refused(&two(json!([list])), "body.elements[0].rows[0]", CardFaultKind::WrongType { wanted });
    refused(&two(json!([table(json!([]), json!([]))])), "body.elements[0].columns", CardFaultKind::Missing);
    let why = CardFaultKind::TooMany { what: Counted::Columns, most: 50 };
    let wide = json!((0..51).map(|n| json!({"name": format!("c{n}")})).collect::<Vec<_>>());
    refused(&two(json!([table(wide, json!([]))])), "body.elements[0].columns", why);
    let six = json!(vec![table(name.clone(), json!([])); 6]);
    let why = CardFaultKind::TooMany { what: Counted::Tables, most: 5 };
    refused(&two(six.clone()), "body.elements[5]", why);
    refused(&one(six), "elements[5]", why);
    let inside = two(json!([columns(json!([table(name.clone(), json!([]))]))]));
    refused(&inside, "body.elements[0].columns[0].elements[0].tag", CardFaultKind::Misplaced);
    let mut long = table(name, json!([]));
    long["page_size"] = json!(11);
    let fault = check(&two(json!([long]))).expect_err("ten rows are the most");
    assert_eq!(fault.path, "body.elements[0].page_size");
}

#[test]
fn columns_stand_in_a_set_and_nothing_else_does() {
    let alone = two(json!([{"tag": "column", "elements": []}]));
    refused(&alone, "body.elements[0].tag", CardFaultKind::Misplaced);
    let other = two(json!([{"tag": "column_set", "columns": [{"tag": "div", "text": words("x")}]}]));
    refused(&other, "body.elements[0].columns[0].tag", CardFaultKind::Misplaced);
}

#[test]
fn five_containers_are_the_deepest() {
    let nested = |levels: usize| {
        let text = json!({"tag": "markdown", "content": "x"});
        two(json!([(0..levels).fold(text, |inner, _| columns(json!([inner])))]))
    };
    passes(nested(5));
    let fault = check(&nested(6)).expect_err("too deep");
    assert_eq!(fault.why, CardFaultKind::TooDeep);
    assert_eq!(check(&nested(60)).expect_err("too deep").why, CardFaultKind::TooDeep);
}

#[test]
fn what_was_found_is_short_whatever_the_card_says() {
    let long = "长".repeat(3000);
    for card in [
        json!({"schema": "2.0", long.clone(): 1}),
        two(json!([{"tag": long}])),
        two(json!([{"tag": "markdown", "content": {"x": long}}])),
        json!({"schema": long, "elements": []}),
    ] {
        let fault = check(&card).expect_err("must be refused");
        assert!(fault.found.chars().count() <= 44 && fault.path.chars().count() <= 80, "{fault:?}");
    }
}

fn parsed(text: &str) -> Value {
    match parse(text) {
        Ok(Parsed::Card(card)) => card,
        other => panic!("{text}: {other:?}"),
    }
}

#[track_caller]
fn unreadable(text: &str, path: &str, why: CardFaultKind) {
    let fault = parse(text).expect_err("must be refused");
    assert_eq!((fault.path.as_str(), fault.why), (path, why), "{text}");
}

#[test]
fn a_card_comes_out_of_its_wrapping() {
    let bare = parsed(r#"{"elements":[]}"#);
    assert_eq!(parsed("\u{FEFF} {\"card\": {\"elements\":[]}}\n"), bare);
    assert_eq!(parsed(r#"{"msg_type":"interactive","card":{"elements":[]}}"#), bare);
    let wanted = JsonType::Object;
    unreadable(r#"{"card":"x"}"#, "card", CardFaultKind::WrongType { wanted });
    unreadable(r#"{"msg_type":"text","content":{"text":"x"}}"#, "msg_type", CardFaultKind::NotACard);
    unreadable(r#"{"card":{"elements":[]},"open_ids":["ou_a"]}"#, "open_ids", CardFaultKind::BesideCard);
    unreadable(r#"{"card":{"card":{"elements":[]}}}"#, "card.card", CardFaultKind::NotACard);
    unreadable("[]", "", CardFaultKind::NotACard);
    unreadable(" \n", "", CardFaultKind::Empty);
}

#[test]
fn a_template_says_so() {
    let text = r#"{"type":"template","data":{"template_id":"AAqx","template_version_name":"1.0.0","template_variable":{"n":"1"}}}"#;
    let Ok(Parsed::Template { id, version, variables }) = parse(text) else { panic!("a template") };
    assert_eq!((id.as_str(), version.as_deref(), variables.get("n")), ("AAqx", Some("1.0.0"), Some(&json!("1"))));
    let wrapped = parse(r#"{"card":{"type":"template","data":{"template_id":"AAqx"}}}"#);
    assert!(matches!(wrapped, Ok(Parsed::Template { version: None, .. })), "{wrapped:?}");
    unreadable(r#"{"type":"template","data":{}}"#, "data.template_id", CardFaultKind::Missing);
    unreadable(
        r#"{"card":{"type":"template","data":{"template_id":""}}}"#,
        "card.data.template_id",
        CardFaultKind::Missing,
    );
    let wanted = JsonType::Object;
    let list = r#"{"type":"template","data":{"template_id":"A","template_variable":[]}}"#;
    unreadable(list, "data.template_variable", CardFaultKind::WrongType { wanted });
    unreadable(r#"{"type":"card","data":{"card_id":"7"}}"#, "type", CardFaultKind::NotACard);
}

fn at(line: usize, column: usize) -> TextPlace {
    TextPlace { line, column }
}

#[test]
fn broken_json_is_shown_where_it_breaks() {
    unreadable("{\"标题\": x}", "", CardFaultKind::NotJson { at: at(1, 8) });
    unreadable("{\n  \"a\": 1,\n  \"名\": 2,,\n}", "", CardFaultKind::NotJson { at: at(3, 10) });
    assert_eq!(parse("{\n  \"a\": 1,\n  \"名\": 2,,\n}").expect_err("broken").found, ",");
    unreadable("{\"a\": [1, 2", "", CardFaultKind::EndsEarly { at: at(1, 12) });
    assert_eq!(parse("{\u{A0}\"a\": 1}").expect_err("broken").found, "U+00A0");
    assert_eq!(parse("{\"a\"：1}").expect_err("broken").found, "：1}");
    let deep = "[".repeat(100_000);
    unreadable(&deep, "", CardFaultKind::TooDeep);
}

#[test]
fn smart_quotes_are_named_and_not_mended() {
    unreadable("{“elements”: []}", "", CardFaultKind::SmartQuotes { at: at(1, 2) });
    unreadable("{\"elements\": [],\n\"a\": “b”}", "", CardFaultKind::SmartQuotes { at: at(2, 6) });
    unreadable("{\"a”: \"x\"}", "", CardFaultKind::SmartQuotes { at: at(1, 4) });
    assert_eq!(parse("{“elements”: []}").expect_err("broken").found, "“elements”: []}");
    // Another mistake behind it, and proper ones before it, change nothing.
    unreadable("{“a\": 1,}", "", CardFaultKind::SmartQuotes { at: at(1, 2) });
    unreadable("{\"t\": \"“好”\", “b”: 1}", "", CardFaultKind::SmartQuotes { at: at(1, 14) });
    // Within a text they are what people write.
    assert_eq!(parsed(r#"{"elements": ["“好”"]}"#), json!({"elements": ["“好”"]}));
    let at = at(1, 22);
    unreadable("{\"elements\": [\"“好”\"] x}", "", CardFaultKind::NotJson { at });
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("tag"),
        Just("elements"),
        Just("body"),
        Just("schema"),
        Just("2.0"),
        Just("header"),
        Just("title"),
        Just("content"),
        Just("columns"),
        Just("column_set"),
        Just("column"),
        Just("text"),
        Just("plain_text"),
        Just("button"),
        Just("behaviors"),
        Just("rows"),
        Just("table"),
        Just("name"),
        Just("markdown"),
        Just("i18n_content"),
        Just("icon"),
        Just("img_key"),
        Just("div"),
        Just("fields"),
        Just("config"),
        Just("action"),
        Just("note"),
        Just("options"),
        Just("overflow"),
        Just("“字”"),
    ];
    let word = word.prop_map(str::to_owned).boxed();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(word.clone(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_panics(value in any_json()) {
        let _ = check(&value);
        let _ = check(&two(value.clone()));
        let _ = check(&two(json!([value])));
        let _ = check(&json!({"elements": [value]}));
        let _ = parse(&value.to_string());
    }

    #[test]
    fn no_text_panics(text in any::<String>(), brackets in r#"[{}\[\]"“”:,a1 \n\\]{0,40}"#) {
        let _ = parse(&text);
        let _ = parse(&brackets);
        let _ = parse(&format!("{{{text}"));
    }
}
