//! What the bot answers in the chat and in toasts. Short: what happened, and what to do next.

use jiff::tz::TimeZone;

use super::{Text, count, moment, targets, text, trouble};
use crate::domain::audience::DepartmentTarget;
use crate::domain::batch::WaitCause;
use crate::domain::broadcast::{Broadcast, State};
use crate::domain::ids::{BroadcastId, OpenId, Timestamp};
use crate::domain::policy::{Action, Roles};
use crate::domain::quota::PER_DAY;

pub fn authorized(waiting: u64) -> Text {
    if waiting > 0 {
        Text::new("已授权，刚才的命令正在继续。", "Authorized; your command goes on.")
    } else {
        Text::new("已授权，可以按名称搜索部门了。", "Authorized; departments can be searched by name now.")
    }
}

/// Something was sent that is no command, but may become the content or the targets of one.
pub fn cannot_read(message_type: &str) -> Text {
    match message_type {
        "image" | "share_chat" | "interactive" => Text::new(
            "收到。要群发它，请「回复」这条消息，只写收件人，例如：/broadcast 销售部",
            "Got it. To broadcast it, reply to it with the targets alone, for example: /broadcast Sales",
        ),
        "file" => Text::new(
            "收到文件。如果是收件人名单（.csv、.txt、.xlsx），请「回复」它并写上内容，例如：/broadcast file 明天下午三点全员会\n文件本身不能群发，可以改发云文档链接。",
            "Got the file. If it lists the targets (.csv, .txt, .xlsx), reply to it with the content, for example: /broadcast file all hands at three\nFiles themselves cannot be broadcast; send the link of a document instead.",
        ),
        other => Text::new(
            format!(
                "我只读文字和富文本里的命令，读不了这种消息（{other}），飞书也不能群发它。\n例如：/broadcast 销售部 明天下午三点全员会"
            ),
            format!(
                "I read commands in text and rich text only, not in this kind of message ({other}), which Feishu cannot broadcast either.\nFor example: /broadcast Sales all hands at three"
            ),
        ),
    }
}

pub fn waited_in_vain() -> Text {
    Text::new(
        "一小时内没有授权，刚才的命令已作废，没有发送任何内容。\n请先 /login，再重新发送命令。",
        "You did not authorize within an hour, so the command was dropped; nothing was sent.\nUse /login first, then send the command again.",
    )
}

pub fn gave_up(why: &Text) -> Text {
    Text::new(
        format!("没有办成，也没有发送任何内容：{}\n处理好之后请重新发送命令。", why.zh),
        format!(
            "This could not be done, and nothing was sent: {}\nSend the command again once that is mended.",
            why.en
        ),
    )
}

pub fn trying_again(why: &Text) -> Text {
    Text::new(
        format!("命令已收到并保存，暂时办不了：{}\n我会继续尝试，不用重发。", why.zh),
        format!(
            "Your command is stored but cannot be worked on right now: {}\nI keep trying; no need to send it again.",
            why.en
        ),
    )
}

pub fn no_such_broadcast(id: Option<&BroadcastId>) -> Text {
    match id {
        Some(id) => Text::new(
            format!("没有编号为 {id} 的群发。用 /list 看最近的编号。"),
            format!("There is no broadcast {id}. /list shows the recent ones."),
        ),
        None => Text::new(
            "还没有任何群发。例如：/broadcast 销售部 明天下午三点全员会",
            "There is no broadcast yet. For example: /broadcast Sales all hands at three",
        ),
    }
}

pub fn empty_list() -> Text {
    Text::new("没有符合的群发。", "No broadcast to list.")
}

/// Letters of a content in a list.
const LISTED_MAX: usize = 20;

/// How a content begins, in one line; what was cut off is marked.
pub(super) fn begin(content: &str, letters_max: usize) -> String {
    let line = content.replace('\n', " ");
    match line.chars().count() > letters_max {
        true => format!("{}…", line.chars().take(letters_max).collect::<String>().trim_end()),
        false => line,
    }
}

