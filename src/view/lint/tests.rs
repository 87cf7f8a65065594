//! What people read of a fault or a finding.

use serde_json::json;

use super::*;
use crate::domain::lint::card::{check, parse};
use crate::domain::lint::words::findings;

/// One of each kind.
fn every_kind() -> Vec<CardFaultKind> {
    use CardFaultKind::*;
    let at = TextPlace { line: 2, column: 7 };
    vec![
        NotJson { at },
        EndsEarly { at },
        SmartQuotes { at },
        NotACard,
        Empty,
        BesideCard,
        UnknownSchema,
        SchemaMissing,
        BothVersions,
        NeedsBody,
        Missing,
        WrongType { wanted: JsonType::Object },
        WrongType { wanted: JsonType::List },
        WrongType { wanted: JsonType::Text },
        UnknownProperty,
        UnknownTag,
        OldTag,
        OutsideAction,
        Misplaced,
        TooDeep,
        TooMany { what: Counted::Elements, most: 200 },
        TooMany { what: Counted::Tables, most: 5 },
        TooMany { what: Counted::HeaderTags, most: 3 },
        TooMany { what: Counted::Columns, most: 50 },
        BadElementId,
        RepeatedElementId,
        NotShared,
        NoSuchColumn,
        BadValue { allowed: &["a", "b"] },
        TooLong { most: 100 },
        BadLink,
        NeedsOwnFile,
        CallsBack,
    ]
}

#[test]
fn every_fault_says_where_what_and_what_to_do_in_both_languages() {
    let mut said = std::collections::BTreeSet::new();
    for why in every_kind() {
        let text = fault(&CardFault { path: "body.elements[3].tag".into(), why, found: "x1".into() });
        assert!(text.zh.starts_with("这张卡片不能发送，问题在「body.elements[3].tag」："), "{}", text.zh);
        assert!(
            text.en.starts_with("This card cannot be sent; the problem is at “body.elements[3].tag”. "),
            "{}",
            text.en
        );
        assert!(text.zh.ends_with('。') && text.en.ends_with(['.', '}']), "{text:?}");
        assert!(!text.zh.contains("。。") && !text.en.contains("  "), "{text:?}");
        assert!(said.insert(text.zh) && said.insert(text.en), "{why:?} is said like another");
    }
}

#[test]
fn the_sentences_of_real_cards() {
    let of = |card: serde_json::Value| fault(&check(&card).expect_err("must be refused"));
    let button = json!({"tag": "button", "behaviors": [{"type": "callback", "value": {}}]});
    let text = of(json!({"schema": "2.0", "body": {"elements": [button]}}));
    insta::assert_snapshot!(text.zh, @"这张卡片不能发送，问题在「body.elements[0].behaviors[0]」：点击后会回传（callback）。飞书批量发送的卡片不支持回传交互，点了只会报错。请改成打开链接（open_url 或 url），或删掉它；要收集信息，请用表单链接。");
    insta::assert_snapshot!(text.en, @"This card cannot be sent; the problem is at “body.elements[0].behaviors[0]”. Pressing it calls back (callback). Feishu does not support that on cards sent in batches; it would only show an error. Let it open a link (open_url or url), or drop it; to collect answers, link to a form.");
    let text = of(json!({"schema": "2.0", "body": {"elements": [{"tag": "hr", "colour": "red"}]}}));
    insta::assert_snapshot!(text.zh, @"这张卡片不能发送，问题在「body.elements[0].colour」：2.0 卡片没有属性「colour」。请检查拼写，或删掉它：飞书会因此拒绝整张卡片。");
    insta::assert_snapshot!(text.en, @"This card cannot be sent; the problem is at “body.elements[0].colour”. 2.0 cards have no property “colour” there. Check the spelling or leave it out: Feishu refuses the whole card for it.");
    let text = of(json!({"schema": "2.0", "body": {"elements": [{"tag": "note", "elements": []}]}}));
    insta::assert_snapshot!(text.zh, @r#"这张卡片不能发送，问题在「body.elements[0].tag」：2.0 卡片不再支持「note」。请改用 div，文字设 "text_size": "notation"、"text_color": "grey"。"#);
    let text =
        of(json!({"schema": "2.0", "header": {"title": {"tag": "plain_text", "content": "x"}, "template": "pink"}}));
    insta::assert_snapshot!(text.en, @r#"This card cannot be sent; the problem is at “header.template”. It cannot be "pink". It can be: blue, wathet, turquoise, green, yellow, orange, red, carmine, violet, purple, indigo, grey, default."#);
    let text = fault(&parse("{\n“a”: 1}").expect_err("must be refused"));
    insta::assert_snapshot!(text.zh, @r#"这张卡片不能发送。第 2 行第 1 个字符是中文引号：「“a”: 1}」，JSON 只认英文直引号 "。请把这些引号都改成 "；把 JSON 放进代码块再发送可以避免自动替换。"#);
    insta::assert_snapshot!(text.en, @r#"This card cannot be sent. There is a curly quote at line 2, character 1: 「“a”: 1}」; JSON takes only straight ones, ". Replace all of them by "; a code block keeps chat programs from changing them."#);
}

#[test]
fn findings_are_told_with_what_was_found() {
    let text = "{{name}} 密码：abc12345 11010519491231002X @所有人 **好**\n# 标题";
    let said: Vec<Text> = findings(text).iter().map(finding).collect();
    insta::assert_snapshot!(Text::lines(&said).zh, @r"
    有没替换的占位内容「{{name}}」，收件人会原样看到
    看起来包含密码或密钥（密码：ab…），发出后所有收件人都能看到
    看起来包含身份证号或银行卡号（110…），发出后所有收件人都能看到
    「@所有人」在群发的文字里不会提醒任何人
    「**好**」的样式不会生效，符号会原样显示；需要样式请改用卡片
    「# 标题」是 Markdown，在文本消息里会原样显示；需要排版请改用卡片
    ");
    insta::assert_snapshot!(Text::lines(&said).en, @r"
    A placeholder was not filled in: “{{name}}”; everyone will see it like this
    This looks like a password or a key (密码：ab…); everyone who gets it can read it
    This looks like the number of an identity or bank card (110…); everyone who gets it can read it
    “@所有人” reminds nobody in a broadcast text
    The style of “**好**” is not applied; the marks arrive as typed. Use a card for styles
    “# 标题” is Markdown, which arrives as typed in a text. Use a card for layout
    ");
    let person = finding(&Finding { kind: FindingKind::PersonMention, excerpt: "ou_a".into() });
    assert!(person.zh.contains("「ou_a」") && person.en.contains("“ou_a”"));
}

#[test]
fn nothing_quoted_can_ping_anyone() {
    let text = finding(&Finding { kind: FindingKind::EveryoneMention, excerpt: "<at id=all></at>".into() });
    assert!(!text.zh.contains("<at id") && !text.en.contains("<at id"), "{text:?}");
    let why = CardFaultKind::UnknownTag;
    let text = fault(&CardFault { path: "elements[0].tag".into(), why, found: "<at id=all>".into() });
    assert!(!text.zh.contains("<at id"), "{text:?}");
}
