//! The parser's table. `check` writes a command down shortly, `wrong` a mistake with its place.

use proptest::prelude::*;

use super::*;
use crate::domain::content::{Node, Post};

fn mention(key: &str, name: &str, id: &str) -> Mention {
    Mention { key: key.to_owned(), name: name.to_owned(), open_id: OpenId::new(id), union_id: None, user_id: None }
}

/// `@_user_1` is the bot; `@_user_4` has only a union_id, `@_user_5` nothing at all.
fn mentions() -> Vec<Mention> {
    let mut colleague = mention("@_user_4", "王五", "");
    colleague.union_id = UnionId::new("on_4");
    vec![
        mention("@_user_1", "播报", "ou_bot"),
        mention("@_user_2", "张三", "ou_2"),
        mention("@_user_3", "李四", "ou_3"),
        colleague,
        mention("@_user_5", "路人", ""),
        mention("@_user_10", "Ten", "ou_10"),
    ]
}

fn parsed(body: &Body) -> Result<Command, CommandError> {
    let bot = OpenId::new("ou_bot").expect("a plain id");
    parse(&Said { body, mentions: &mentions(), bot: Some(&bot) })
}

fn target(target: &Target) -> String {
    match target {
        Target::Name(name) => name.clone(),
        Target::Path(parts) => parts.join(">"),
        Target::Department(id) => format!("dept={id}"),
        Target::OpenId(id) => format!("open={id}"),
        Target::UnionId(id) => format!("union={id}"),
        Target::UserId(id) => format!("user={id}"),
        Target::Mention { open_id, name } => format!("at={open_id}={name}"),
        Target::Email(address) => format!("mail={address}"),
        Target::Phone(number) => format!("phone={number}"),
        Target::Everyone => "EVERYONE".to_owned(),
        Target::File => "FILE".to_owned(),
    }
}

/// `/broadcast (options) [targets] content`, other commands as their debug form.
fn written(command: &Command) -> String {
    let Command::Broadcast(request) = command else { return format!("{command:?}") };
    let BroadcastOptions { at, template, vars, card, dry_run } = &request.options;
    let mut out = vec![];
    out.extend(at.iter().map(|at| format!("at={at} ")));
    out.extend(template.iter().map(|id| format!("template={id} ")));
    out.extend(vars.iter().map(|(name, value)| format!("{name}={value} ")));
    out.extend(card.then(|| "card ".to_owned()));
    out.extend(dry_run.then(|| "dry-run ".to_owned()));
    out.push(format!("[{}]", request.targets.iter().map(target).collect::<Vec<_>>().join("|")));
    match &request.content {
        None => {}
        Some(Content::Text(text)) => out.push(format!(" {text}")),
        Some(Content::Post(locales)) => out.push(format!(" {:?}", locales["zh_cn"])),
        Some(other) => out.push(format!(" {other:?}")),
    }
    out.concat()
}

fn check(said: &str, expect: &str) {
    match parsed(&Body::Text(said.to_owned())) {
        Ok(command) => assert_eq!(written(&command), expect, "{said}"),
        Err(error) => panic!("{said}: {error:?}"),
    }
}

/// Checks a mistake: the beginning of its debug form, and what is quoted of it.
fn wrong(said: &str, kind: &str, excerpt: &str) {
    match parsed(&Body::Text(said.to_owned())) {
        Ok(command) => panic!("{said}: {command:?}"),
        Err(error) => {
            assert!(format!("{:?}", error.kind).starts_with(kind), "{said}: {error:?}");
            assert_eq!(error.excerpt, excerpt, "{said}");
            assert_eq!(error.at.is_none(), excerpt.is_empty(), "{said}: {error:?}");
        }
    }
}

mod command_word {
    use super::*;

    #[test]
    fn every_command_in_english() {
        check("/broadcast 销售部 你好", "[销售部] 你好");
        check("/status", "Status(None)");
        check("/list", "List(Recent)");
        check("/cancel K7M2QX", "Cancel(BroadcastId(\"K7M2QX\"))");
        check("/recall k7m2qx", "Recall(BroadcastId(\"K7M2QX\"), None)");
        check("/departments 销售", "Departments(\"销售\")");
        check("/login", "Login");
        check("/logout", "Logout");
        check("/whoami", "WhoAmI");
        check("/help", "Help(None)");
    }

