//! A command that was not understood: what was wrong, what was understood, and one example that works.

use crate::domain::command::{
    self, Command, CommandError, CommandErrorKind, CommandName, Neighbours, OptionName, Said, TargetFault,
    VariableFault,
};
use crate::domain::content::{Body, Mention, harmless};
use crate::domain::ids::OpenId;
use crate::view::help::{called, example, joined};
use crate::view::{Text, count};

/// Explains a mistake in at most six lines; nothing quoted in it can ping anyone.
pub fn mistake(error: &CommandError) -> Text {
    let understood = (!error.understood.is_empty()).then(|| {
        let shown = &error.understood;
        Text::new(format!("我看懂的部分：「{shown}」"), format!("What I understood: 「{shown}」"))
    });
    let lead = Text::new("可以这样写：", "Write it like this:");
    let text = joined([wrong(error)].into_iter().chain(understood).chain([lead, corrected(error)]));
    Text::new(harmless(&text.zh), harmless(&text.en))
}

/// What is wrong, in a sentence that quotes the place.
fn wrong(error: &CommandError) -> Text {
    let place = &error.excerpt;
    match &error.kind {
        CommandErrorKind::NotACommand => {
            Text::new("我只看得懂以 / 开头的命令。", "I only understand commands, which begin with a slash.")
        }
        CommandErrorKind::Unknown { typed, suggestion } => {
            unknown("命令", "command", typed, suggestion.map(|name| slashed(name, typed)))
        }
        CommandErrorKind::MissingTargets => Text::new("还没写发给谁。", "It does not say to whom."),
        CommandErrorKind::MissingContent => Text::new(
            "还没写内容。内容写在收件人后面，中间空一格。",
            "There is no content. It follows the targets, after a blank.",
        ),
        CommandErrorKind::EmptyTarget => Text::new(
            format!("「{place}」这里少了一个收件人，或者多了一个逗号。"),
            format!("A target is missing at 「{place}」, or there is a comma too many."),
        ),
        CommandErrorKind::BlankBesideSeparator { between } => {
            riddle(between, "逗号旁边有空格", "There is a blank beside a comma")
        }
        CommandErrorKind::SeparatorMissing { between } => {
            riddle(between, "两者之间没有逗号", "There is no comma between two words")
        }
        CommandErrorKind::UnclosedQuote => {
            Text::new(format!("「{place}」的引号没有关上。"), format!("The quote at 「{place}」 is not closed."))
        }
        CommandErrorKind::GluedToQuote => Text::new(
            format!("引号后面紧跟着「{place}」，要用空格或逗号隔开。"),
            format!("「{place}」 follows right behind a quote; put a blank or a comma between them."),
        ),
        CommandErrorKind::UnknownOption { typed, suggestion } => {
            unknown("选项", "option", typed, suggestion.map(|option| format!("--{}", option.as_str())))
        }
        CommandErrorKind::OptionNeedsValue { option } => {
            let option = option.as_str();
            Text::new(format!("--{option} 后面少了值。"), format!("--{option} needs a value."))
        }
        CommandErrorKind::RepeatedOption { option } => {
            let option = option.as_str();
            Text::new(format!("--{option} 写了两次，只能写一次。"), format!("--{option} stands there twice."))
        }
        CommandErrorKind::OptionsClash => {
            Text::new("--template 和 --card 只能用一个。", "Use either --template or --card, not both.")
        }
        CommandErrorKind::OptionAfterTargets { .. } => Text::new(
            format!("「{place}」要写在收件人前面，否则会当成内容发出去。"),
            format!("「{place}」 must stand before the targets, or it would be sent as content."),
        ),
        CommandErrorKind::BadVariable { typed, why } => variable(typed, *why),
        CommandErrorKind::BadBroadcastId { typed } => Text::new(
            format!("「{typed}」不是群发编号。编号是六个字母和数字。"),
            format!("「{typed}」 is no broadcast id. An id is six letters and digits."),
        ),
        CommandErrorKind::MissingKeyword => Text::new("还没写要找的部门。", "It does not say what to search for."),
        CommandErrorKind::MissingId => Text::new("还没写群发编号。", "The id of the broadcast is missing."),
        CommandErrorKind::BadTarget { typed, why } => target(typed, *why),
        CommandErrorKind::TooManyTargets => {
            let most = command::TARGETS_MAX;
            Text::new(
                format!("一次最多 {most} 个收件人。请写上一级部门，或分几次发。"),
                format!(
                    "There may be at most {}. Name a department above them, or send it in parts.",
                    count(most, "target")
                ),
            )
        }
        CommandErrorKind::BadListFilter { typed } => Text::new(
            format!("不认识「{typed}」。可以写 pending、scheduled 或 all。"),
            format!("「{typed}」 is no list. There are pending, scheduled and all."),
        ),
        CommandErrorKind::UnexpectedRest if error.command == Some(CommandName::Broadcast) => Text::new(
            format!("用了 --template 就不再写内容，多出了「{place}」。"),
            format!("A template is the content, so 「{place}」 is too much."),
        ),
        CommandErrorKind::UnexpectedRest => {
            Text::new(format!("后面多出了「{place}」。"), format!("「{place}」 is too much."))
        }
    }
}