pub fn list_line(broadcast: &Broadcast, kept_back: Option<WaitCause>, zone: &TimeZone) -> Text {
    let word = text::standing(broadcast, kept_back);
    let heads = targets::size(broadcast);
    let when = moment(broadcast.created_at, zone);
    let begin = begin(&broadcast.content.plain(), LISTED_MAX);
    let (at_zh, at_en) = match broadcast.leaves_at() {
        Some(at) => {
            let at = moment(at, zone);
            (format!(" · 定于 {at}"), format!(" · to leave {at}"))
        }
        None => Default::default(),
    };
    Text::new(
        format!("{} · {} · {when}{at_zh} · {} · {begin}", broadcast.id, word.zh, heads.zh),
        format!("{} · {} · {when}{at_en} · {} · {begin}", broadcast.id, word.en, heads.en),
    )
}

pub fn cancelled(id: &BroadcastId, some_sent: bool) -> Text {
    if some_sent {
        Text::new(
            format!("群发 {id}：还没发出的部分已取消；已经发出的不受影响。"),
            format!("Broadcast {id}: what had not left is cancelled; what has left is not affected."),
        )
    } else {
        Text::new(format!("群发 {id} 已取消，没有发送。"), format!("Broadcast {id} is cancelled; nothing was sent."))
    }
}

/// The answer to `/departments`.
pub fn departments(keyword: &str, found: &[DepartmentTarget], total: usize, more: bool) -> Text {
    if found.is_empty() {
        return Text::new(
            format!(
                "没有找到名称里有「{keyword}」的部门，或你在通讯录里看不到它。换一个更短的词试试，例如：/部门 销售"
            ),
            format!(
                "No department with “{keyword}” in its name, or you cannot see it in the directory. Try a shorter word, for example: /departments Sales"
            ),
        );
    }
    let total_zh = if more { format!("{total}+") } else { total.to_string() };
    let total_en = if more { format!("{total}+ departments") } else { count(total, "department") };
    let mut lines =
        vec![Text::new(format!("「{keyword}」找到 {total_zh} 个部门："), format!("{total_en} for “{keyword}”:"))];
    for department in found {
        let line = text::department(&department.full_path(), department.headcount);
        lines.push(Text::new(format!("{} {}", line.zh, department.id), format!("{} {}", line.en, department.id)));
    }
    if total > found.len() || more {
        lines.push(Text::new("……还有更多，请写得更具体", "… there are more; be more specific"));
    }
    Text::lines(&lines)
}

pub fn logged_out(had: bool) -> Text {
    if had {
        Text::new(
            "已删除你的授权。飞书没有让应用收回令牌的接口；想彻底收回，请在飞书的授权管理里取消对本应用的授权。",
            "Your authorization is deleted here. Feishu has no call to revoke the tokens; to withdraw the grant for good, remove this app in Feishu's authorization settings.",
        )
    } else {
        Text::new("你没有授权过，没有可删除的。", "There was no authorization to delete.")
    }
}

/// How long an authorization lasts, and what comes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// The bot renews it by itself as long as it is used before this.
    Renewed { until: Timestamp },
    /// No refresh token was granted: it ends, and only its owner can give it anew.
    Once { until: Timestamp },
}

pub fn whoami(person: &OpenId, roles: Roles, granted: Option<Granted>, zone: &TimeZone) -> Text {
    let (zh, en) = match (roles.admin, roles.approver) {
        (true, true) => ("管理员、审批人", "admin, approver"),
        (true, false) => ("管理员", "admin"),
        (false, true) => ("审批人", "approver"),
        (false, false) => ("没有角色", "no role"),
    };
    let (granted_zh, granted_en) = match granted {
        Some(Granted::Once { until }) => {
            let until = moment(until, zone);
            (
                format!("已授权，{until} 前有效（不会自动续期，到时再 /login）"),
                format!("authorized until {until} (not renewed; /login again then)"),
            )
        }
        Some(Granted::Renewed { until }) => {
            let until = moment(until, zone);
            (
                format!("已授权，{until} 前有效（会自动续期）"),
                format!("authorized until {until} (renewed automatically)"),
            )
        }
        None => ("未授权（/login）".to_owned(), "not authorized (/login)".to_owned()),
    };
    Text::new(
        format!("open_id：{person}\n角色：{zh}\n部门搜索：{granted_zh}"),
        format!("open_id: {person}\nRoles: {en}\nDepartment search: {granted_en}"),
    )
}

pub fn no_public_url() -> Text {
    Text::new(
        "还不能授权：部署时没有设置 PUBLIC_URL。请运维人员设置后重启；在那之前可以用部门 ID（od-…）代替名称。",
        "Authorization is not possible yet: PUBLIC_URL is not set. Ask the operator to set it; until then use department ids (od-…) instead of names.",
    )
}

