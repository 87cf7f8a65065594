//! What is said around a broadcast without being asked for: greetings, reminders, and what became of a command that was
//! recalled or a content that was written anew.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::{Text, agree, answers, count, moment, recall, text};
use crate::domain::audience::DepartmentTarget;
use crate::domain::batch::WaitCause;
use crate::domain::broadcast::{Broadcast, Ending, Revised, State};
use crate::domain::heard::{Heard, MANY};
use crate::domain::ids::{BroadcastId, OpenId};
use crate::domain::policy::Roles;
use crate::domain::report::Report;

/// The first word of the day: what this person may do, one example, and what waits.
pub fn greeting(roles: Roles, own: usize, awaiting: usize) -> Text {
    let hello = match (roles.admin, roles.approver) {
        (true, true) => Text::new(
            "你好！你可以发起群发，也可以审批别人的群发。例如：",
            "Hello! You may ask for broadcasts and decide on those of others. For example:",
        ),
        (true, false) => Text::new("你好！你可以发起群发。例如：", "Hello! You may ask for broadcasts. For example:"),
        (false, _) => Text::new(
            "你好！你可以审批群发：收到卡片后点按钮。看看有哪些在等：",
            "Hello! You may decide on broadcasts with the buttons on their cards. What waits:",
        ),
    };
    let example = match roles.admin {
        true => Text::new("/群发 销售部 明天下午三点开会", "/broadcast Sales We meet tomorrow at 3 pm"),
        false => Text::new("/列表 pending", "/list pending"),
    };
    let (mut zh, mut en) = (vec![], vec![]);
    if own > 0 {
        zh.push(format!("你有 {own} 条群发在等"));
        en.push(format!("{} of yours {} waiting", count(own, "broadcast"), agree(own, "is", "are")));
    }
    if awaiting > 0 {
        zh.push(format!("{awaiting} 条等你审批"));
        en.push(format!("{awaiting} {} for your decision", agree(awaiting, "waits", "wait")));
    }
    zh.push("全部用法：/help".into());
    en.push("everything else: /help".into());
    Text::lines(&[hello, example, Text::new(zh.join("；"), en.join("; "))])
}

/// A line for each; one line where there is none. `kept_back` says of which nothing has left although it may, and why.
pub fn list(broadcasts: &[Broadcast], kept_back: &BTreeMap<BroadcastId, WaitCause>, zone: &TimeZone) -> Text {
    if broadcasts.is_empty() {
        return answers::empty_list();
    }
    let line = |broadcast: &Broadcast| answers::list_line(broadcast, kept_back.get(&broadcast.id).copied(), zone);
    Text::lines(&broadcasts.iter().map(line).collect::<Vec<_>>())
}

/// Above what a person has waiting, with the lines of both lists.
pub fn pending(own: &[Text], awaiting: &[Text]) -> Text {
    if own.is_empty() && awaiting.is_empty() {
        return Text::new("没有在等的群发。", "Nothing is waiting.");
    }
    let mut lines = Vec::new();
    if !own.is_empty() {
        lines.push(Text::new("你发起、还在等的：", "Asked for by you and waiting:"));
        lines.extend_from_slice(own);
    }
    if !awaiting.is_empty() {
        lines.push(Text::new("等你审批的：", "Waiting for your decision:"));
        lines.extend_from_slice(awaiting);
    }
    Text::lines(&lines)
}

/// A menu item whose key the bot does not know, above the help.
pub fn unknown_item() -> Text {
    Text::new(
        "这个菜单项我不认识（可用的 event_key：help、list、pending、status）。",
        "I do not know this menu item (event keys: help, list, pending, status).",
    )
}

/// The command was taken back before anything came of it.
pub fn command_dropped() -> Text {
    Text::new("命令已被撤回，没有执行。", "The command was recalled; nothing was done.")
}

/// The command was taken back, and with it what had not left.
pub fn command_recalled(id: &BroadcastId) -> Text {
    Text::new(
        format!("命令消息被撤回了，所以群发 {id} 已取消，没有发送。"),
        format!("The command was recalled, so broadcast {id} is cancelled; nothing was sent."),
    )
}