fn unknown(what_zh: &str, what_en: &str, typed: &str, suggestion: Option<String>) -> Text {
    let (ask_zh, ask_en) = suggestion
        .map(|meant| (format!("是不是想写「{meant}」？"), format!(" Did you mean 「{meant}」?")))
        .unwrap_or_default();
    Text::new(format!("没有「{typed}」这个{what_zh}。{ask_zh}"), format!("There is no {what_en} 「{typed}」.{ask_en}"))
}

/// The command in the language in which somebody tried to write it.
fn slashed(name: CommandName, typed: &str) -> String {
    if is_latin(typed) { format!("/{}", name.english()) } else { format!("/{}", name.chinese()) }
}

fn is_latin(typed: &str) -> bool {
    !typed.chars().any(|c| ('\u{3000}'..='\u{9fff}').contains(&c) && c.is_alphabetic())
}

fn riddle(between: &Neighbours, why_zh: &str, why_en: &str) -> Text {
    let Neighbours { left, right } = between;
    Text::new(
        format!(
            "{why_zh}：分不清「{right}」是收件人还是内容。如果也是收件人，用逗号连接「{left}」和「{right}」，不加空格。"
        ),
        format!(
            "{why_en}: is 「{right}」 a target or content? If a target, join 「{left}」 and 「{right}」 by a comma without blanks."
        ),
    )
}

fn variable(typed: &str, why: VariableFault) -> Text {
    match why {
        VariableFault::NoEquals | VariableFault::NoName => Text::new(
            format!("--var 要写成 名称=值，看到的是「{typed}」。"),
            format!("--var is written name=value, not 「{typed}」."),
        ),
        VariableFault::Twice => Text::new(
            format!("「{typed}」里的变量前面已经写过。"),
            format!("The variable in 「{typed}」 was given before."),
        ),
        VariableFault::WithoutTemplate => {
            Text::new("--var 要和 --template 一起用。", "--var only goes together with --template.")
        }
    }
}

/// What is wrong with one target, in a command or in a list.
pub(in crate::view) fn target(typed: &str, why: TargetFault) -> Text {
    match why {
        TargetFault::NotAMention => Text::new(
            format!("「{typed}」是手打的，我不知道是谁。请输入 @ 后从列表里选人。"),
            format!("「{typed}」 was typed by hand and says nobody. Type @ and pick the person from the list."),
        ),
        TargetFault::NobodyKnown => Text::new(
            format!("「{typed}」没有可用的 ID，可能是外部联系人。"),
            format!("「{typed}」 has no id to write to; maybe somebody of another company."),
        ),
        TargetFault::BadId => {
            Text::new(format!("「{typed}」不是完整的 ID。"), format!("「{typed}」 begins like an id, but is none."))
        }
        TargetFault::WrongKindOfId => Text::new(
            format!("「{typed}」是群、消息或应用的 ID，不能群发给它。部门是 od-…，人是 ou_… 或 on_…。"),
            format!("「{typed}」 is the id of a chat, a message or an app. Departments are od-…, people ou_… or on_…."),
        ),
        TargetFault::RootDepartment => Text::new(
            format!("飞书不能群发给根部门「{typed}」。要发给整个公司，写出它下面的各个部门。"),
            format!(
                "Feishu sends nothing to the root department 「{typed}」. For the whole company, name the departments below it."
            ),
        ),
        TargetFault::EmptyPathPart => {
            Text::new(format!("路径「{typed}」里有一段是空的。"), format!("A part of the path 「{typed}」 is empty."))
        }
        TargetFault::WrongSeparator => Text::new(
            format!("「{typed}」要用逗号分开，不用分号。"),
            format!("Separate 「{typed}」 by commas, not semicolons."),
        ),
        TargetFault::StrayQuote => Text::new(
            format!("「{typed}」中间有引号。引号要括住整个名称。"),
            format!("There is a quote within 「{typed}」. Quotes stand around a whole name."),
        ),
        TargetFault::TooLong => Text::new(
            format!("「{typed}」太长，不像收件人。先写收件人，空一格再写内容。"),
            format!("「{typed}」 is too long for a target. Targets come first, then a blank, then the content."),
        ),
    }
}