pub fn see_private_chat(id: &BroadcastId) -> Text {
    Text::new(
        format!("群发 {id} 的预览已私信给你。"),
        format!("The preview of broadcast {id} is in your private chat with me."),
    )
}

pub fn sent_privately() -> Text {
    Text::new("已私信给你。", "Sent to you privately.")
}

/// A card that could not be shown to somebody who has a say.
pub fn card_given_up(id: &BroadcastId, person: &OpenId, is_author: bool, why: &Text) -> Text {
    if is_author {
        return Text::new(
            format!("群发 {id} 的卡片无法显示给你：{}\n用 /status {id} 查看进度，/cancel {id} 取消。", why.zh),
            format!(
                "The card of broadcast {id} cannot be shown to you: {}\nUse /status {id} and /cancel {id}.",
                why.en
            ),
        );
    }
    Text::new(
        format!("群发 {id}：审批卡片送不到 {person}：{}\n请找其他审批人，或请运维人员处理。", why.zh),
        format!(
            "Broadcast {id}: the approval card cannot reach {person}: {}\nAsk another approver, or the operator.",
            why.en
        ),
    )
}

/// The list of all targets, where a card shows only the first ones.
pub fn all_targets(id: &BroadcastId, part: usize, of: usize) -> Text {
    Text::new(format!("群发 {id} 的全部目标（{part}/{of}）："), format!("All targets of broadcast {id} ({part}/{of}):"))
}

pub fn ambiguous(typed: &str, candidates: &[DepartmentTarget]) -> Text {
    let mut lines = vec![Text::new(
        format!("有 {} 个部门叫「{typed}」，请写出路径：", candidates.len()),
        format!("{} are called “{typed}”; write a path:", count(candidates.len(), "department")),
    )];
    lines.extend(candidates.iter().map(|candidate| {
        let path = candidate.path.join("/");
        Text::same(format!("• /broadcast {path} …"))
    }));
    Text::lines(&lines)
}

pub fn not_found(typed: &str, near: &[String]) -> Text {
    if near.is_empty() {
        return Text::new(
            format!("没有找到「{typed}」。可能是名称不对，或你在通讯录里看不到它。用 /departments 关键词 查一查。"),
            format!(
                "“{typed}” was not found. The name may differ, or you cannot see it in the directory. Try /departments KEYWORD."
            ),
        );
    }
    Text::new(
        format!("没有找到「{typed}」。相近的有：{}", near.join("、")),
        format!("“{typed}” was not found. Near names: {}", near.join(", ")),
    )
}

pub fn too_many_namesakes(typed: &str) -> Text {
    Text::new(
        format!("叫「{typed}」的部门太多，请写路径（如 华东/{typed}）或部门 ID（od-…）。"),
        format!("Too many departments are called “{typed}”; write a path (like East/{typed}) or the id (od-…)."),
    )
}

pub fn nothing_proposed() -> Text {
    Text::new("没有发起群发。", "Nothing was proposed.")
}

pub fn unknown_button() -> Text {
    Text::new("这个按钮我不认识，没有改变任何东西。", "I do not know this button; nothing was changed.")
}

pub fn pressed_already() -> Text {
    Text::new("已经收到过这次点击。", "This press was received already.")
}

pub fn refreshing() -> Text {
    Text::new("正在更新数字。", "Bringing the numbers up to date.")
}

/// The toast for sending again what is in doubt, while the broadcast is on hold.
pub fn sent_after_go_on() -> Text {
    Text::new(
        "已记下。这条群发还在暂停中：点「继续发送」之后才会重发。",
        "Noted. This broadcast is still on hold: it is sent again once you press “Go on”.",
    )
}

/// The toast for the author's word on a broadcast that was on hold.
pub fn going_on(state: State) -> Text {
    if state.is_undecided() {
        Text::new("已确认，可以审批了。", "Confirmed; it can be approved now.")
    } else if state == State::Scheduled {
        Text::new("已确认，到时间自动发送。", "Confirmed; it leaves at its time.")
    } else {
        Text::new("已确认，继续发送。", "Confirmed; sending goes on.")
    }
}

