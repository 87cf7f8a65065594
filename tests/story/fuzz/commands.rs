//! What people type. Whatever is understood can be written down and read again, carries nothing that pings or is not
//! seen, and goes over the wire; whatever is not names a place that is really there.

use feishu_broadcast::domain::command::{Command, CommandError, Said, parse};
use feishu_broadcast::domain::content::{Body, Content, Mention, Node, Post};
use feishu_broadcast::domain::ids::{OpenId, UnionId};
use feishu_broadcast::domain::plan::{self, Targets};
use feishu_broadcast::view::help;
use serde_json::Value;

use super::mutate::{self, pick};
use super::{Read, fuzz, promise};
use crate::kill::Dice;

const SAID: [&str; 24] = [
    "/broadcast 销售部 周五三点开会",
    "/群发 销售部,od-1，ou_2、@_user_2 第一行\n第二行",
    "@_user_1 /broadcast \"Sales APAC\",华东/销售部 hi",
    "/broadcast --at \"2026-12-01 09:05\" --dry-run 销售部 你好",
    "/broadcast --template t-1 --var name=\"a b\" --var k=v 销售部",
    "/broadcast --card od-1 {\"header\":{},\"elements\":[[\"a\"](b)]}",
    "/群发 dept:D01,user:u1,li@corp.cn,+86-138-0013-8000,13800138000 x",
    "/broadcast [crm.cn](http://crm.cn),全员 见[此](https://a.cn/(x))",
    "／ＢＲＯＡＤＣＡＳＴ　销售部　你好",
    "/broadcast file",
    "/broadcast @_user_2 ,@_user_10 请找 @_user_3",
    "/status k7m2qx",
    "/进度",
    "/list pending",
    "/列表 全部",
    "/cancel #K7M2QX",
    "/撤回 Ｋ７Ｍ２ＱＸ",
    "/departments Sales APAC",
    "/login",
    "/登出",
    "/whoami",
    "/help /broadcast",
    "/brodcast 销售部 x",
    "你好",
];

fn mention(key: &str, name: &str, id: &str) -> Mention {
    Mention {
        key: key.into(),
        name: name.into(),
        open_id: OpenId::new(id),
        union_id: UnionId::new("on_1"),
        user_id: None,
    }
}

fn mentions(dice: &mut Dice) -> Vec<Mention> {
    let mut mentions = vec![
        mention("@_user_1", "播报", "ou_bot"),
        mention("@_user_2", "张三", "ou_2"),
        mention("@_user_3", "李四", ""),
        mention("@_user_10", "Ten", "ou_10"),
    ];
    if dice.throw(3) == 0 {
        let at = dice.throw(mentions.len());
        mentions[at].name = mutate::text(dice, "张三", "<at id=all></at>");
        mentions[at].key = mutate::text(dice, "@_user_2", "@_all");
    }
    mentions
}

/// The words as one text, or spread over the paragraphs of a rich text.
fn body(dice: &mut Dice, said: &str) -> Body {
    if dice.throw(3) > 0 {
        return Body::Text(said.to_owned());
    }
    let other = |dice: &mut Dice| {
        let said = pick(dice, &SAID);
        let word = mutate::text(dice, said, "x");
        match dice.throw(7) {
            0 => Node::Link {
                text: word,
                href: pick(dice, &["https://a.cn", "javascript:x", "", "mailto:a@b.cn"]).to_owned(),
            },
            1 => Node::At { key: pick(dice, &["@_user_2", "@_all", "all", "ou_9", "x"]).to_owned(), name: word },
            2 => Node::Image { image_key: word },
            3 => Node::Emotion { emoji_type: word },
            4 => Node::Code { language: "RUST".into(), text: word },
            5 => Node::Unknown { tag: word },
            _ => Node::Rule,
        }
    };
    let mut paragraphs = Vec::new();
    for line in said.split('\n') {
        let mut nodes = vec![Node::Text { text: line.to_owned() }];
        if dice.throw(3) == 0 {
            let at = dice.throw(nodes.len() + 1);
            nodes.insert(at, other(dice));
        }
        paragraphs.push(nodes);
    }
    Body::Post(Post { title: mutate::text(dice, "通知", "<at >"), paragraphs })
}

#[test]
fn a_command_is_understood_or_explained() {
    fuzz("command", 6000, 4_000_000, |dice| {
        let (valid, other) = (pick(dice, &SAID), pick(dice, &SAID));
        let said = match dice.throw(10) {
            0 => String::from_utf8_lossy(&mutate::noise(dice)).into_owned(),
            _ => mutate::text(dice, valid, other),
        };
        let body = body(dice, &said);
        let mentions = mentions(dice);
        let bot = OpenId::new("ou_bot").filter(|_| dice.throw(4) > 0);
        match parse(&Said { body: &body, mentions: &mentions, bot: bot.as_ref() }) {
            Ok(command) => understood(&command, &said).map(|()| Read::Understood),
            Err(error) => explained(&error, &body, &mentions).map(|()| Read::Refused),
        }
        .map_err(|wrong| format!("{wrong}\n{body:?}\n{mentions:?}"))
    });
}

