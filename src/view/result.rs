//! What became of a broadcast, in lines: the end of a card, the answer to `/status`, the message when it ends.
//!
//! Accepted by Feishu, delivered and read are three different things and stay three numbers; every id that Feishu
//! called invalid is named.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::sheets::IdKind;
use super::{Text, agree, batches, count, hold, lint, moment, reach, recall, schedule, targets, text, time_of_day};
use crate::domain::batch::WaitCause;
use crate::domain::broadcast::{Broadcast, State};
use crate::domain::hold::HoldCause;
use crate::domain::report::Report;

/// Invalid ids that a card names; all of them go out as a file when there are more.
pub const INVALID_SHOWN_MAX: usize = 20;

/// What a batch takes of the time that the platform's limit leaves, in ms. Source: "rate limits", 1000 a minute.
const PER_BATCH_MS: u64 = 60;

/// The facts, most important first; of each list of ids at most `shown`.
pub fn lines(broadcast: &Broadcast, report: &Report, zone: &TimeZone, shown: usize) -> Vec<Text> {
    let mut lines = vec![batches::sum(report)];
    lines.extend(doubt(broadcast, report));
    lines.extend(once_in_doubt(report));
    lines.extend(broadcast.hold.map(|held| hold::cause(held.cause)));
    lines.extend(first_wave(broadcast));
    // What waits for a person does not go on by itself.
    lines.extend(waiting(report, zone).filter(|_| broadcast.hold.is_none() && report.in_doubt == 0));
    if !report.message_ids.is_empty() {
        lines.push(batches::accepted_as(report, shown));
        lines.extend(reach::delivery(report));
        lines.extend(reach::sum(&report.tally, broadcast.audience.headcount));
    }
    lines.extend(recall::lines(broadcast, report));
    // Why it is on hold has been said, advice and all.
    let said = match broadcast.hold.map(|held| held.cause) {
        Some(HoldCause::Refused { code }) => Some(code),
        _ => None,
    };
    lines.extend(report.codes.iter().filter(|code| said != Some(**code)).map(|code| refused(*code)));
    lines.extend(scopes(report.scopes.iter().map(String::as_str)));
    lines.extend(tampered(broadcast, report));
    if !report.log_ids.is_empty() {
        let ids: Vec<&str> = report.log_ids.iter().map(String::as_str).take(shown).collect();
        lines.push(Text::new(
            format!("飞书日志号：{}", ids.join("、")),
            format!("Feishu log {}: {}", agree(ids.len(), "id", "ids"), ids.join(", ")),
        ));
    }
    lines.extend(invalid(report, shown, broadcast.state.is_settled()));
    lines
}

/// Only a few have it so far, or get it first.
fn first_wave(broadcast: &Broadcast) -> Option<Text> {
    let wave = broadcast.wave.filter(|wave| !wave.over && broadcast.hold.is_none() && !broadcast.state.is_settled())?;
    let people = wave.people;
    Some(Text::new(
        format!("先发给 {people} 人：如果送达正常，其余的自动跟上；否则停下来问发起人"),
        format!(
            "{} first: if it arrives as it should, the rest follows by itself; if not, its author is asked",
            count(people, "person")
        ),
    ))
}

fn doubt(broadcast: &Broadcast, report: &Report) -> Option<Text> {
    (broadcast.state == State::InDoubt && report.in_doubt > 0).then(|| {
        if report.sending > 0 {
            return Text::new(
                "飞书没有给出明确答复：有批次可能已经送达，也可能没有。还有批次正在发送，都有结果后再由发起人决定；没有新的批次会发出。",
                "Feishu gave no clear answer: a batch may or may not have gone out. Others are still on their way; its author decides once all are back, and nothing new leaves until then.",
            );
        }
        Text::new(
            "飞书没有给出明确答复：这一批可能已经送达，也可能没有。机器人不会自己重发，等发起人决定：先问一位收件人，再选择「重新发送」或「视为已发送」。",
            "Feishu gave no clear answer: this batch may or may not have gone out. The bot will not resend it by itself; its author decides: ask one of the recipients, then choose “Send again” or “Take as sent”.",
        )
    })
}

