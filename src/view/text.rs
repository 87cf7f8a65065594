//! The sentences of cards, toasts and answers, in both languages.

use super::{Text, agree, count, hold, policy, recall, result};
use crate::domain::audience::Headcount;
use crate::domain::batch::WaitCause;
use crate::domain::broadcast::{Broadcast, Stale, State};
use crate::domain::ids::OpenId;

/// The state as people say it.
pub fn state(state: State) -> Text {
    let (zh, en) = match state {
        State::NeedsChoice => ("待选择部门", "Choose a department"),
        State::Pending => ("待审批", "Awaiting approval"),
        State::Approved => ("已通过，即将发送", "Approved, about to send"),
        State::Scheduled => ("已定时", "Scheduled"),
        State::Sending => ("发送中", "Sending"),
        State::Sent => ("已发送", "Sent"),
        State::PartlySent => ("部分发送", "Partly sent"),
        State::Failed => ("发送失败", "Failed"),
        State::InDoubt => ("结果未知，等发起人决定", "In doubt until its author decides"),
        State::Rejected => ("已驳回", "Rejected"),
        State::Cancelled => ("已取消", "Cancelled"),
        State::Expired => ("已过期", "Expired"),
        State::Recalled => ("已撤回", "Recalled"),
    };
    Text::new(zh, en)
}

/// Where a broadcast stands, as people say it: what its author has to do comes first. `kept_back` says what nothing of
/// it has left for.
pub fn standing(broadcast: &Broadcast, kept_back: Option<WaitCause>) -> Text {
    if broadcast.hold.is_some() {
        hold::word()
    } else if broadcast.is_being_recalled() && broadcast.state != State::InDoubt {
        recall::word()
    } else if broadcast.state == State::NeedsChoice && broadcast.questions.is_empty() {
        Text::new("待发起人确认内容", "Waiting for the author to confirm the content")
    } else if broadcast.was_stopped() {
        Text::new("已叫停", "Stopped")
    } else if broadcast.state == State::Pending && broadcast.required == 0 {
        Text::new("待发起人确认", "Waiting for its author to confirm")
    } else if broadcast.state == State::Scheduled && broadcast.is_resting() {
        Text::new("冷静期，稍后发送", "Cooling off, then sent")
    } else if let (State::Sending, Some(cause)) = (broadcast.state, kept_back) {
        result::kept_back(cause)
    } else {
        state(broadcast.state)
    }
}

/// A broadcast that does not fit into what is left of the day. No batch is split, so that more may wait than do not fit.
pub fn quota_short(heads: u64, left: u64) -> Text {
    Text::new(
        format!(
            "今天的群发额度还剩 {left} 条（每天 50 万条，按北京时间 0 点重置），至少 {} 人要等到明天 0 点以后",
            heads - left
        ),
        format!(
            "{} {} left of today's quota (500,000 a day, from midnight Beijing time); at least {} {} until after that",
            count(left, "message"),
            agree(left, "is", "are"),
            count(heads - left, "person"),
            agree(heads - left, "waits", "wait")
        ),
    )
}

pub fn card_title(broadcast: &Broadcast) -> Text {
    Text::new(format!("群发 {}", broadcast.id), format!("Broadcast {}", broadcast.id))
}

/// The client shows the name; we never have to know it.
pub fn at_mark(person: &OpenId) -> String {
    format!("<at id={person}></at>")
}

pub(super) fn at_marks(people: &[&OpenId]) -> String {
    people.iter().map(|person| at_mark(person)).collect::<Vec<_>>().join(" ")
}

pub fn asks(author: &OpenId) -> Text {
    Text::new(format!("**申请人** {}", at_mark(author)), format!("**Asked by** {}", at_mark(author)))
}

pub fn which_one(typed: &str, candidates: usize) -> Text {
    Text::new(
        format!("有 {candidates} 个部门叫「{typed}」，请选择要发给哪一个："),
        format!("{} are called “{typed}”. Which one?", count(candidates, "department")),
    )
}

/// Questions for which a card has no room yet.
pub fn more_questions(more: usize) -> Text {
    Text::new(
        format!("选好之后，还有 {more} 个同名的要选"),
        format!("{more} more of the kind will be asked after this one"),
    )
}