    #[test]
    fn every_command_in_chinese() {
        check("/群发 销售部 你好", "[销售部] 你好");
        check("/进度 K7M2QX", "Status(Some(BroadcastId(\"K7M2QX\")))");
        check("/列表 pending", "List(Pending)");
        check("/取消 K7M2QX", "Cancel(BroadcastId(\"K7M2QX\"))");
        check("/撤回 K7M2QX 第３批", "Recall(BroadcastId(\"K7M2QX\"), Some(3))");
        check("/撤回 K7M2QX", "Recall(BroadcastId(\"K7M2QX\"), None)");
        check("/部门 销售", "Departments(\"销售\")");
        check("/登录", "Login");
        check("/登出", "Logout");
        check("/我是谁", "WhoAmI");
        check("/帮助 群发", "Help(Some(Broadcast))");
    }

    #[test]
    fn case_and_width_do_not_matter() {
        check("／ＢＲＯＡＤＣＡＳＴ　销售部　你好", "[销售部] 你好");
        check("／HeLp", "Help(None)");
        check("/ help", "Help(None)");
    }

    #[test]
    fn blanks_around_do_not_matter() {
        check(" \u{3000}\u{200B}\n/help \u{200B}\u{3000}\n", "Help(None)");
        check("/he\u{200B}lp", "Help(None)");
    }

    #[test]
    fn the_bot_is_no_part_of_a_command() {
        check("@_user_1 /help", "Help(None)");
        check("@_user_1\u{3000}@_user_1/help", "Help(None)");
        check("/help @_user_1", "Help(None)");
        check("/status @_user_1 K7M2QX @_user_1", "Status(Some(BroadcastId(\"K7M2QX\")))");
        check("@_user_1 /broadcast @_user_1 销售部 @_user_1 你好", "[销售部] 你好");
    }

    #[test]
    fn a_command_glued_to_chinese_is_understood() {
        check("/群发销售部 内容", "[销售部] 内容");
        check("/broadcast销售部 内容", "[销售部] 内容");
        check("/群发“销售 部”,od-1 内容", "[销售 部|dept=od-1] 内容");
        check("/群发：销售部 内容", "[销售部] 内容");
        check("/群发--dry-run 销售部 内容", "dry-run [销售部] 内容");
        check("/取消K7M2QX", "Cancel(BroadcastId(\"K7M2QX\"))");
        check("/部门销售", "Departments(\"销售\")");
        check("/帮助群发", "Help(Some(Broadcast))");
        check("/群发信息技术部 内容", "[信息技术部] 内容");
    }

    #[test]
    fn glue_is_read_like_a_blank_or_not_at_all() {
        for name in CommandName::ALL {
            for rest in ["销售部 内容", "K7M2QX", "全部", "消息 内容", "给销售部 内容", "x", "群发"]
            {
                for alias in [name.english(), name.chinese()] {
                    let glued = parsed(&Body::Text(format!("/{alias}{rest}")));
                    let apart = parsed(&Body::Text(format!("/{alias} {rest}")));
                    assert!(glued.is_err() || glued == apart, "/{alias}{rest}: {glued:?}");
                }
            }
        }
    }