/// The word for what may be sent and of which nothing has left, because of the clock.
pub fn kept_back(cause: WaitCause) -> Text {
    match cause {
        WaitCause::Quota => Text::new("等明天的额度", "Waiting for tomorrow's quota"),
        _ => Text::new("等免打扰时段结束", "Waiting for the quiet hours to end"),
    }
}

fn waiting(report: &Report, zone: &TimeZone) -> Option<Text> {
    let (cause, until) = report.waiting?;
    let end = until.after(Duration::from_millis(PER_BATCH_MS.saturating_mul(report.open.saturating_sub(1) as u64)));
    if cause == WaitCause::Quota {
        let (until, end) = (moment(until, zone), moment(end, zone));
        return Some(Text::new(
            format!(
                "等待中：今天剩下的群发额度（每天 50 万条）不够了，北京时间 0 点重置，{until} 继续，预计 {end} 发完"
            ),
            format!(
                "Waiting: what is left of today's quota of 500,000 does not suffice; it begins anew at midnight Beijing time. Goes on {until}, done about {end}"
            ),
        ));
    }
    if cause == WaitCause::QuietHours {
        let until = moment(until, zone);
        let (zh, en) = if report.some_left() { ("继续发", "goes on") } else { ("开始发", "leaves") };
        return Some(Text::new(
            format!("等待中：现在是免打扰时段（公司的群发规则），{until} {zh}"),
            format!("Waiting: these are the company's quiet hours; it {en} at {until}"),
        ));
    }
    // Seconds matter here: most waits are shorter than a minute.
    let (until, end) = (time_of_day(until, zone), time_of_day(end, zone));
    let (zh, en) = match cause {
        WaitCause::Quota | WaitCause::QuietHours => ("额度或时段", "quota or quiet hours"),
        WaitCause::Pace => ("按飞书的调用上限排队", "in line for Feishu's limit of calls"),
        WaitCause::RateLimit => ("飞书要求放慢", "Feishu asked to slow down"),
        WaitCause::Unreachable => ("暂时连不上飞书（尚未发出）", "Feishu cannot be reached (nothing has left)"),
        WaitCause::Credentials => (
            "飞书暂时不认应用凭证（尚未发出）",
            "Feishu does not take the app's credentials right now (nothing has left)",
        ),
    };
    Some(Text::new(
        format!("等待中：{zh}，{until} 再试，预计 {end} 发完"),
        format!("Waiting: {en}; next try {until}, done about {end}"),
    ))
}

/// What did not go out in the end but may have gone out before.
fn once_in_doubt(report: &Report) -> Option<Text> {
    let batches = report.once_in_doubt;
    (batches > 0).then(|| {
        Text::new(
            format!("其中 {batches} 批更早的一次调用没有结果，那一次可能已经送达。"),
            format!(
                "Of these, {} may have gone out in an earlier call whose outcome is not known.",
                count(batches, "batch")
            ),
        )
    })
}

/// A failure that no answer of Feishu explains is the bot's own refusal.
fn tampered(broadcast: &Broadcast, report: &Report) -> Option<Text> {
    let unexplained = report.codes.is_empty() && report.invalid.count() == 0;
    (broadcast.state == State::Failed && unexplained).then(|| {
        Text::new(
            "数据库里的内容或目标与批准的不一致，所以没有发送。请运维人员检查数据库，再重新发起。",
            "Content or targets in the database are not what was approved, so nothing was sent. Ask the operator to look into the database, then propose it again.",
        )
    })
}

/// The permissions that Feishu named as missing, if any.
pub fn scopes<'a>(scopes: impl Iterator<Item = &'a str>) -> Option<Text> {
    let named: Vec<&str> = scopes.collect();
    (!named.is_empty()).then(|| {
        Text::new(
            format!("缺少的权限：{}", named.join("、")),
            format!("Missing {}: {}", agree(named.len(), "permission", "permissions"), named.join(", ")),
        )
    })
}

fn refused(code: i64) -> Text {
    let advice = super::advice(code);
    Text::new(format!("飞书拒绝（{code}）：{}", advice.zh), format!("Refused by Feishu ({code}): {}", advice.en))
}