pub fn pick_placeholder() -> Text {
    Text::new("选择部门", "Choose a department")
}

/// One of several namesakes.
pub fn candidate(path: &str, headcount: Option<u64>) -> Text {
    match headcount {
        Some(count) => Text::new(format!("{path}（约 {count} 人）"), format!("{path} (about {count})")),
        None => Text::same(path.to_owned()),
    }
}

pub fn department(path: &str, headcount: Option<u64>) -> Text {
    match headcount {
        Some(heads) => {
            Text::new(format!("• {path}（约 {heads} 人）"), format!("• {path} (about {})", count(heads, "person")))
        }
        None => Text::new(format!("• {path}（人数未知）"), format!("• {path} (headcount unknown)")),
    }
}

/// How many people, in words that do not promise more than is known.
pub fn heads(headcount: Headcount) -> Text {
    let Headcount { known, departments_unknown } = headcount;
    match (known, departments_unknown) {
        (known, 0) => Text::new(format!("约 {known} 人"), format!("about {}", count(known, "person"))),
        (0, n) => Text::new(format!("{n} 个部门，人数未知"), format!("{}, headcount unknown", count(n, "department"))),
        (known, n) => Text::new(
            format!("约 {known} 人，另有 {n} 个部门人数未知"),
            format!("about {}, plus {} of unknown size", count(known, "person"), count(n, "department")),
        ),
    }
}

pub fn audience_heading(headcount: Headcount) -> Text {
    let heads = heads(headcount);
    Text::new(format!("**发给** {}", heads.zh), format!("**To** {}", heads.en))
}

/// What an approval sets off, in a word that can be felt: one figure is read like another.
pub fn blast(headcount: Headcount, author_decides: bool) -> Option<Text> {
    let Headcount { known, departments_unknown } = headcount;
    let (zh, en) = match known {
        ..1_000 if departments_unknown > 0 => ("不知道多少人", "nobody knows how many people"),
        ..100 => return None,
        100..1_000 => ("一百人以上", "more than a hundred people"),
        1_000..10_000 => ("一千人以上", "more than a thousand people"),
        10_000..100_000 => ("一万人以上", "more than ten thousand people"),
        100_000.. => ("十万人以上", "more than a hundred thousand people"),
    };
    let (deed, done) = if author_decides { ("确认", "confirmed") } else { ("通过", "approved") };
    Some(Text::new(
        format!("⚠️ {deed}之后，{zh}会收到；已经读过的收不回来"),
        format!("⚠️ Once this is {done}, {en} get it; what was read cannot be unread"),
    ))
}

pub fn and_more(more: usize) -> Text {
    Text::new(format!("……另有 {more} 个目标"), format!("… and {more} more"))
}

pub fn approvals(by: &[&OpenId], required: u32) -> Text {
    if by.is_empty() {
        return Text::new(
            format!("**审批** 需要 {required} 人通过，还没有人通过"),
            format!("**Approval** {required} needed, none yet"),
        );
    }
    let marks = at_marks(by);
    Text::new(
        format!("**审批** {}/{required} 已通过：{marks}", by.len()),
        format!("**Approval** {}/{required}: {marks}", by.len()),
    )
}

pub fn approved_by(by: &[&OpenId]) -> Text {
    let marks = at_marks(by);
    Text::new(format!("**通过** {marks}"), format!("**Approved by** {marks}"))
}

pub fn deadline(moment: &str, author_decides: bool, author_reads: bool) -> Text {
    match (author_decides, author_reads) {
        (true, _) => Text::new(
            format!("确认后才会发送；{moment} 前有效"),
            format!("Nothing is sent until you confirm; valid until {moment}"),
        ),
        (false, true) => Text::new(
            format!("审批通过后才会发送；{moment} 前没有全部通过则自动作废"),
            format!("Nothing is sent before approval; expires at {moment}"),
        ),
        (false, false) => Text::new(
            format!("请核对内容和范围再决定；{moment} 后自动作废"),
            format!("Check content and audience before you decide; expires at {moment}"),
        ),
    }
}

