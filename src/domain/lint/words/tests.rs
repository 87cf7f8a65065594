//! True findings are found, and ordinary sentences are left alone.

use proptest::prelude::*;

use super::super::{CardText, CardVersion, Severity, severity};
use super::*;

fn kinds(text: &str) -> Vec<FindingKind> {
    findings(text).into_iter().map(|finding| finding.kind).collect()
}

#[track_caller]
fn found(text: &str, kind: FindingKind, excerpt: &str) {
    let found = findings(text);
    assert_eq!(found, [Finding { kind, excerpt: excerpt.to_owned() }], "{text}");
}

#[track_caller]
fn nothing_to_confirm(text: &str) {
    let asks: Vec<_> =
        findings(text).into_iter().filter(|finding| severity(finding.kind) == Severity::MustConfirm).collect();
    assert!(asks.is_empty(), "{text}: {asks:?}");
}

#[test]
fn gaps_of_templates_are_found() {
    for (text, gap) in [
        ("{{name}}，您好", "{{name}}"),
        ("您好 {{ 姓名 }}：", "{{ 姓名 }}"),
        ("{{user.first_name}}", "{{user.first_name}}"),
        ("{{1}} 已提交", "{{1}}"),
        ("{{#each items}}", "{{#each items}}"),
        ("亲爱的${name}", "${name}"),
        ("金额 ${订单.金额} 元", "${订单.金额}"),
        ("定于XX月XX日召开", "XX月XX日"),
        ("x月x日前完成", "x月x日"),
    ] {
        found(text, FindingKind::Placeholder, gap);
    }
}

#[test]
fn braces_and_brackets_of_ordinary_texts_are_no_gaps() {
    for text in [
        "参数 {name} 填姓名",
        "【姓名】张三 [部门] 销售",
        "费用 $100，{1, 2, 3}",
        "函数 f(x) { return {{1, 2}, {3}}; }",
        "{{}} 和 ${}",
        "部门XXX请注意，5月6日开会",
        "{{这里是一段很长很长的话，带有标点，不像任何变量的名字}}",
    ] {
        nothing_to_confirm(text);
    }
}

#[test]
fn secrets_with_a_form_of_their_own_are_found_and_masked() {
    let long = "0123456789abcdefABCDEF0123456789abcdef01";
    for (text, shown) in [
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE…".to_owned(), "BEGIN RSA PRIVATE KEY…"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----".to_owned(), "BEGIN OPENSSH PRIVATE KEY…"),
        ("密钥AKIAIOSFODNN7EXAMPLE请收好".to_owned(), "AKI…"),
        ("LTAI5tAbCdEfGhIjKlMnOpQr".to_owned(), "LTA…"),
        (format!("ghp_{long}"), "ghp…"),
        (format!("github_pat_{long}"), "git…"),
        (format!("用 sk-{long} 调用"), "sk-…"),
        (format!("sk-proj-{long}"), "sk-…"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27u".to_owned(), "eyJ…"),
        ("t-7f1bcd13fc57d46bac21793a18e560".to_owned(), "t-7…"),
        ("（u-7f1bcd13fc57d46bac21793a18e560）".to_owned(), "u-7…"),
        ("Authorization: Bearer abcdef123".to_owned(), "Aut…"),
        ("Bearer 0123456789abcdef0".to_owned(), "Bea…"),
        ("https://open.feishu.cn/open-apis/bot/v2/hook/0b2a1c3d-1111-2222-3333-444455556666".to_owned(), "…/hook/0b2…"),
    ] {
        found(&text, FindingKind::Credential, shown);
    }
}