/// An example that works, as near to what was typed as can be vouched for.
fn corrected(error: &CommandError) -> Text {
    match &error.kind {
        CommandErrorKind::NotACommand => Text::new("/帮助", "/help"),
        CommandErrorKind::Unknown { suggestion, typed } => match *suggestion {
            Some(name) if is_latin(typed) => called(name, name.english(), name.english()),
            Some(name) => called(name, name.chinese(), name.chinese()),
            None => Text::new("/帮助", "/help"),
        },
        CommandErrorKind::BlankBesideSeparator { between } | CommandErrorKind::SeparatorMissing { between } => {
            let Neighbours { left, right } = between.as_ref();
            let joined = Text::new(format!("/群发 {left},{right} 你好"), format!("/broadcast {left},{right} Hello"));
            if names_two(&joined.zh, between) { joined } else { several() }
        }
        CommandErrorKind::EmptyTarget => several(),
        CommandErrorKind::UnclosedQuote | CommandErrorKind::GluedToQuote => quoted(),
        CommandErrorKind::UnknownOption { suggestion, .. } => option(suggestion.unwrap_or(OptionName::DryRun)),
        CommandErrorKind::OptionNeedsValue { option: name }
        | CommandErrorKind::RepeatedOption { option: name }
        | CommandErrorKind::OptionAfterTargets { option: name } => option(*name),
        CommandErrorKind::OptionsClash | CommandErrorKind::BadVariable { .. } => option(OptionName::Template),
        CommandErrorKind::UnexpectedRest if error.command == Some(CommandName::Broadcast) => {
            option(OptionName::Template)
        }
        CommandErrorKind::BadTarget { why, .. } => match why {
            TargetFault::NotAMention | TargetFault::NobodyKnown => {
                Text::new("/群发 @张三,@李四 你好", "/broadcast @张三,@李四 Hello")
            }
            TargetFault::BadId | TargetFault::WrongKindOfId => Text::new(
                "/群发 od-4e6ac4d14bcd5071a37a39de902c7141 你好",
                "/broadcast od-4e6ac4d14bcd5071a37a39de902c7141 Hello",
            ),
            TargetFault::EmptyPathPart => Text::new("/群发 华东/销售部 你好", "/broadcast East/Sales Hello"),
            TargetFault::WrongSeparator | TargetFault::RootDepartment => several(),
            TargetFault::StrayQuote => quoted(),
            TargetFault::TooLong => example(CommandName::Broadcast),
        },
        CommandErrorKind::TooManyTargets => several(),
        CommandErrorKind::MissingTargets | CommandErrorKind::MissingContent => example(CommandName::Broadcast),
        CommandErrorKind::MissingKeyword => example(CommandName::Departments),
        CommandErrorKind::BadListFilter { .. } => example(CommandName::List),
        CommandErrorKind::BadBroadcastId { .. } | CommandErrorKind::MissingId | CommandErrorKind::UnexpectedRest => {
            example(error.command.unwrap_or(CommandName::Status))
        }
    }
}

fn several() -> Text {
    Text::new("/群发 销售部,市场部 明天下午三点开会", "/broadcast Sales,Marketing We meet tomorrow at 3 pm")
}

fn quoted() -> Text {
    Text::new("/群发 \"Sales APAC\",销售部 明天下午三点开会", "/broadcast \"Sales APAC\",Marketing We meet at 3 pm")
}

fn option(option: OptionName) -> Text {
    match option {
        OptionName::DryRun => {
            Text::new("/群发 --dry-run 销售部 明天下午三点开会", "/broadcast --dry-run Sales We meet at 3 pm")
        }
        OptionName::Template | OptionName::Var => Text::new(
            "/群发 --template AAqk1234 --var name=\"张 三\" 销售部",
            "/broadcast --template AAqk1234 --var name=\"Li Lei\" Sales",
        ),
        OptionName::Card => Text::new(
            r#"/群发 --card 销售部 {"elements":[{"tag":"markdown","content":"**放假通知**"}]}"#,
            r#"/broadcast --card Sales {"elements":[{"tag":"markdown","content":"**Holidays**"}]}"#,
        ),
        // Not built yet: what works is a broadcast without it.
        OptionName::At => Text::new(
            "/群发 --at \"明天 09:05\" 销售部 今天下午三点开会",
            "/broadcast --at \"tomorrow 09:05\" Sales We meet at 3 pm",
        ),
    }
}

/// Whether the example made of typed words names two targets. A word with an `@` is shown in place of a mention.
fn names_two(example: &str, between: &Neighbours) -> bool {
    let words = [&between.left, &between.right];
    let mentions: Vec<Mention> = words
        .into_iter()
        .enumerate()
        .filter(|(_, word)| word.starts_with('@'))
        .map(|(i, word)| Mention {
            key: word.clone(),
            name: word.clone(),
            open_id: OpenId::new(format!("ou_{i}")),
            union_id: None,
            user_id: None,
        })
        .collect();
    let whole = words.iter().all(|word| !word.ends_with('…'));
    let parsed = command::parse(&Said { body: &Body::Text(example.to_owned()), mentions: &mentions, bot: None });
    whole
        && matches!(parsed, Ok(Command::Broadcast(request)) if request.targets.len() == 2 && request.content.is_some())
}
