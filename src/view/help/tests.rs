//! Every example that a person is shown works.

use jiff::tz::TimeZone;

use super::*;
use crate::domain::command::{
    Command, CommandError, CommandErrorKind, Neighbours, OptionName, Said, TargetFault, VariableFault, parse,
};
use crate::domain::content::{Body, Mention};
use crate::domain::ids::Timestamp;
use crate::domain::schedule;

const ADMIN: Roles = Roles { admin: true, approver: false };
const APPROVER: Roles = Roles { admin: false, approver: true };
const BOTH: Roles = Roles { admin: true, approver: true };
const NOBODY: Roles = Roles { admin: false, approver: false };

/// Two people whom one can mention in this test by their names.
fn mentions() -> Vec<Mention> {
    ["@张三", "@李四"]
        .into_iter()
        .zip(["ou_2", "ou_3"])
        .map(|(name, id)| Mention {
            key: name.to_owned(),
            name: name.to_owned(),
            open_id: OpenId::new(id),
            union_id: None,
            user_id: None,
        })
        .collect()
}

fn parsed(said: &str) -> Result<Command, CommandError> {
    parse(&Said { body: &Body::Text(said.to_owned()), mentions: &mentions(), bot: None })
}

/// Whether all of it is built. What is not is answered with a plain no, so it must not be taught.
fn works_today(command: &Command) -> bool {
    let Command::Broadcast(request) = command else { return true };
    let options = &request.options;
    let is_moment = |at: &String| schedule::read(at, Timestamp(1_790_000_000_000), &TimeZone::UTC).is_ok();
    options.at.iter().all(is_moment) && (request.content.is_some() || options.template.is_some())
}

/// Parses the examples of a text in both languages, and returns how many there were in Chinese.
fn examples_work(text: &Text) -> usize {
    let count = |said: &str| {
        let lines = said.lines().filter(|line| line.starts_with('/'));
        lines
            .map(|line| line.split(" — ").next().unwrap_or(line))
            .inspect(|line| assert!(works_today(&parsed(line).expect(line)), "{line}"))
            .count()
    };
    assert_eq!(count(&text.zh), count(&text.en), "{text:?}");
    assert!(!text.zh.trim().is_empty() && !text.en.trim().is_empty());
    count(&text.zh)
}

fn error(kind: CommandErrorKind, command: Option<CommandName>) -> CommandError {
    CommandError { kind, command, understood: "/群发".to_owned(), at: Some(3), excerpt: "某处".to_owned() }
}

/// One mistake of each kind.
fn every_mistake() -> Vec<CommandError> {
    let typed = || "某物".to_owned();
    let between = |left: &str, right: &str| Box::new(Neighbours { left: left.to_owned(), right: right.to_owned() });
    let mut kinds = vec![
        CommandErrorKind::NotACommand,
        CommandErrorKind::MissingTargets,
        CommandErrorKind::MissingContent,
        CommandErrorKind::EmptyTarget,
        CommandErrorKind::BlankBesideSeparator { between: between("销售部", "市场部") },
        CommandErrorKind::BlankBesideSeparator { between: between("“Sales APAC”", "“没关上") },
        CommandErrorKind::BlankBesideSeparator { between: between("销售部", "很长很长…") },
        CommandErrorKind::SeparatorMissing { between: between("@张三", "@李四") },
        CommandErrorKind::UnclosedQuote,
        CommandErrorKind::GluedToQuote,
        CommandErrorKind::OptionsClash,
        CommandErrorKind::MissingKeyword,
        CommandErrorKind::TooManyTargets,
        CommandErrorKind::BadListFilter { typed: typed() },
    ];
    for suggestion in CommandName::ALL.into_iter().map(Some).chain([None]) {
        kinds.push(CommandErrorKind::Unknown { typed: typed(), suggestion });
    }
    for option in OptionName::ALL {
        kinds.push(CommandErrorKind::UnknownOption { typed: typed(), suggestion: Some(option) });
        kinds.push(CommandErrorKind::OptionNeedsValue { option });
        kinds.push(CommandErrorKind::RepeatedOption { option });
        kinds.push(CommandErrorKind::OptionAfterTargets { option });
    }
    kinds.push(CommandErrorKind::UnknownOption { typed: typed(), suggestion: None });
    use VariableFault as V;
    for why in [V::NoEquals, V::NoName, V::Twice, V::WithoutTemplate] {
        kinds.push(CommandErrorKind::BadVariable { typed: typed(), why });
    }
    use TargetFault as T;
    for why in [T::NotAMention, T::NobodyKnown, T::BadId, T::WrongKindOfId, T::RootDepartment] {
        kinds.push(CommandErrorKind::BadTarget { typed: typed(), why });
    }
    for why in [T::EmptyPathPart, T::WrongSeparator, T::StrayQuote, T::TooLong] {
        kinds.push(CommandErrorKind::BadTarget { typed: typed(), why });
    }
    let mut errors: Vec<CommandError> =
        kinds.into_iter().map(|kind| error(kind, Some(CommandName::Broadcast))).collect();
    for command in CommandName::ALL.into_iter().map(Some).chain([None]) {
        for kind in [
            CommandErrorKind::BadBroadcastId { typed: typed() },
            CommandErrorKind::MissingId,
            CommandErrorKind::UnexpectedRest,
        ] {
            errors.push(error(kind, command));
        }
    }
    errors
}