#[test]
fn secrets_behind_their_name_are_found_and_masked() {
    for (text, shown) in [
        ("密码：abc12345", "密码：ab…"),
        ("初始密码:Init@2024!!!", "密码:Ini…"),
        ("服务器口令是 root123456", "口令是 ro…"),
        ("密码为 8888", "密码为 8…"),
        ("密码是：welcome88", "密码是：we…"),
        ("The password is Welcome2024", "password is We…"),
        ("db_password=hunter22", "password=hu…"),
        ("password=hunter22", "password=hu…"),
        ("Password: S3cret!", "Password: S…"),
        (r#"{"app_secret": "dskLLdkasdjlasdKK"}"#, r#"app_secret": dsk…"#),
        ("client_secret=abcdefghijklmnop", "client_secret=abc…"),
        ("https://a.cn/x?access_token=abcdefgh1234", "access_token=abc…"),
    ] {
        found(text, FindingKind::Credential, shown);
    }
}

#[test]
fn no_finding_ever_tells_the_whole_secret() {
    for secret in ["密码：1234", "password=abcd", "AKIAIOSFODNN7EXAMPLE", "11010519491231002X", "4111111111111111"] {
        let found = findings(secret);
        assert_eq!(found.len(), 1, "{secret}");
        let value = secret.trim_start_matches(|c: char| !c.is_ascii()).trim_start_matches("password=");
        assert!(!found.iter().any(|finding| finding.excerpt.contains(value)), "{found:?}");
    }
}

#[test]
fn talk_about_passwords_is_no_secret() {
    for text in [
        "密码：工号后六位",
        "初始密码为身份证后六位，请尽快修改",
        "密码长度 8-20 位",
        "密码：8-20位字母和数字",
        "修改密码：https://passport.example.com/reset",
        "忘记密码：请联系 IT",
        "密码为Feishu账号的密码",
        "密码：******",
        "password: ********",
        "Password: required",
        "The password is case-sensitive and must be changed",
        "https://a.cn/login?resetpassword=true",
        "API key: please ask your administrator",
        "password=<your password>",
        "腾讯会议号：123-456-789\n会议密码：123456",
        "Zoom 会议 https://zoom.us/j/123456789?pwd=abcDEF123\n密码：886622",
        "直播观看密码：2024",
        "u-shape 的桌子 t-shirt 一件 a-b c-d",
        "https://news.example.com/sk-hynix-announces-new-memory-products",
        "The bearer understandably-long-word-here of this letter",
    ] {
        nothing_to_confirm(text);
    }
}

#[test]
fn numbers_of_people_are_found_and_masked() {
    for (text, shown) in [
        ("身份证11010519491231002X，请核对", "110…"),
        ("身份证号：11010519491231002x", "110…"),
        ("310101199003077616", "310…"),
        ("440306 20000229 1239", "440…"),
        ("１１０１０５１９４９１２３１００２Ｘ", "110…"),
        ("电话 13800138000 310101199003077616", "310…"),
        ("卡号 6222020200112233446", "622…"),
        ("卡号 6222 0202 0011 2233 446 招行", "622…"),
        ("4111 1111 1111 1111", "411…"),
        ("5555-5555-5555-4444", "555…"),
        ("3530111333300000", "353…"),
        ("6217001234567810 2026年", "621…"),
    ] {
        found(text, FindingKind::IdNumber, shown);
    }
}

#[test]
fn numbers_that_do_not_add_up_belong_to_nobody() {
    for text in [
        "110105194912310021",
        "110101199002307611",
        "200101199003077610",
        "6222020200112233447",
        "4111111111111112",
        "2411261234567896",
        "订单号：6222020200112233446",
        "运单 4111111111111111",
        "https://example.com/item/4111111111111111",
        "id=4111111111111111&x=1",
        "A4111111111111111",
        "0.4111111111111111",
        "411111111111111100000",
        "0000000000000000",
    ] {
        nothing_to_confirm(text);
    }
}

#[test]
fn everyone_is_noticed() {
    found("@所有人 周五开会", FindingKind::EveryoneInText, "@所有人");
    found("请 @_all 查看", FindingKind::EveryoneInText, "@_all");
    for tag in ["<at id=all></at>", "<at user_id=\"all\">所有人</at>", "<\u{200B}at id='all'>"] {
        assert_eq!(kinds(tag), [FindingKind::EveryoneInText], "{tag}");
    }
    nothing_to_confirm("请所有人参加；a@allied.com；@_allen；<at id=ou_alla></at>");
}

#[test]
fn marks_of_style_are_noted() {
    for (text, shown) in [
        ("<b>重要</b>通知", "<b>重要</b>"),
        ("<I>x</I>", "<I>x</I>"),
        ("请<u>务必</u>", "<u>务必</u>"),
        ("**重要**：周五", "**重要**"),
        ("原价~~100~~元", "~~100~~"),
    ] {
        found(text, FindingKind::StyleDropped, shown);
    }
    for text in ["138****5678 和 139****1234", "2**10 > 1000", "a < b > c", "密码 ** 位", "~~~", "** 不是 **"] {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn markdown_is_noted() {
    for text in ["# 标题", "### 三级", "```rust", "| a | b |\n|---|---|", "![图](img_v3_a)"] {
        assert_eq!(kinds(text), [FindingKind::MarkdownInText], "{text}");
    }
    for text in ["#话题# 讨论", "#1 方案", "- 第一\n- 第二", "1. 一", "> 引用", "—— 完 ——", "a | b"]
    {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn ordinary_announcements_need_no_confirmation() {
    for text in [
        "各位同事：\n定于2026年12月1日（周二）下午15:00-16:30在3号楼301召开季度会，请准时参加。",
        "订单号 202411261234567890 已发货，快递单号 SF1234567890123，金额 ¥12,345.67。",
        "请于 12/31 前提交报销单，发票号 044001900111-12345678，税号 91110108MA01C8XT3K。",
        "腾讯会议：https://meeting.tencent.com/dm/abcDEF123456 会议号：123-456-789",
        "飞书会议 https://vc.feishu.cn/j/123456789，文档 https://example.feishu.cn/docx/doxcnAbCdEfGhIjKlMnOpQrStUv",
        "如有疑问请致电 010-12345678 或 13800138000（李四），邮箱 hr@example.com。",
        "支付宝交易号 2024112622001412345678901234，微信订单 4200001234202411261234567890",
        "本季度营收 1,234,567,890.12 元，同比增长 12.5%，完成率 102%。",
        "开户行账号 110060149018010023456，统一社会信用代码 91350100M000100Y43",
        "IP 10.0.0.1:8080，版本 v1.2.3-rc.4，提交 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "UUID 123e4567-e89b-12d3-a456-426614174000，时间戳 1700000000000",
        "请用手机号登录，验证码 5 分钟内有效；密码不少于 8 位。",
        "@张三 请跟进，@李四 协助。",
        "Dear all, the office is closed from Dec 24 to Jan 1. Happy holidays!",
    ] {
        assert_eq!(findings(text), [], "{text}");
    }
}

#[test]
fn a_kind_is_told_five_times_at_most_and_each_thing_once() {
    assert_eq!(findings(&"{{a}} ".repeat(100)).len(), 1);
    let many: String = (0..100).map(|n| format!("{{{{v{n}}}}} ")).collect();
    let told = findings(&format!("{many} # \n# x\n @所有人"));
    assert_eq!(told.len(), 7);
    assert!(told.is_sorted_by_key(|finding| finding.kind));
}

#[test]
fn only_secrets_gaps_numbers_and_everyone_need_a_confirmation() {
    use FindingKind::*;
    let asks = [Placeholder, Credential, IdNumber, EveryoneMention].map(severity);
    assert_eq!(asks, [Severity::MustConfirm; 4]);
    assert_eq!([EveryoneInText, PersonMention, StyleDropped, MarkdownInText].map(severity), [Severity::Note; 4]);
}

#[test]
fn a_card_is_read_by_what_becomes_of_each_text() {
    let text = |form, text: &str| CardText { path: "x".into(), text: text.into(), form };
    let facts = |texts| CardFacts { version: CardVersion::Two, title: None, image_keys: vec![], texts };
    let kinds = |form, words: &str| -> Vec<FindingKind> {
        findings_in_card(&facts(vec![text(form, words)])).into_iter().map(|finding| finding.kind).collect()
    };
    assert_eq!(kinds(TextForm::Markdown, "# **好** <b>x</b> ![](img_a)"), []);
    assert_eq!(kinds(TextForm::Plain, "**好**"), [FindingKind::StyleDropped]);
    assert_eq!(kinds(TextForm::Markdown, "<at id=all></at>"), [FindingKind::EveryoneMention]);
    assert_eq!(kinds(TextForm::Markdown, "<at id=ou_a></at><at ids=ou_b,ou_c></at>"), [FindingKind::PersonMention; 2]);
    assert_eq!(kinds(TextForm::Markdown, "{{name}}"), [FindingKind::Placeholder]);
    assert_eq!(kinds(TextForm::Address, "https://a.cn/4111 1111 1111 1111"), []);
    assert_eq!(kinds(TextForm::Address, "https://a.cn/?id=${id}"), [FindingKind::Placeholder]);
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_told_is_short(text in any::<String>(), dense in r"[0-9xX {}$*~#<>at/b@_所有人密码：=\-\n]{0,120}") {
        for text in [&text, &dense] {
            for finding in findings(text) {
                prop_assert!(finding.excerpt.chars().count() <= 60, "{finding:?}");
            }
        }
    }
}

/// A text as long as Feishu takes, built to be slow for a reader that goes back and forth.
#[test]
fn the_longest_text_is_read_in_one_go() {
    for hostile in [
        "{{a ",
        "**a ",
        "1 ",
        "密码：",
        "密码：1234 ",
        "password=a1b2 ",
        "<b>",
        "eyJaaaaaaaa.",
        "<at id=",
        "11010519491231002 ",
    ] {
        let text = hostile.repeat(150 * 1024 / hostile.len());
        assert!(findings(&text).len() <= 35);
    }
}