/// Every invalid id of each of the four kinds, with its name and its line where they are known, and why it is likely
/// invalid; at most `shown` of them. The file with all of them is sent when the broadcast has `ended`.
fn invalid(report: &Report, shown: usize, ended: bool) -> Vec<Text> {
    let all = report.invalid.count();
    if all == 0 {
        return Vec::new();
    }
    let mut lines = vec![Text::new(
        format!("无效 ID 共 {all} 个（没有收到）："),
        format!("{} (these did not get it):", count(all, "invalid id")),
    )];
    let mut left = shown;
    for kind in IdKind::ALL {
        let named: Vec<Text> = kind.of(report).iter().take(left).map(|id| named(report, kind, id)).collect();
        left -= named.len();
        if named.is_empty() {
            continue;
        }
        let join = |pick: fn(&Text) -> &str, by: &str| named.iter().map(pick).collect::<Vec<_>>().join(by);
        let (word, why) = (kind.word(), kind.why());
        lines.push(Text::new(
            format!("• {word}：{}。{}。", join(|text| &text.zh, "、"), why.zh),
            format!("• {word}: {}; {}.", join(|text| &text.en, ", "), why.en),
        ));
    }
    let more = all.saturating_sub(shown);
    if more > 0 {
        lines.push(match (all > INVALID_SHOWN_MAX, ended) {
            (false, _) => Text::new(
                format!("……另有 {more} 个，发送 /status 加编号可以看全"),
                format!("… and {more} more; /status with the id lists them all"),
            ),
            (true, false) => Text::new(
                format!("……另有 {more} 个，发完之后全部放在 CSV 文件里发给发起人"),
                format!("… and {more} more; all of them go to its author as a CSV file at the end"),
            ),
            (true, true) => Text::new(
                format!("……另有 {more} 个，全部在发给发起人的 CSV 文件里；发送 /status 加编号也会收到"),
                format!(
                    "… and {more} more; all of them are in the CSV file that its author got, and /status with the id sends it to you"
                ),
            ),
        });
    }
    lines
}

/// An id with what its author knows it by.
fn named(report: &Report, kind: IdKind, id: &str) -> Text {
    let label = report.labels.get(kind.key(id).as_ref()).cloned().unwrap_or_default();
    match (label.name, label.line) {
        (None, None) => Text::same(id.to_owned()),
        (Some(name), None) => Text::same(format!("{name}（{id}）")),
        (None, Some(line)) => Text::new(format!("{id}（第 {line} 行）"), format!("{id} (line {line})")),
        (Some(name), Some(line)) => {
            Text::new(format!("{name}（{id}，第 {line} 行）"), format!("{name} ({id}, line {line})"))
        }
    }
}

/// `/status` of one broadcast: everything a card says, as a message.
pub fn status(broadcast: &Broadcast, report: &Report, zone: &TimeZone) -> Text {
    let word = text::standing(broadcast, report.kept_back());
    let heads = targets::size(broadcast);
    let mut all = vec![
        Text::new(format!("群发 {}：{}", broadcast.id, word.zh), format!("Broadcast {}: {}", broadcast.id, word.en)),
        Text::new(
            format!("发起 {}，{}，目标 {} 个", moment(broadcast.created_at, zone), heads.zh, broadcast.audience.ids),
            format!(
                "Proposed {}, {}, {}",
                moment(broadcast.created_at, zone),
                heads.en,
                count(broadcast.audience.ids, "target")
            ),
        ),
    ];
    all.extend(schedule::of(broadcast, zone));
    if broadcast.state.is_undecided() {
        all.extend(broadcast.hold.map(|held| hold::cause(held.cause)));
    }
    match broadcast.state {
        State::NeedsChoice => {
            if !broadcast.questions.is_empty() {
                let said = ("等发起人在卡片上选择部门", "Waiting for the author to choose a department on the card");
                all.push(Text::new(said.0, said.1));
            }
            if broadcast.unaccepted {
                all.extend(lint::grave(&broadcast.findings));
                all.push(lint::must_accept(false, broadcast.required > 0));
            }
        }
        State::Pending => all.push(Text::new(
            format!(
                "审批 {}/{}，{} 过期",
                broadcast.approvals.len(),
                broadcast.required.max(1),
                moment(broadcast.deadline(), zone)
            ),
            format!(
                "Approvals {}/{}, expires {}",
                broadcast.approvals.len(),
                broadcast.required.max(1),
                moment(broadcast.deadline(), zone)
            ),
        )),
        State::Rejected | State::Cancelled | State::Expired => {
            all.push(Text::new("没有发送", "Nothing was sent"));
            all.extend(broadcast.ending.as_ref().and_then(|ending| ending.reason.as_deref()).map(text::reason));
        }
        State::Approved
        | State::Scheduled
        | State::Sending
        | State::Sent
        | State::PartlySent
        | State::Failed
        | State::InDoubt
        | State::Recalled => all.extend(lines(broadcast, report, zone, INVALID_SHOWN_MAX)),
    }
    Text::lines(&all)
}