fn understood(command: &Command, said: &str) -> Result<(), String> {
    let kept = serde_json::to_string(command).map_err(|error| error.to_string())?;
    let again: Command = serde_json::from_str(&kept).map_err(|error| format!("{kept}: {error}"))?;
    promise(again == *command, || format!("{again:?} was {command:?}"))?;
    let Command::Broadcast(request) = command else { return Ok(()) };
    promise(!request.targets.is_empty(), || "a broadcast to nobody".to_owned())?;
    let Some(content) = &request.content else { return Ok(()) };
    promise(!content.is_blank(), || "a content that nobody sees".to_owned())?;
    // Card JSON is taken as it was typed.
    if !request.options.card {
        harmless(content)?;
        // A content loses them, and what stood around them may then read like an option.
        if !said.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            idempotent(content)?;
        }
    }
    let targets = Targets { open_ids: OpenId::new("ou_1").into_iter().collect(), ..Targets::default() };
    let wire = plan::request_body(content, &targets);
    promise(serde_json::from_str::<Value>(&wire).is_ok(), || format!("no JSON: {wire}"))
}

/// Every word of it can be seen, and none of it pings.
fn harmless(content: &Content) -> Result<(), String> {
    let words: Vec<&str> = match content {
        Content::Text(text) => vec![text],
        Content::Post(locales) => {
            let nodes = locales.values().flat_map(|post| &post.paragraphs).flatten();
            let texts = nodes.filter_map(|node| match node {
                Node::Text { text } | Node::Link { text, .. } => Some(text.as_str()),
                Node::At { .. } | Node::Emotion { .. } | Node::Rule | Node::Code { .. } => Some("\0not cleaned"),
                Node::Unknown { tag } => Some(tag.as_str()),
                Node::Image { .. } | Node::Media { .. } => None,
            });
            locales.values().map(|post| post.title.as_str()).chain(texts).collect()
        }
        other => return Err(format!("a command holds no {other:?}")),
    };
    for words in words {
        promise(!words.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')), || {
            format!("control in {words:?}")
        })?;
        promise(!pings(words), || format!("pings: {words:?}"))?;
    }
    Ok(())
}

pub(super) fn pings(words: &str) -> bool {
    let small = words.to_ascii_lowercase();
    small.match_indices("<at").any(|(at, tag)| {
        small[at + tag.len()..].chars().next().is_none_or(|c| c.is_whitespace() || matches!(c, '/' | '>'))
    })
}

/// A content that is broadcast as it reads stays what it is when somebody broadcasts it again.
fn idempotent(content: &Content) -> Result<(), String> {
    let Content::Text(text) = content else { return Ok(()) };
    if text.contains('[') || text.contains("@_") {
        // A label or a name may well be written like a link or a key.
        return Ok(());
    }
    let body = Body::Text(format!("/broadcast od-1\n{text}"));
    match parse(&Said { body: &body, mentions: &[], bot: None }) {
        Ok(Command::Broadcast(again)) => {
            promise(again.content.as_ref() == Some(content), || format!("{:?} was {content:?}", again.content))
        }
        other => Err(format!("{other:?} of {body:?}")),
    }
}

fn explained(error: &CommandError, body: &Body, mentions: &[Mention]) -> Result<(), String> {
    let told = || format!("{error:?}");
    promise(error.understood.chars().count() <= 60 && error.excerpt.chars().count() <= 24, told)?;
    promise(error.at.is_some() || error.excerpt.is_empty(), told)?;
    let text = help::mistake(error);
    promise(!pings(&text.zh) && !pings(&text.en), || format!("{text:?} pings"))?;
    promise(!text.zh.contains('\0') && !error.to_string().contains(char::is_control), told)?;
    // Where the message is shown as it was written, the place can be looked up in it.
    let Body::Text(said) = body else { return Ok(()) };
    let as_written = !said.contains(['[', '@']) && !mentions.iter().any(|mention| said.contains(&mention.key));
    let Some(at) = error.at.filter(|_| as_written) else { return Ok(()) };
    promise(at < said.chars().count(), told)?;
    let rest: String = said.chars().skip(at).collect();
    let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
    let place = error.excerpt.trim_end_matches('…').trim_end();
    promise(rest.starts_with(place), || format!("{error:?} points to {rest:?}"))
}
