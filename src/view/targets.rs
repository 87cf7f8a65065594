//! What is said of targets: on a card, and where they lead nowhere.

use super::{Text, count, text};
use crate::domain::audience::FileNote;
use crate::domain::broadcast::Broadcast;
use crate::domain::ids::{BroadcastId, OpenId};

/// How many people a broadcast is for; while a department is still to be chosen, nobody knows.
pub fn size(broadcast: &Broadcast) -> Text {
    match broadcast.questions.is_empty() {
        true => text::heads(broadcast.audience.headcount),
        false => Text::new("人数待定", "headcount open"),
    }
}

pub fn covered(named: &str, inside: Option<&str>) -> Text {
    match inside {
        Some(inside) => Text::new(
            format!("「{named}」在「{inside}」之内，已合并，不会重复收到"),
            format!("“{named}” lies inside “{inside}”; merged, nobody gets it twice"),
        ),
        None => Text::new(
            format!("「{named}」用两种方式写了同一个人，已合并"),
            format!("“{named}” is the same person named in two ways; merged"),
        ),
    }
}

pub fn unverified(ids: &[&str]) -> Text {
    Text::new(
        format!("无法核实（应用看不到或不存在），会照发并在结果里说明：{}", ids.join("、")),
        format!(
            "Could not be verified (invisible to the app, or unknown); sent as they are, the result will tell: {}",
            ids.join(", ")
        ),
    )
}

/// People of whom nobody could tell whether they are named twice.
pub fn untold(people: u64) -> Text {
    let people_en = count(people, "person");
    Text::new(
        format!("有 {people} 人查不到还在哪些目标里，若别的目标也包含他们，可能收到两次"),
        format!(
            "{people_en} named by id: whether another target contains them too could not be told, so they may get it twice"
        ),
    )
}

pub fn overlap() -> Text {
    Text::new(
        "人数为飞书统计的约数；同时属于两个部门的人可能收到两次",
        "Headcounts are Feishu's estimates; someone who belongs to two of the departments may get it twice",
    )
}

/// What became of the rows of a file.
pub fn file(note: &FileNote) -> Text {
    let FileNote { name, rows, repeated, left_out } = note;
    let (mut zh, mut en) =
        (format!("名单 {name}：{rows} 行可用"), format!("List {name}: {} can be used", count(*rows, "row")));
    if *repeated > 0 {
        zh.push_str(&format!("，{repeated} 行重复已合并"));
        en.push_str(&format!(", {repeated} repeated and merged"));
    }
    if *left_out > 0 {
        zh.push_str(&format!("，{left_out} 行没有用上（明细见消息）"));
        en.push_str(&format!(", {left_out} left out (see the message)"));
    }
    Text::new(zh, en)
}

/// The same content went to others before.
pub fn repairs(of: &BroadcastId, departments: bool) -> Text {
    let (zh, en) = if departments {
        ("；这些部门里有人可能已经从别的目标收到过", "; some in these departments may have got it by another target")
    } else {
        ("", "")
    };
    Text::new(
        format!("补发群发 {of}：内容相同，只发给当时无效、现在有效的目标{zh}"),
        format!("Repeats broadcast {of} with the same content, for those targets that were invalid then{en}"),
    )
}

/// The rules do not let this person address everyone.
pub fn everyone_denied(person: &OpenId) -> Text {
    Text::new(
        format!(
            "明白了：发给全员。但规则没有允许你发给全员（默认不允许），没有发起群发。\n请运维人员在 POLICY_FILE 的 [everyone] 一节把你的 open_id 写进 authors：authors = [\"{person}\"]\n或改为列出部门，例如：/broadcast 销售部,研发部 内容"
        ),
        format!(
            "Understood: to everyone. But the rules do not let you address everyone (nobody may by default); nothing was proposed.\nAsk the operator to write your open_id into authors under [everyone] of the POLICY_FILE: authors = [\"{person}\"]\nOr name departments: /broadcast Sales,Research CONTENT"
        ),
    )
}

/// Nobody is left to be addressed; for a list, why its rows are of no use.
pub fn nobody(unusable: Option<&Text>) -> Text {
    let said = Text::new(
        "没有任何可用的目标，没有发起群发。",
        "There is nobody to address among the targets; nothing was proposed.",
    );
    match unusable {
        Some(unusable) => Text::lines(&[said, unusable.clone()]),
        None => said,
    }
}

/// Nobody has these e-mail addresses and telephone numbers.
pub fn nobody_at(typed: &[&str]) -> Text {
    let zh: Vec<String> = typed.iter().map(|typed| format!("「{typed}」")).collect();
    let en: Vec<String> = typed.iter().map(|typed| format!("“{typed}”")).collect();
    Text::new(
        format!(
            "没有找到{}对应的人：可能写错了、已离职，或不在应用的通讯录权限范围内。请核对，或改用 @ 提及。",
            zh.join("、")
        ),
        format!(
            "Nobody was found for {}: mistyped, gone, or outside the app's contact range. Check it, or mention the person with @.",
            en.join(", ")
        ),
    )
}

/// The app sees only a part of the company, so it cannot tell who everyone is.
pub fn not_everyone() -> Text {
    Text::new(
        "明白了：发给全员。但应用的通讯录权限范围不是「全部成员」，我看不到完整的公司架构。\n请在开发者后台 > 权限管理 > 通讯录权限范围选择「全部成员」，发布版本并通过审核后再发；或改为列出部门，例如：/broadcast 销售部,研发部 内容",
        "Understood: to everyone. But the app's contact range is not “all members”, so I do not see the whole company.\nChoose “All members” in the developer console under Permissions > contact data range, publish a version and have it approved, then send the command again; or name departments: /broadcast Sales,Research CONTENT",
    )
}

/// A list of many e-mail addresses or telephone numbers takes its time.
pub fn takes_a_while(rows: usize, minutes: usize) -> Text {
    Text::new(
        format!("收到名单，{rows} 行，正在逐个核对，大约需要 {minutes} 分钟，好了会把预览发给你。"),
        format!(
            "The list has {} and is being looked up, which takes about {}; the preview follows.",
            count(rows, "row"),
            count(minutes, "minute")
        ),
    )
}
