//! What became of a broadcast, told by its rows in the audit chain: who, when, what, a line each.

use jiff::tz::TimeZone;

use super::{Text, count, moment, text};
use crate::domain::audit::{Deed, Row};
use crate::domain::broadcast::{Broadcast, State};

/// Lines of the story that `/status` tells; the newest ones.
pub const LINES_MAX: usize = 12;

/// The story as a text of its own, oldest first; `rows` may be one more than are told, to know that there are more.
pub fn story(broadcast: &Broadcast, rows: &[Row], zone: &TimeZone) -> Text {
    let mut lines = vec![Text::new("经过：", "What happened:")];
    let earlier = rows.len().saturating_sub(LINES_MAX);
    if earlier > 0 {
        lines.push(Text::new("……更早的见 audit export", "… what came before is in audit export"));
    }
    lines.extend(rows.iter().skip(earlier).map(|row| line(broadcast, row, zone)));
    Text::lines(&lines)
}

fn line(broadcast: &Broadcast, row: &Row, zone: &TimeZone) -> Text {
    let at = moment(row.at, zone);
    let what = what(row);
    // Others go by their open_id: a mention would ring their phone.
    let (zh, en) = match row.actor.as_str() {
        "" => (String::new(), String::new()),
        actor if actor == broadcast.author.as_str() => ("（发起人）".to_owned(), " (author)".to_owned()),
        actor => (format!("（{actor}）"), format!(" ({actor})")),
    };
    Text::new(format!("{at} {}{zh}", what.zh), format!("{at} {}{en}", what.en))
}

/// The deed as people say it; a word that this version does not know stands for itself.
fn what(row: &Row) -> Text {
    let detail = row.detail();
    let word = |name: &str| detail.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let number = |name: &str| detail.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
    let state = |name: &str| State::parse(&word(name)).map_or_else(|| Text::same(word(name)), text::state);
    let Some(deed) = Deed::parse(&row.deed) else { return Text::same(row.deed.clone()) };
    let (zh, en) = match deed {
        Deed::Proposed => {
            let ids = number("ids");
            return Text::new(format!("提交，目标 {ids} 个"), format!("proposed, {}", count(ids, "target")));
        }
        Deed::Approved => {
            let (have, need) = (number("approvals"), number("required").max(1));
            return Text::new(format!("通过 {have}/{need}"), format!("approved {have}/{need}"));
        }
        Deed::Ended => {
            let state = state("state");
            return Text::new(format!("结果：{}", state.zh), format!("outcome: {}", state.en));
        }
        Deed::Lost => {
            let batch = number("batch");
            return Text::new(
                format!("第 {batch} 批调用中断，结果未知"),
                format!("the call of batch {batch} broke off; in doubt"),
            );
        }
        Deed::SampleAnswered => {
            let outcome = word("outcome");
            return Text::new(format!("试看样张：{outcome}"), format!("sample: {outcome}"));
        }
        Deed::Picked => ("选定部门", "department chosen"),
        Deed::Accepted => ("确认内容无误", "content confirmed as meant"),
        Deed::Rejected => {
            // Once it was approved, and waited for its time, an approver stops it.
            let stopped = word("from") == State::Scheduled.as_str();
            match (stopped, detail.get("reason") == Some(&true.into())) {
                (false, false) => ("驳回", "rejected"),
                (false, true) => ("驳回，附理由", "rejected, with a reason"),
                (true, false) => ("叫停", "stopped"),
                (true, true) => ("叫停，附理由", "stopped, with a reason"),
            }
        }
        Deed::Cancelled if detail.contains_key("recalled") => {
            let of = word("recalled");
            return Text::new(
                format!("取消：它补发的群发 {of} 被撤回"),
                format!("cancelled: broadcast {of}, which it repairs, was recalled"),
            );
        }
        Deed::Cancelled => ("取消", "cancelled"),
        Deed::Expired => ("过期", "expired"),
        Deed::Rescheduled => ("改发送时间", "given another time"),
        Deed::Tightened => {
            let need = number("required");
            return match need {
                0 => Text::new(
                    "审批规则变严，仍由发起人自己确认",
                    "the rules became stricter; its author still confirms alone",
                ),
                _ => Text::new(
                    format!("审批规则变了，需要 {need} 人"),
                    format!("the rules changed; {} needed", count(need, "approval")),
                ),
            };
        }
        Deed::Due => ("到了发送时间", "its time has come"),
        Deed::Held => ("暂停，等发起人决定", "put on hold for its author"),
        Deed::WaveArrived => ("第一批送达正常，继续发其余的", "arrived at those who got it first; the rest follows"),
        Deed::WentOn => ("继续发送", "goes on"),
        Deed::Resent => ("重新发送结果未知的批次", "batches in doubt sent again"),
        Deed::Settled => ("结果未知的批次视为已发送", "batches in doubt taken as sent"),
        Deed::RepairAsked => ("核对无效 ID", "invalid ids looked at again"),
        Deed::SampleAsked => ("要求发样张给自己", "asked for a sample"),
        Deed::SampleCalled => ("发样张", "sample sent"),
        Deed::Recalled => ("撤回", "recalled"),
        Deed::RecallAnswered => ("向飞书要求撤回一批", "asked Feishu for a batch back"),
        Deed::RecallEnded => {
            let (gone, of) = (number("taken_back"), number("of"));
            let (zh, en) = if number("uncounted") > 0 { ("至少 ", "at least ") } else { ("", "") };
            return Text::new(format!("撤回结束：{zh}{gone} / {of}"), format!("the recall ended: {en}{gone} of {of}"));
        }
        Deed::Corrected => ("发起更正", "proposed a correction"),
        Deed::Edited => ("修改内容，重新审批", "content changed, approval asked for again"),
        Deed::CommandRecalled => ("命令消息被撤回", "the command was recalled"),
        Deed::Called => ("调用发送接口", "a batch is sent"),
        Deed::Answered => ("飞书答复", "Feishu answered"),
        Deed::Tampered => {
            ("内容或目标与批准的不一致，停止发送", "content or targets are not what was approved; stopped")
        }
        Deed::Refused => ("一次操作被拒绝", "something was refused"),
        Deed::Begun
        | Deed::KeyChanged
        | Deed::HeadChanged
        | Deed::Returned
        | Deed::LoggedIn
        | Deed::LoggedOut
        | Deed::Revoked => return Text::same(row.deed.clone()),
    };
    Text::new(zh, en)
}