pub fn ending(broadcast: &Broadcast, by: Option<&OpenId>) -> Text {
    let who = by.map(at_mark).unwrap_or_default();
    match broadcast.state {
        State::Rejected if broadcast.was_stopped() => {
            Text::new(format!("**叫停** {who}，没有发送"), format!("**Stopped** by {who}; nothing was sent"))
        }
        State::Rejected => {
            Text::new(format!("**驳回** {who}，没有发送"), format!("**Rejected** by {who}; nothing was sent"))
        }
        State::Expired => {
            Text::new("**过期** 期限内没有通过，没有发送", "**Expired** without approval; nothing was sent")
        }
        _ => Text::new(format!("**取消** {who}，没有发送"), format!("**Cancelled** by {who}; nothing was sent")),
    }
}

pub fn reason(reason: &str) -> Text {
    Text::new(format!("理由：{reason}"), format!("Reason: {reason}"))
}

pub fn at(moment: &str) -> Text {
    Text::same(moment.to_owned())
}

pub fn approve_button(author: bool) -> Text {
    if author { Text::new("确认发送", "Send now") } else { Text::new("通过", "Approve") }
}

pub fn reject_button() -> Text {
    Text::new("驳回", "Reject")
}

/// Of the reason for which an approver rejects it, or stops what was approved.
pub fn reason_placeholder(approved: bool) -> Text {
    match approved {
        false => Text::new("驳回理由（可不填）", "Reason for a rejection (optional)"),
        true => Text::new("叫停理由（可不填）", "Reason for stopping it (optional)"),
    }
}

pub fn cancel_button() -> Text {
    Text::new("取消群发", "Cancel")
}

pub fn refresh_button() -> Text {
    Text::new("刷新数据", "Refresh")
}

pub fn resend_button() -> Text {
    Text::new("重新发送", "Send again")
}

pub fn settle_confirm() -> Text {
    Text::new(
        "视为已发送之后，这一批不会再发。如果其实没有送达，这些人就收不到了。确定吗？",
        "Taken as sent, this batch is never sent again. If it did not arrive, these people will not get it. Sure?",
    )
}

/// Stands for a content that Feishu does not let a card show.
pub fn content_hidden(code: i64) -> Text {
    let why = super::advice(code);
    Text::new(
        format!("（内容没能显示在卡片里，飞书返回 {code}：{}）", why.zh),
        format!("(The content could not be shown on the card; Feishu answered {code}: {})", why.en),
    )
}

pub fn settle_button() -> Text {
    Text::new("视为已发送", "Take as sent")
}

/// `named` are the first of `targets` that may get it twice.
pub fn resend_confirm(named: &[String], targets: usize, headcount: Headcount) -> Text {
    let heads = heads(headcount);
    let (zh, en) = if targets > named.len() {
        (format!("等 {targets} 个目标"), format!(" and others, {}", count(targets, "target")))
    } else {
        (String::new(), String::new())
    };
    Text::new(
        format!(
            "上一次调用可能已经送达。重新发送后，这些人可能收到两次：{}{zh}（{}）。确定吗？",
            named.join("、"),
            heads.zh
        ),
        format!(
            "The earlier call may have gone out. These people may get it twice: {}{en} ({}). Sure?",
            named.join(", "),
            heads.en
        ),
    )
}

pub fn dry_run_title() -> Text {
    Text::new("预览（试运行）", "Preview (dry run)")
}

pub fn dry_run_note() -> Text {
    Text::new(
        "试运行：没有保存，也不会发送。去掉 --dry-run 即可正式发起",
        "Dry run: nothing was stored and nothing will be sent. Leave --dry-run out to propose it",
    )
}

pub fn login_title() -> Text {
    Text::new("授权搜索部门", "Authorize department search")
}

pub fn login_why(continues: bool) -> Text {
    let (zh, en) = if continues {
        (
            "按名称找部门要用**你自己的**通讯录权限。点下面的按钮授权，**刚才的命令会自动继续**，不用重发。",
            "Departments are searched with **your own** directory rights. Authorize below; **your command then goes on by itself**.",
        )
    } else {
        (
            "按名称找部门要用**你自己的**通讯录权限。点下面的按钮授权，一小时内有效。",
            "Departments are searched with **your own** directory rights. Authorize below; the link works for one hour.",
        )
    };
    Text::new(zh, en)
}