/// Why and by whom it ended unsent, on its card.
pub fn ended(broadcast: &Broadcast, ending: &Ending) -> Text {
    match &ending.source_recalled {
        Some(of) => recall::repair_ended(of, ending.by.as_ref()),
        None if ending.command_recalled => Text::new(
            "**取消** 命令消息被撤回了，没有发送",
            "**Cancelled** because its command was recalled; nothing was sent",
        ),
        None => text::ending(broadcast, ending.by.as_ref()),
    }
}

/// The command was taken back too late: what was sent, and what can be done about it.
pub fn recall_undoes_nothing(id: &BroadcastId, state: State, report: &Report) -> Text {
    let sent = report.accepted + report.taken_as_sent;
    let mut zh = format!("撤回命令消息不会撤回群发 {id}：共 {} 批，已发出 {sent} 批", report.batches);
    let mut en = format!(
        "Recalling the command does not recall broadcast {id}: {sent} of {} sent",
        count(report.batches, "batch")
    );
    if report.in_doubt > 0 {
        zh.push_str(&format!("，{} 批结果未知", report.in_doubt));
        en.push_str(&format!(", {} in doubt", report.in_doubt));
    }
    if report.can_be_stopped() {
        zh.push_str(&format!("，{} 批还没发完。\n停止没发出的：/cancel {id}", report.open));
        en.push_str(&format!(", {} to go.\nStop what has not left: /cancel {id}", report.open));
    } else {
        zh.push('。');
        en.push('.');
    }
    if state != State::Recalled {
        zh.push_str(&format!("\n撤回已发出的：/recall {id}"));
        en.push_str(&format!("\nRecall what was sent: /recall {id}"));
    }
    Text::new(zh, en)
}

/// Letters of a content that a reminder quotes.
const QUOTED_MAX: usize = 30;

/// To approvers who have not decided, shortly before the deadline.
///
/// Who asks stands on the card that it answers: an open_id would tell nobody, and a mention rings their phone.
pub fn reminder(id: &BroadcastId, content: &str, until: &str) -> Text {
    let quoted = answers::begin(content, QUOTED_MAX);
    Text::new(
        format!("提醒：群发 {id} 还在等你审批，{until} 过期。\n内容：{quoted}\n请在它的卡片上决定。"),
        format!(
            "Reminder: broadcast {id} waits for your decision and expires at {until}.\nContent: {quoted}\nPlease decide on its card."
        ),
    )
}

/// To the author at the same time. `missing` approvals; none where the author decides. On hold nobody else was reminded.
pub fn about_to_expire(id: &BroadcastId, held: bool, missing: u64, until: &str) -> Text {
    if held {
        return Text::new(
            format!("群发 {id} 还在暂停，{until} 过期，过期后不会发送。请在卡片上决定：继续，或者取消。"),
            format!(
                "Broadcast {id} is still on hold and expires at {until} unsent. Decide on its card: go on, or cancel."
            ),
        );
    }
    if missing == 0 {
        return Text::new(
            format!("群发 {id} 还没有确认，{until} 过期，过期后不会发送。请在卡片上决定。"),
            format!("Broadcast {id} is not confirmed yet and expires at {until} unsent. Decide on its card."),
        );
    }
    Text::new(
        format!("群发 {id} 还差 {missing} 人审批，{until} 过期，过期后不会发送。已提醒还没决定的审批人。"),
        format!(
            "Broadcast {id} still needs {} and expires at {until} unsent. Whoever has not decided was reminded.",
            count(missing, "approval")
        ),
    )
}

pub fn edit_button(asks: bool) -> Text {
    match asks {
        true => Text::new("修改内容，重新审批", "Change it and ask again"),
        false => Text::new("修改内容", "Change it"),
    }
}

/// Above the input: what pressing the button below does.
pub fn edit_note(asks: bool) -> Text {
    match asks {
        true => Text::new(
            "改好后点下面的按钮：会成为新版本，已有的通过全部作废，重新审批",
            "Change it here and press below: it becomes a new version, approvals are void and asked for again",
        ),
        false => Text::new(
            "改好后点下面的按钮：会成为新版本，再由你确认",
            "Change it here and press below: it becomes a new version for you to confirm",
        ),
    }
}

pub fn edit_placeholder() -> Text {
    Text::new("新的内容", "The new content")
}