/// The short message when a broadcast ends or needs its author.
pub fn news(broadcast: &Broadcast, report: &Report) -> Text {
    let word = text::state(broadcast.state);
    let id = &broadcast.id;
    if let Some(held) = broadcast.hold
        && broadcast.state != State::InDoubt
    {
        let why = hold::cause(held.cause);
        return Text::new(
            format!("群发 {id} 已暂停。{}请在卡片上决定。", why.zh),
            format!("Broadcast {id} is on hold. {} Decide on the card.", why.en),
        );
    }
    match broadcast.state {
        State::Rejected => {
            let reason = broadcast.ending.as_ref().and_then(|ending| ending.reason.clone());
            let (zh, en) =
                reason.map_or((String::new(), String::new()), |r| (format!("理由：{r}"), format!(" Reason: {r}")));
            let (deed_zh, deed_en) =
                if broadcast.was_stopped() { ("叫停", "stopped") } else { ("驳回", "rejected") };
            Text::new(
                format!("群发 {id} 被{deed_zh}，没有发送。{zh}"),
                format!("Broadcast {id} was {deed_en}; nothing was sent.{en}"),
            )
        }
        State::Expired => Text::new(
            format!("群发 {id} 在期限内没有通过，已作废，没有发送。需要的话请重新发起。"),
            format!(
                "Broadcast {id} expired without approval; nothing was sent. Propose it again if it is still needed."
            ),
        ),
        State::InDoubt if report.sending > 0 => Text::new(
            format!(
                "群发 {id}：有一批的结果未知，可能已经送达。机器人不会自己重发，等还在发送的批次都有结果后，请在卡片上决定。"
            ),
            format!(
                "Broadcast {id}: the outcome of one batch is unknown; it may have gone out. The bot will not resend it by itself: decide on the card once those still on their way are back."
            ),
        ),
        State::InDoubt => Text::new(
            format!("群发 {id}：有一批的结果未知，可能已经送达。机器人不会自己重发，请在卡片上决定。"),
            format!(
                "Broadcast {id}: the outcome of one batch is unknown; it may have gone out. The bot will not resend it by itself: decide on the card."
            ),
        ),
        State::Failed => {
            let advice = report
                .codes
                .first()
                .map(|code| {
                    Text::lines(
                        &[Some(refused(*code)), scopes(report.scopes.iter().map(String::as_str))]
                            .into_iter()
                            .flatten()
                            .collect::<Vec<_>>(),
                    )
                })
                .or_else(|| tampered(broadcast, report))
                .unwrap_or_else(|| Text::new("所有目标都无效。", "Every target was invalid."));
            Text::new(
                format!("群发 {id} 没有发出去。{}", advice.zh),
                format!("Broadcast {id} was not sent. {}", advice.en),
            )
        }
        _ => {
            let (others, invalid) = (batches::others(report), report.invalid.count());
            Text::new(
                format!(
                    "群发 {id} {}：飞书已受理 {}/{} 批{}，无效 ID {invalid} 个。送达与已读见卡片。",
                    word.zh, report.accepted, report.batches, others.zh
                ),
                format!(
                    "Broadcast {id} {}: Feishu accepted {}/{}{}, {}. See the card for delivery and reads.",
                    word.en.to_lowercase(),
                    report.accepted,
                    count(report.batches, "batch"),
                    others.en,
                    count(invalid, "invalid id")
                ),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_joined_as_their_language_does() {
        let said = scopes(["im:message", "im:resource"].into_iter()).expect("two");
        assert_eq!(said.zh, "缺少的权限：im:message、im:resource");
        assert_eq!(said.en, "Missing permissions: im:message, im:resource");
        assert_eq!(scopes(["im:resource"].into_iter()).expect("one").en, "Missing permission: im:resource");
    }
}