#[test]
fn every_example_of_every_help_works() {
    for roles in [ADMIN, APPROVER, BOTH] {
        for command in CommandName::ALL.into_iter().map(Some).chain([None]) {
            let text = help(roles, command);
            let works = examples_work(&text);
            let may = command.is_none_or(|name| roles.may_use(name).is_ok());
            assert_eq!(works > 0, may, "{roles:?} {command:?}");
            assert!(text.zh.lines().count() <= 12, "{text:?}");
        }
    }
}

#[test]
fn every_mistake_shows_one_example_that_works() {
    for error in every_mistake() {
        let text = mistake(&error);
        assert_eq!(examples_work(&text), 1, "{text:?}");
        for said in [&text.zh, &text.en] {
            assert!(said.lines().count() <= 6, "{said}");
            assert!(said.contains("「/群发」"), "what was understood: {said}");
        }
    }
}

#[test]
fn approvers_see_only_what_is_theirs() {
    let text = help(APPROVER, None);
    assert_eq!(examples_work(&text), 4);
    assert!(!text.zh.contains("/群发 销售部") && !text.en.contains("/broadcast Sales"));
    assert_eq!(help(APPROVER, Some(CommandName::Broadcast)), denied(&Denied::AdminsOnly));
    assert_eq!(examples_work(&help(ADMIN, None)), CommandName::ALL.len());
    assert_eq!(help(NOBODY, None), denied(&Denied::Stranger));
    assert_eq!(help(NOBODY, Some(CommandName::Help)), denied(&Denied::Stranger));
}

fn check(said: &str, zh: &str, en: &str) {
    let text = mistake(&parsed(said).expect_err(said));
    assert_eq!(text.zh, zh);
    assert_eq!(text.en, en);
}

#[test]
fn a_blank_behind_a_comma() {
    check(
        "/群发 销售部, 市场部 周五放假",
        "逗号旁边有空格：分不清「市场部」是收件人还是内容。如果也是收件人，用逗号连接「销售部」和「市场部」，不加空格。\n我看懂的部分：「/群发 销售部」\n可以这样写：\n/群发 销售部,市场部 你好",
        "There is a blank beside a comma: is 「市场部」 a target or content? If a target, join 「销售部」 and 「市场部」 by a comma without blanks.\nWhat I understood: 「/群发 销售部」\nWrite it like this:\n/broadcast 销售部,市场部 Hello",
    );
}

#[test]
fn two_mentions_in_a_row() {
    let text = mistake(&parsed("/broadcast @张三 @李四 hi").expect_err("no comma"));
    assert!(text.zh.ends_with("/群发 @张三,@李四 你好"), "{}", text.zh);
}

#[test]
fn a_misspelt_command() {
    check(
        "/brodcast 销售部 x",
        "没有「brodcast」这个命令。是不是想写「/broadcast」？\n可以这样写：\n/broadcast 销售部 明天下午三点开会",
        "There is no command 「brodcast」. Did you mean 「/broadcast」?\nWrite it like this:\n/broadcast Sales We meet tomorrow at 3 pm",
    );
}

#[test]
fn a_misspelt_chinese_command_is_answered_in_chinese() {
    let text = mistake(&parsed("/进渡").expect_err("no such command"));
    for said in [text.zh, text.en] {
        assert!(said.contains("「/进度」") && said.ends_with("/进度 K7M2QX") && !said.contains("status"), "{said}");
    }
}

#[test]
fn a_mistake_cannot_ping() {
    let text = mistake(&parsed("/whoami <at user_id=\"all\">").expect_err("too much"));
    assert!(text.zh.contains("<\u{200B}at user") && text.en.contains("<\u{200B}at user"), "{}", text.zh);
}

#[test]
fn a_stranger_learns_the_own_open_id() {
    let text = stranger(&OpenId::new("ou_7").expect("a plain id"));
    for said in [text.zh, text.en] {
        assert!(said.contains("ou_7") && said.lines().count() == 1);
    }
}