/// A department of more people than a day has messages; `left` of today's are left.
pub fn over_quota(department: &DepartmentTarget, left: u64) -> Text {
    let heads = department.headcount.unwrap_or_default();
    let path = department.full_path();
    Text::new(
        format!(
            "「{path}」约 {heads} 人，而飞书每个应用每天最多群发 {PER_DAY} 条（北京时间 0 点重置，今天还剩 {left} 条）。没有保存。请改为分别发给它的下级部门，分几天发完。"
        ),
        format!(
            "“{path}” has about {}, and Feishu lets an app broadcast at most {} a day (from midnight Beijing time; left today: {left}). Nothing was stored. Address the departments inside it instead, over several days.",
            count(heads, "person"),
            count(PER_DAY, "message")
        ),
    )
}

/// The toast after a press that worked. `quiet_until` says when the quiet hours end in which it was made.
pub fn decided(action: Action, after: &Broadcast, quiet_until: Option<&str>) -> Text {
    let id = &after.id;
    match (action, after.state) {
        (Action::Pick, State::NeedsChoice) if after.questions.is_empty() => {
            Text::new("已选择，还要确认标 ⚠️ 的内容。", "Chosen; what is marked ⚠️ is still to be confirmed.")
        }
        (Action::Pick, State::NeedsChoice) => Text::new("已选择，还有同名的要选。", "Chosen; more are to be chosen."),
        (Action::Pick, _) => Text::new("已选择。", "Chosen."),
        (Action::Approve, State::Pending) => Text::new(
            format!("已通过，还需要 {} 人。", u64::from(after.required).saturating_sub(after.approvals.len() as u64)),
            format!(
                "Approved; {} more needed.",
                u64::from(after.required).saturating_sub(after.approvals.len() as u64)
            ),
        ),
        (Action::Approve, State::Scheduled) if after.is_resting() => Text::new(
            format!("已通过，{id} 冷静期过后自动发送；在那之前可以叫停。"),
            format!("Approved; {id} leaves once it has cooled off and can be stopped until then."),
        ),
        (Action::Approve, State::Scheduled) => {
            Text::new(format!("已通过，{id} 到时间自动发送。"), format!("Approved; {id} leaves at its time."))
        }
        (Action::Approve, _) => match quiet_until {
            Some(until) => Text::new(
                format!("已通过。现在是免打扰时段，{id} 在 {until} 发送。"),
                format!("Approved. These are the quiet hours; {id} is sent at {until}."),
            ),
            None => Text::new(format!("已通过，{id} 开始发送。"), format!("Approved; {id} is being sent.")),
        },
        (Action::Reject, _) if after.was_stopped() => {
            Text::new(format!("已叫停，{id} 不会发送。"), format!("Stopped; {id} will not be sent."))
        }
        (Action::Reject, _) => {
            Text::new(format!("已驳回，{id} 不会发送。"), format!("Rejected; {id} will not be sent."))
        }
        _ => Text::new("已完成。", "Done."),
    }
}

/// The author has accepted what was found in the content.
pub fn findings_accepted(after: &Broadcast) -> Text {
    match (after.state, after.required) {
        (State::NeedsChoice, _) => Text::new("已确认，还要选择部门。", "Accepted; a department is still to be chosen."),
        (_, 0) => Text::new("已确认。点「确认发送」就会发出。", "Accepted. It is sent once you press “Send now”."),
        _ => Text::new("已确认，已提交审批。", "Accepted; approval was asked for."),
    }
}

pub fn doubt_decided(again: bool) -> Text {
    if again {
        Text::new("正在重新发送。", "Sending again.")
    } else {
        Text::new("已视为发送成功。", "Taken as sent.")
    }
}

/// Why an authorization could not be renewed.
pub fn oauth_failed(code: Option<i64>) -> Text {
    let why = code.map_or_else(trouble::feishu_silent, super::advice);
    Text::new(
        format!("现在无法使用你的授权：{}\n没有发送任何内容；稍后重试，或 /login 重新授权。", why.zh),
        format!(
            "Your authorization cannot be used right now: {}\nNothing was sent; try again later, or /login anew.",
            why.en
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_in_a_line_is_marked() {
        assert_eq!(begin("All hands on Friday at three", LISTED_MAX), "All hands on Friday…");
        assert_eq!(begin("周五\n三点", LISTED_MAX), "周五 三点");
    }
}