/// Of a content that is too long to be changed on a card.
pub fn not_editable(letters_max: usize) -> Text {
    Text::new(
        format!("内容超过 {letters_max} 字，不能在卡片上修改；要改请取消后重新发起"),
        format!(
            "More than {} cannot be changed on a card; cancel and propose again instead",
            count(letters_max, "letter")
        ),
    )
}

/// The toasts of an edit.
pub fn edited(after: State, asks: bool) -> Text {
    match (after, asks) {
        (State::NeedsChoice, _) => Text::new(
            "已改为新版本；标 ⚠️ 的内容还要你确认。",
            "Changed; what is marked ⚠️ is still to be confirmed by you.",
        ),
        (_, true) => Text::new(
            "已改为新版本，重新审批；之前的通过作废。",
            "Changed; approval is asked for again, earlier approvals are void.",
        ),
        (_, false) => Text::new("已改为新版本，请再确认。", "Changed; confirm it again."),
    }
}

pub fn edit_empty() -> Text {
    Text::new("没有改：内容不能为空。", "Not changed: the content must not be empty.")
}

pub fn edit_same() -> Text {
    Text::new("内容没有变化，还是原来的版本。", "The content is the same; the version stays.")
}

pub fn edit_too_long(letters: usize, letters_max: usize) -> Text {
    Text::new(
        format!("没有改：内容有 {letters} 字，在卡片上最多 {letters_max} 字。更长的请取消后重新发起。"),
        format!(
            "Not changed: {}, and a card takes {letters_max}. Cancel and propose it again instead.",
            count(letters, "letter")
        ),
    )
}

pub fn only_text_is_edited() -> Text {
    Text::new(
        "只有文字内容可以在卡片上修改；这一条请取消后重新发起。",
        "Only text can be changed on a card; cancel this one and propose it again.",
    )
}

/// To whoever had approved what is no more.
pub fn approval_void(id: &BroadcastId) -> Text {
    Text::new(
        format!("群发 {id} 的内容改了，你之前的通过已作废。请看它的卡片，重新决定。"),
        format!("Broadcast {id} was changed, so your approval is void. Please look at its card and decide again."),
    )
}

/// On the card, of a content or a time that replaced another.
pub fn revised(revised: &Revised, zone: &TimeZone) -> Text {
    let at = moment(revised.at, zone);
    match revised.time_alone {
        true => Text::new(
            format!("发送时间在 {at} 改过，内容没变"),
            format!("Given another time at {at}; the content is the same"),
        ),
        false => {
            Text::new(format!("内容在 {at} 改过，这是新版本"), format!("Changed at {at}; this is the new version"))
        }
    }
}

/// On the card, who had approved what was there before.
pub fn void_approvals(by: &[&OpenId]) -> Text {
    let marks = text::at_marks(by);
    Text::new(
        format!("**已作废** 改动之前的通过：{marks}"),
        format!("**Void** approvals from before the change: {marks}"),
    )
}

/// What the audience has received in the last seven days, as far as this bot knows; nothing where it knows nothing.
/// `named` are departments of the audience that the card shows, each as the card calls it.
pub fn heard<'a>(heard: &Heard, named: impl Iterator<Item = (&'a DepartmentTarget, String)>) -> Option<Text> {
    let (mut zh, mut en) = (vec![], vec![]);
    if heard.many > 0 {
        zh.push(format!("其中至少 {} 人已收到 {MANY} 条或更多", heard.many));
        en.push(format!("at least {} got {} or more", count(heard.many, "person"), count(MANY, "broadcast")));
    }
    if heard.some > heard.many {
        zh.push(format!("其中至少 {} 人已收到过", heard.some));
        en.push(format!("at least {} got one or more", count(heard.some, "person")));
    }
    for (department, name) in named {
        if let Some(times) = heard.departments.get(department.id.key().as_ref()) {
            zh.push(format!("{name}：至少 {times} 次"));
            en.push(format!("{name}: at least {}", agree(*times, "once", &count(*times, "time"))));
        }
    }
    (!zh.is_empty())
        .then(|| Text::new(format!("近 7 天：{}", zh.join("；")), format!("Last 7 days: {}", en.join("; "))))
}