    #[test]
    fn no_name_begins_another() {
        for one in CommandName::ALL {
            for other in CommandName::ALL.into_iter().filter(|other| *other != one) {
                assert!(!one.english().starts_with(other.english()), "{one:?} {other:?}");
                assert!(!one.chinese().starts_with(other.chinese()), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_phrase_is_no_department() {
        wrong("/群发消息 销售部 内容", "Unknown { typed: \"群发消息\", suggestion: Some(Broadcast)", "/群发消息");
        wrong("/群发给销售部 内容", "Unknown { typed: \"群发给销售部\", suggestion: Some(Broadcast)", "/群发给销售部");
        wrong("/我是谁呀", "Unknown { typed: \"我是谁呀\", suggestion: Some(WhoAmI)", "/我是谁呀");
    }

    #[test]
    fn a_misspelt_command_gets_a_suggestion() {
        for (typed, meant) in [
            ("brodcast", "Broadcast"),
            ("braodcast", "Broadcast"),
            ("stauts", "Status"),
            ("lsit", "List"),
            ("cancle", "Cancel"),
            ("department", "Departments"),
            ("hepl", "Help"),
            ("群法", "Broadcast"),
            ("登陆", "Login"),
            ("我是", "WhoAmI"),
            ("broadcasts", "Broadcast"),
        ] {
            let kind = format!("Unknown {{ typed: {typed:?}, suggestion: Some({meant})");
            wrong(&format!("/{typed} x"), &kind, &format!("/{typed}"));
        }
        wrong("/吃饭", "Unknown { typed: \"吃饭\", suggestion: None", "/吃饭");
        wrong("/", "Unknown { typed: \"\", suggestion: None", "/");
        wrong(&format!("/{}", "a".repeat(100_000)), "Unknown", &format!("/{}…", "a".repeat(22)));
    }

    #[test]
    fn talk_is_no_command() {
        wrong("你好", "NotACommand", "你好");
        wrong("@_user_1 谢谢", "NotACommand", "谢谢");
        wrong("", "NotACommand", "");
        wrong("@_user_2 /help", "NotACommand", "@张三 /help");
    }
}

mod small_commands {
    use super::*;

    #[test]
    fn filters_in_both_languages() {
        check("/list PENDING", "List(Pending)");
        check("/list scheduled", "List(Scheduled)");
        check("/list all", "List(All)");
        check("/列表 全部", "List(All)");
        wrong("/list mine", "BadListFilter { typed: \"mine\"", "mine");
    }

    #[test]
    fn ids_as_people_type_them() {
        check("/status #k7m2qx", "Status(Some(BroadcastId(\"K7M2QX\")))");
        check("/status 「Ｋ７Ｍ２ＱＸ」", "Status(Some(BroadcastId(\"K7M2QX\")))");
        wrong("/cancel", "MissingId", "");
        wrong("/撤回 ", "MissingId", "");
        wrong("/cancel K7M2Q0", "BadBroadcastId { typed: \"K7M2Q0\"", "K7M2Q0");
        wrong("/status 销售部", "BadBroadcastId", "销售部");
        wrong("/cancel K7M2QX K7M2QY", "UnexpectedRest", "K7M2QY");
    }

    #[test]
    fn keywords_may_have_blanks() {
        check("/departments  Sales \u{3000} APAC ", "Departments(\"Sales APAC\")");
        check("/部门 “销售 部”", "Departments(\"销售 部\")");
        wrong("/departments", "MissingKeyword", "");
        wrong("/departments \"\"", "MissingKeyword", "");
    }

    #[test]
    fn topics_with_and_without_slash() {
        check("/help broadcast", "Help(Some(Broadcast))");
        check("/help /撤回", "Help(Some(Recall))");
        check("/help ／ＬＩＳＴ", "Help(Some(List))");
        wrong("/help brodcast", "Unknown { typed: \"brodcast\", suggestion: Some(Broadcast)", "brodcast");
    }

    #[test]
    fn nothing_follows_where_nothing_may() {
        wrong("/whoami please", "UnexpectedRest", "please");
        wrong("/登录 现在", "UnexpectedRest", "现在");
    }
}

mod target_list {
    use super::*;

    #[test]
    fn several_with_any_comma() {
        check("/broadcast 销售部,市场部，人事部、财务部 你好", "[销售部|市场部|人事部|财务部] 你好");
    }

    #[test]
    fn names_with_blanks_in_any_quotes() {
        for (open, close) in [("\"", "\""), ("“", "”"), ("”", "“"), ("“", "\""), ("‘", "’"), ("'", "'"), ("「", "」")]
        {
            check(&format!("/broadcast {open}Sales APAC{close} hi"), "[Sales APAC] hi");
        }
        check("/broadcast \"Sales APAC\",华东/销售部 hi", "[Sales APAC|华东>销售部] hi");
        check("/broadcast 销售部,“Sales APAC” hi", "[销售部|Sales APAC] hi");
        check("/broadcast \"Ops, EU\" hi", "[Ops, EU] hi");
        check("/broadcast O'Brien hi", "[O'Brien] hi");
    }

    #[test]
    fn paths_with_any_slash_and_quotes() {
        check("/broadcast 华东／销售部 hi", "[华东>销售部] hi");
        check("/broadcast \"华东/Sales APAC\" hi", "[华东>Sales APAC] hi");
        check("/broadcast 华东/\"Sales APAC\"/一组,研发 hi", "[华东>Sales APAC>一组|研发] hi");
        wrong("/broadcast 华东//销售部 hi", "BadTarget { typed: \"华东//销售部\", why: EmptyPathPart", "华东//销售部");
        wrong("/broadcast /销售部 hi", "BadTarget { typed: \"/销售部\", why: EmptyPathPart", "/销售部");
    }

    #[test]
    fn ids_by_their_form() {
        check("/broadcast od-aB1,ou_1,on_1 x", "[dept=od-aB1|open=ou_1|union=on_1] x");
        check("/broadcast OD-aB1,Ou_Xy x", "[dept=od-aB1|open=ou_Xy] x");
        check("/broadcast dept:D01,user:e33ggbyz x", "[dept=D01|user=e33ggbyz] x");
        check("/broadcast DEPT：D01,User：a.b x", "[dept=D01|user=a.b] x");
        check("/broadcast dept:od-1,user:ou_1 x", "[dept=od-1|open=ou_1] x");
        wrong("/broadcast ou_ x", "BadTarget { typed: \"ou_\", why: BadId", "ou_");
        wrong("/broadcast dept: x", "BadTarget { typed: \"dept:\", why: BadId", "dept:");
        wrong("/broadcast dept:0 x", "BadTarget { typed: \"dept:0\", why: RootDepartment", "dept:0");
        wrong("/broadcast oc_1 x", "BadTarget { typed: \"oc_1\", why: WrongKindOfId", "oc_1");
        wrong("/broadcast ou_张三 x", "BadTarget { typed: \"ou_张三\", why: BadId", "ou_张三");
    }

    #[test]
    fn addresses_and_numbers() {
        check(
            "/broadcast li@corp.cn,+86-138-0013-8000,13900139000 x",
            "[mail=li@corp.cn|phone=+8613800138000|phone=13900139000] x",
        );
        check("/broadcast 138-0013-8000 x", "[phone=13800138000] x");
        check("/broadcast \"+1 (415) 555-0100\" x", "[phone=+14155550100] x");
        check("/broadcast ｌｉ＠ｃｏｒｐ．ｃｎ x", "[mail=li@corp.cn] x");
        check("/broadcast 2026 x", "[2026] x");
        check("/broadcast 2026-12-01 x", "[2026-12-01] x");
    }

    #[test]
    fn addresses_that_feishu_made_links_of() {
        check("/broadcast [li@corp.cn](mailto:li@corp.cn),销售部 x", "[mail=li@corp.cn|销售部] x");
        check("/broadcast [crm.cn](http://crm.cn) 见[此](https://a.cn)", "[crm.cn] 见此 (https://a.cn)");
    }

    #[test]
    fn mentions_as_targets_and_in_content() {
        check("@_user_1 /broadcast @_user_2,@_user_10 请找 @_user_3", "[at=ou_2=张三|at=ou_10=Ten] 请找 @李四");
        check("/broadcast @_user_4 x", "[union=on_4] x");
        check("/broadcast 销售部 @_user_3 升职了", "[销售部] @李四 升职了");
        check("/broadcast @_user_2\n@_user_3 升职了", "[at=ou_2=张三] @李四 升职了");
        wrong("/broadcast @_user_5 x", "BadTarget { typed: \"@路人\", why: NobodyKnown", "@路人");
    }

    #[test]
    fn blanks_that_feishu_puts_behind_a_mention() {
        check("/broadcast @_user_2 ,@_user_3 x", "[at=ou_2=张三|at=ou_3=李四] x");
        check("/broadcast @_user_2 、 @_user_3 x", "[at=ou_2=张三|at=ou_3=李四] x");
        check("/broadcast @_user_2 ,销售部 x", "[at=ou_2=张三|销售部] x");
        check("/broadcast 销售部, @_user_2 x", "[销售部|at=ou_2=张三] x");
    }

    #[test]
    fn a_list_is_never_cut_short() {
        wrong(
            "/broadcast @_user_2 @_user_3 x",
            "SeparatorMissing { between: Neighbours { left: \"@张三\", right: \"@李四\"",
            "@李四",
        );
        wrong("/broadcast @_user_2 @_user_1 @_user_3 x", "SeparatorMissing", "@李四");
        wrong("/broadcast @_user_2@_user_3 x", "SeparatorMissing", "@李四");
        wrong(
            "/broadcast 销售部@_user_3 x",
            "SeparatorMissing { between: Neighbours { left: \"销售部\", right: \"@李四\"",
            "@李四",
        );
        wrong("/broadcast @_user_2李四 x", "SeparatorMissing", "李四");
        wrong(
            "/broadcast 销售部, 市场部 x",
            "BlankBesideSeparator { between: Neighbours { left: \"销售部\", right: \"市场部\"",
            ", 市场部",
        );
        wrong("/broadcast 销售部 ,市场部 x", "BlankBesideSeparator", ",市场部");
        wrong("/broadcast 销售部 、 市场部 x", "BlankBesideSeparator", "、 市场部");
        wrong("/broadcast @_user_2, 市场部 x", "BlankBesideSeparator", ", 市场部");
        wrong("/broadcast “Sales”APAC x", "GluedToQuote", "APAC");
        wrong(
            "/broadcast 销售部;市场部 x",
            "BadTarget { typed: \"销售部;市场部\", why: WrongSeparator",
            "销售部;市场部",
        );
    }

    #[test]
    fn an_empty_target_is_a_mistake() {
        wrong("/broadcast 销售部,, x", "EmptyTarget", ",,");
        wrong("/broadcast 销售部, ", "EmptyTarget", ",");
        wrong("/broadcast 销售部,\nx", "EmptyTarget", ",");
        wrong("/broadcast ,销售部 x", "EmptyTarget", ",");
        wrong("/broadcast “ ” x", "EmptyTarget", "“ ”");
        wrong("/broadcast 销售部,“”,x", "EmptyTarget", "“”");
    }

    #[test]
    fn no_target_is_a_mistake() {
        wrong("/broadcast", "MissingTargets", "");
        wrong("/群发 --dry-run ", "MissingTargets", "");
    }

    #[test]
    fn a_quote_must_be_closed_on_its_line() {
        wrong("/broadcast “Sales APAC hi", "UnclosedQuote", "“Sales APAC hi");
        wrong("/broadcast \"Sales\nhi\"", "UnclosedQuote", "\"Sales hi\"");
        wrong("/broadcast 销售部\"一组 hi", "BadTarget { typed: \"销售部\\\"一组\", why: StrayQuote", "销售部\"一组");
    }

    #[test]
    fn everyone_and_the_file() {
        for word in ["全员", "所有人", "@all", "＠ＡＬＬ", "@_all", "@所有人"] {
            check(&format!("/broadcast {word} x"), "[EVERYONE] x");
        }
        check("/broadcast FILE x", "[FILE] x");
        check("/broadcast file", "[FILE]");
        check("/broadcast file,销售部 x", "[FILE|销售部] x");
        check("/broadcast \"file\" x", "[file] x");
        check("/broadcast \"全员\" x", "[全员] x");
    }

    #[test]
    fn a_name_typed_with_an_at_is_nobody() {
        wrong("/broadcast @张三 x", "BadTarget { typed: \"@张三\", why: NotAMention", "@张三");
        wrong("/broadcast @_user_99 x", "BadTarget { typed: \"@_user_99\", why: NotAMention", "@_user_99");
    }

    #[test]
    fn the_same_target_counts_once() {
        check("/broadcast 销售部,od-1,销售部,od-1 x", "[销售部|dept=od-1] x");
        check("/broadcast @_user_2,ou_2,A@b.cn,a@B.cn x", "[at=ou_2=张三|mail=A@b.cn] x");
        check(
            "/broadcast +86-138-0013-8000,13800138000,+1-138-0013-8000 x",
            "[phone=+8613800138000|phone=+113800138000] x",
        );
    }

    #[test]
    fn unseen_characters_are_no_part_of_a_name() {
        check("/broadcast 销售\u{200B}部\u{FEFF},\u{202D}13800138000\u{202C} x", "[销售部|phone=13800138000] x");
    }

    #[test]
    fn there_is_a_limit() {
        let list = |n: usize| (0..n).map(|i| format!("od-{i}")).collect::<Vec<_>>().join(",");
        wrong(&format!("/broadcast {} x", list(TARGETS_MAX + 1)), "TooManyTargets", "od-1000");
        let body = Body::Text(format!("/broadcast {} x", list(TARGETS_MAX)));
        assert!(parsed(&body).is_ok());
        let long = "长".repeat(201);
        wrong(&format!("/broadcast {long} x"), "BadTarget", &format!("{}…", "长".repeat(23)));
    }
}

mod option_words {
    use super::*;

    #[test]
    fn all_of_them() {
        check("/broadcast --at \"2026-12-01 09:05\" 销售部 x", "at=2026-12-01 09:05 [销售部] x");
        check("/broadcast --at=“2026-12-01 09:05” --dry-run 销售部 x", "at=2026-12-01 09:05 dry-run [销售部] x");
        check(
            "/broadcast --template ctp_1 --var a=b --var name=\"a b\" --var \"n=c d\" 销售部",
            "template=ctp_1 a=b name=a b n=c d [销售部]",
        );
        check("/broadcast --card 销售部 {\"a\":\n 1}", "card [销售部] {\"a\":\n 1}");
    }

    #[test]
    fn dashes_of_telephones() {
        for dashes in ["——", "—", "－－", "––", "―", "−−"] {
            check(&format!("/broadcast {dashes}dry-run 销售部 x"), "dry-run [销售部] x");
        }
        check("/broadcast ——ＡＴ＝“２０２６-12-01　０９：０５” 销售部 x", "at=2026-12-01 09:05 [销售部] x");
    }

    #[test]
    fn a_time_needs_no_quotes() {
        check("/broadcast --at 2026-12-01 09:05 销售部 x", "at=2026-12-01 09:05 [销售部] x");
        check("/broadcast --at 明天 9：05 销售部 x", "at=明天 9:05 [销售部] x");
        check("/broadcast --at 09:05 销售部 10:00 开会", "at=09:05 [销售部] 10:00 开会");
    }

    #[test]
    fn variables() {
        check(
            "/broadcast --template t --var url=[https://a.cn](https://a.cn) ou_1",
            "template=t url=https://a.cn [open=ou_1]",
        );
        check("/broadcast --template t --var a= --var ｂ＝c=\"d e\" ou_1", "template=t a= b=c=d e [open=ou_1]");
        wrong("/broadcast --template t --var a 销售部", "BadVariable { typed: \"a\", why: NoEquals", "--var a");
        wrong("/broadcast --template t --var =a 销售部", "BadVariable { typed: \"=a\", why: NoName", "--var =a");
        wrong("/broadcast --template t --var a=1 --var a=2 x", "BadVariable { typed: \"a=2\", why: Twice", "--var a=2");
        wrong("/broadcast --var a=1 销售部 x", "BadVariable { typed: \"--var\", why: WithoutTemplate", "--var");
    }

    #[test]
    fn unknown_ones_are_never_targets() {
        wrong(
            "/broadcast --dryrun 销售部 x",
            "UnknownOption { typed: \"--dryrun\", suggestion: Some(DryRun)",
            "--dryrun",
        );
        wrong("/broadcast -at 明天 销售部 x", "UnknownOption { typed: \"-at\", suggestion: Some(At)", "-at");
        wrong("/broadcast --when 明天 销售部 x", "UnknownOption { typed: \"--when\", suggestion: None", "--when");
        wrong("/broadcast ——紧急—— 销售部 x", "UnknownOption", "——紧急——");
        wrong(
            "/broadcast --card=x 销售部 x",
            "UnknownOption { typed: \"--card=x\", suggestion: Some(Card)",
            "--card=x",
        );
    }

    #[test]
    fn a_value_that_is_missing() {
        wrong("/broadcast --at", "OptionNeedsValue { option: At", "");
        wrong("/broadcast --at= 销售部 x", "OptionNeedsValue { option: At", "销售部 x");
        wrong("/broadcast --at --dry-run 销售部 x", "OptionNeedsValue { option: At", "--dry-run 销售部 x");
        wrong("/broadcast --at \"\" 销售部 x", "OptionNeedsValue { option: At", "\"\"");
        wrong("/broadcast --at \"明天 销售部 x", "UnclosedQuote", "\"明天 销售部 x");
        wrong("/broadcast --at \"9:05\"销售部 x", "GluedToQuote", "销售部 x");
    }

    #[test]
    fn what_contradicts_itself() {
        wrong("/broadcast --at 9:00 --at 10:00 销售部 x", "RepeatedOption { option: At", "--at");
        wrong("/broadcast --template t --card 销售部 x", "OptionsClash", "--card");
        wrong("/broadcast --template t 销售部 你好", "UnexpectedRest", "你好");
    }

    #[test]
    fn an_option_behind_the_targets_is_not_sent_as_text() {
        wrong("/broadcast 销售部 --dry-run 你好", "OptionAfterTargets { option: DryRun", "--dry-run");
        wrong("/broadcast 销售部 ——at 9:00 你好", "OptionAfterTargets { option: At", "——at");
        check("/broadcast 销售部 ——通知——", "[销售部] ——通知——");
    }
}

mod contents {
    use super::*;

    #[test]
    fn line_breaks_are_kept() {
        check("/broadcast 销售部 一\n二\n\n  三 \n ", "[销售部] 一\n二\n\n  三");
        check("/broadcast 销售部\n一\n二", "[销售部] 一\n二");
        check("/broadcast 销售部 \u{3000}\n\n   一\n二", "[销售部]    一\n二");
        check("/broadcast\n销售部\n一", "[销售部] 一");
    }

    #[test]
    fn none_for_a_reply() {
        check("/broadcast 销售部", "[销售部]");
        check("/broadcast 销售部 \n \u{200B}\n", "[销售部]");
        check("/broadcast 销售部 @_user_1", "[销售部]");
    }

    #[test]
    fn it_cannot_ping() {
        check(
            "/broadcast 销售部 <at user_id=\"all\"></at> @_all",
            "[销售部] <\u{200B}at user_id=\"all\"></at> @所有人",
        );
    }

    #[test]
    fn card_json_is_left_alone() {
        check(
            "/broadcast --card 销售部 {\"t\":\"[a](https://a.cn)<at id=x>\"} ",
            "card [销售部] {\"t\":\"[a](https://a.cn)<at id=x>\"}",
        );
    }
}

mod rich_text {
    use super::*;

    fn text(text: &str) -> Node {
        Node::Text { text: text.to_owned() }
    }

    fn at(n: u8, name: &str) -> Node {
        Node::At { key: format!("@_user_{n}"), name: name.to_owned() }
    }

    fn image() -> Node {
        Node::Image { image_key: "img_1".to_owned() }
    }

    fn link() -> Node {
        Node::Link { text: "官网".to_owned(), href: "https://a.cn".to_owned() }
    }

    fn post(paragraphs: Vec<Vec<Node>>) -> Body {
        Body::Post(Post { title: "标题".to_owned(), paragraphs })
    }

    fn check_post(paragraphs: Vec<Vec<Node>>, targets: &str, content: Option<Vec<Vec<Node>>>) {
        let Command::Broadcast(request) = parsed(&post(paragraphs)).expect("a command") else { panic!("a broadcast") };
        assert_eq!(request.targets.iter().map(target).collect::<Vec<_>>().join("|"), targets);
        let expect = content.map(|paragraphs| Content::post(Post { title: "标题".to_owned(), paragraphs }));
        assert_eq!(request.content, expect);
    }

    #[test]
    fn the_command_line_goes_and_the_rest_stays() {
        check_post(
            vec![vec![], vec![at(1, "播报"), text(" /群发 销售部")], vec![text("一"), link()], vec![], vec![image()]],
            "销售部",
            Some(vec![vec![text("一"), link()], vec![], vec![image()]]),
        );
    }

    #[test]
    fn a_paragraph_is_split_at_the_right_character() {
        check_post(
            vec![
                vec![text("/broadcast 销售部,"), at(2, "张三"), text("  你好 "), at(3, "李四"), link()],
                vec![text("二 ")],
            ],
            "销售部|at=ou_2=张三",
            Some(vec![vec![text("你好 "), text("@李四"), link()], vec![text("二")]]),
        );
    }

    #[test]
    fn an_image_ends_the_targets() {
        check_post(vec![vec![text("/broadcast 销售部"), image()]], "销售部", Some(vec![vec![image()]]));
    }

    #[test]
    fn a_command_alone_has_no_content() {
        check_post(vec![vec![text("/broadcast 销售部 ")], vec![text(" ")], vec![]], "销售部", None);
    }

    #[test]
    fn blank_paragraphs_before_and_behind_go() {
        check_post(
            vec![vec![text("/broadcast 销售部")], vec![], vec![text(" ")], vec![text("  一")], vec![text("")], vec![]],
            "销售部",
            Some(vec![vec![text("  一")]]),
        );
    }

    #[test]
    fn the_title_is_never_the_command() {
        let body = Body::Post(Post { title: "/help".to_owned(), paragraphs: vec![vec![text("x")]] });
        assert!(parsed(&body).expect_err("talk").is_talk());
    }

    #[test]
    fn an_at_typed_by_hand_is_no_mention() {
        let error = parsed(&post(vec![vec![text("/broadcast @_user_2 x")]])).expect_err("typed by hand");
        assert!(matches!(error.kind, CommandErrorKind::BadTarget { why: TargetFault::NotAMention, .. }));
    }

    #[test]
    fn card_json_may_stand_in_code() {
        let code = Node::Code { language: "JSON".to_owned(), text: "{\"a\":1}\n".to_owned() };
        let command = parsed(&post(vec![vec![text("/broadcast --card 销售部")], vec![code]])).expect("a command");
        assert_eq!(written(&command), "card [销售部] {\"a\":1}");
    }
}

#[test]
fn a_mistake_says_where() {
    let error = parsed(&Body::Text(" @_user_1 /群发 @_user_2,销售部,, 内容".to_owned())).expect_err("an empty target");
    assert_eq!(error.command, Some(CommandName::Broadcast));
    assert_eq!(error.understood, "/群发 @张三,销售部");
    let shown: Vec<char> = " @播报 /群发 @张三,销售部,, 内容".chars().collect();
    assert_eq!(error.at.and_then(|at| shown.get(at..at + 2)), Some([',', ','].as_slice()));
    assert_eq!(error.to_string(), "not a valid command: EmptyTarget at character 16");
}

#[test]
fn a_long_mistake_is_shown_shortly() {
    let said = format!("/broadcast {},, x", "很长的名字".repeat(30));
    let error = parsed(&Body::Text(said)).expect_err("an empty target");
    assert_eq!(error.understood.chars().count(), 60);
}

fn any_piece() -> impl Strategy<Value = String> {
    let words = [
        "/broadcast",
        "/群发",
        "／",
        "/status",
        "/help",
        " ",
        " ",
        "\n",
        ",",
        "，",
        "、",
        "\"",
        "“",
        "”",
        "'",
        "--at",
        "——",
        "--var",
        "--template",
        "--card",
        "=",
        "@_user_1",
        "@_user_2",
        "@_user_10",
        "@_all",
        "@",
        "ou_1",
        "od-",
        "dept:",
        "user:",
        "销售部",
        "华东/",
        "[a](https://a.cn)",
        "[",
        "](",
        "file",
        "全员",
        "+86",
        "13800138000",
        "<at ",
        "\u{200B}",
        "\u{3000}",
        "😀",
        "İ",
    ];
    prop_oneof![4 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(pieces in proptest::collection::vec(any_piece(), 0..24), in_post: bool) {
        let said = pieces.concat();
        let body = if in_post {
            let paragraphs = said.split('\n').map(|text| vec![Node::Text { text: text.to_owned() }]).collect();
            Body::Post(Post { title: String::new(), paragraphs })
        } else {
            Body::Text(said.clone())
        };
        match parsed(&body) {
            Ok(Command::Broadcast(request)) => {
                prop_assert!(!request.targets.is_empty());
                prop_assert!(request.content.is_none_or(|content| !content.is_blank()));
                for target in &request.targets {
                    prop_assert!(!super::tests::target(target).trim().is_empty());
                }
            }
            Ok(_) => {}
            Err(error) => {
                prop_assert!(error.understood.chars().count() <= 60);
                prop_assert!(error.excerpt.chars().count() <= 24);
                let length = said.chars().count() * 8;
                prop_assert!(error.at.is_none_or(|at| at <= length));
            }
        }
    }

    #[test]
    fn any_mentions_will_do(said in ".*", key in "[@_a-z0-9/ ]{0,8}", name in any::<String>()) {
        let mentions = [mention(&key, &name, "ou_2"), mention(&key, "", "ou_3")];
        for text in [said.clone(), format!("/broadcast {key},{said}"), format!("{key}/群发 x {said}{key}")] {
            let _ = parse(&Said { body: &Body::Text(text), mentions: &mentions, bot: None });
        }
    }

    #[test]
    fn plain_content_arrives_as_it_was_typed(content in "[a-z你好，。 \n]{0,40}[a-z。]") {
        let body = Body::Text(format!("/broadcast 销售部\nx{content}"));
        let Ok(Command::Broadcast(request)) = parsed(&body) else { panic!("a broadcast") };
        prop_assert_eq!(request.content, Some(Content::Text(format!("x{content}"))));
    }
}