pub fn login_button() -> Text {
    Text::new("去授权", "Authorize")
}

/// A press that could not be done, as a toast.
pub fn stale(stale: &Stale) -> Text {
    let (zh, en) = match stale {
        Stale::Outdated => (
            "这张卡片已不是最新，正在更新，请看新卡片再决定",
            "This card was outdated; it is being updated, please look again",
        ),
        Stale::OwnBroadcast => (
            "这条群发要由别人审批，不能自己通过",
            "This broadcast needs somebody else's approval; your own does not count",
        ),
        Stale::Twice => ("你已经通过了，还需要其他审批人", "You have approved already; another approver is needed"),
        Stale::Expired => {
            ("已过期，没有发送；请让申请人重新发起", "Expired, nothing was sent; ask the author to propose it again")
        }
        Stale::WrongHeadcount { typed } => return policy::wrong_headcount(*typed),
        Stale::NoSuchChoice => ("没有这个选项，请从列表里选择", "That is not one of the choices"),
        Stale::NothingLeft => ("已经全部发出，没有可取消的了", "Everything has left already; nothing to cancel"),
        Stale::NothingInDoubt => ("没有结果未知的批次了", "No batch is in doubt any more"),
        Stale::StillUnderWay => (
            "还有批次正在发送，都有结果后再决定；卡片会更新",
            "Some batches are still on their way; decide once all are back. The card will be updated",
        ),
        Stale::OnHold => (
            "这条群发已暂停，要等发起人决定是否继续",
            "This broadcast is on hold until its author decides whether to go on",
        ),
        Stale::NotOnHold => ("没有需要确认的了", "There is nothing to confirm any more"),
        Stale::NotSentYet => (
            "还没有发出，没有可撤回的；不想发了就取消",
            "Not sent yet, so there is nothing to recall; cancel it instead",
        ),
        Stale::RecalledAlready => ("已经撤回，或正在撤回", "Recalled already, or being recalled"),
        Stale::NothingToRecall => (
            "没有受理编号，无法撤回：飞书没有受理，或结果从未得到确认",
            "Without an id nothing can be recalled: Feishu accepted none of it, or never confirmed it",
        ),
        Stale::NoSuchBatch => ("没有这一批，或飞书没有受理它", "There is no such batch, or Feishu did not accept it"),
        Stale::NotRecalled => ("撤回完成之后才能发起更正", "It can be corrected once it is recalled"),
        Stale::SourceRecalled => (
            "它补发的群发已被撤回，不再发送，没有改变",
            "The broadcast that this one repairs was recalled: nothing more is sent, and nothing changed",
        ),
        Stale::Corrected { by } => {
            return Text::new(
                format!("更正已经发起过了：群发 {by}"),
                format!("A correction was proposed already: broadcast {by}"),
            );
        }
        Stale::Decided { state: decided } => {
            let word = state(*decided);
            return Text::new(
                format!("来晚了：这条群发{}，没有改变", word.zh),
                format!("Too late: this broadcast is “{}”; nothing changed", word.en),
            );
        }
    };
    Text::new(zh, en)
}

pub fn press_again() -> Text {
    Text::new(
        "没有处理成功，什么也没有改变，请再点一次。",
        "That did not work and changed nothing; please press again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_approval_sets_off_is_said_in_words() {
        let zh = |known, departments_unknown| {
            blast(Headcount { known, departments_unknown }, false).map(|text| text.zh).unwrap_or_default()
        };
        for (known, unknown, words) in [
            (100, 0, "一百人以上会"),
            (999, 0, "一百人以上会"),
            (1_000, 0, "一千人以上会"),
            (99_999, 0, "一万人以上会"),
            (100_000, 0, "十万人以上会"),
            (5, 1, "不知道多少人会"),
            (2_000, 1, "一千人以上会"),
        ] {
            assert!(zh(known, unknown).contains(words), "{known}: {}", zh(known, unknown));
        }
        assert_eq!(zh(99, 0), "");
    }
}
