//! What is said when something is taken back: before it, while it goes on, at its end, and about what goes out in its
//! place.
//!
//! A copy that is gone was perhaps read before; that a message was taken back is no promise that nobody knows it.

mod repairs;

pub use repairs::{repair_ended, repair_stopped};

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use self::repairs::repairs;
use super::{Text, advice, agree, count, moment, result, text};
use crate::domain::broadcast::{Broadcast, Stale, State};
use crate::domain::ids::{BroadcastId, OpenId};
use crate::domain::report::Report;

/// The word for a broadcast that is on its way back.
pub fn word() -> Text {
    Text::new("撤回中", "Being recalled")
}

/// What is left to be recalled, by what was asked for before: nothing, single batches, or all of it.
pub fn button(broadcast: &Broadcast) -> Text {
    match &broadcast.recall {
        None => Text::new("撤回", "Recall"),
        Some(order) if order.whole => Text::new("再撤回一次", "Recall again"),
        Some(_) => Text::new("全部撤回", "Recall all of it"),
    }
}

/// What one agrees to: how many people, what it can do, and what it cannot.
pub fn confirm(broadcast: &Broadcast, report: &Report, zone: &TimeZone) -> Text {
    let recalls = &report.recalls;
    let batches = recalls.open_to;
    let (zh_people, en_people) = match (recalls.open_reached, recalls.open_heads) {
        (0, 0) => (String::new(), String::new()),
        (0, heads) => (format!("（约 {heads} 人）"), format!(" (about {})", count(heads, "person"))),
        (reached, _) => (
            format!("：已送达 {reached} 人，其中 {} 人读过", recalls.open_read),
            format!(": {} reached, {} of them have read it", count(reached, "person"), recalls.open_read),
        ),
    };
    let (zh_since, en_since) = match recalls.open_since {
        Some((first, _)) => {
            let first = moment(first, zone);
            (format!("，最早一批是 {first} 发出的"), format!("; the oldest batch went out {first}"))
        }
        None => (String::new(), String::new()),
    };
    let (zh_rest, en_rest) = match report.planned {
        0 => (String::new(), String::new()),
        planned => (
            format!("还没发出的 {planned} 批会取消。"),
            format!(
                " {} that {} not left {} cancelled.",
                count(planned, "batch"),
                agree(planned, "has", "have"),
                agree(planned, "is", "are")
            ),
        ),
    };
    let (zh_repairs, en_repairs) = match broadcast.repaired.is_empty() {
        true => ("", ""),
        false => ("还没发出的补发会一起取消。", " Broadcasts to those it missed are cancelled with it if unsent."),
    };
    Text::new(
        format!(
            "将撤回 {batches} 批{zh_people}。消息会从大家的会话里消失，读过的也一样，但读过就是读过。能不能撤回由企业管理员设置的撤回期限决定{zh_since}。{zh_rest}{zh_repairs}撤回之后不能恢复，确定吗？"
        ),
        format!(
            "This recalls {}{en_people}. The message vanishes from their chats, also where it was read, but nobody can unread it. Feishu allows it within the period that your company's admin has set{en_since}.{en_rest}{en_repairs} It cannot be undone. Sure?",
            count(batches, "batch")
        ),
    )
}

/// What a recall has set going.
#[derive(Debug, Clone, Copy)]
pub struct Begun<'a> {
    /// As it was before.
    pub report: &'a Report,
    pub zone: &'a TimeZone,
    /// The one batch that was named.
    pub batch: Option<u32>,
    pub batches: usize,
    pub cancelled: usize,
    pub on_their_way: usize,
    /// Broadcasts to those whom it had not reached: of these nothing leaves any more, and of these something had left.
    pub repairs_stopped: &'a [BroadcastId],
    pub repairs_sent: &'a [BroadcastId],
}

/// The toast.
pub fn started(begun: &Begun<'_>) -> Text {
    let mut lines = vec![Text::new(
        format!("正在撤回 {} 批，进展见卡片。", begun.batches + begun.on_their_way),
        format!("Recalling {}; the card shows how far it comes.", count(begun.batches + begun.on_their_way, "batch")),
    )];
    lines.extend(repairs(begun.repairs_stopped, begun.repairs_sent.iter()));
    Text::lines(&lines)
}

/// The answer to `/recall`: what was done, since nobody was asked before.
pub fn begun(id: &BroadcastId, begun: &Begun<'_>) -> Text {
    let recalls = &begun.report.recalls;
    let (what_zh, what_en) = match begun.batch {
        Some(seq) => (format!("第 {seq} 批"), format!("batch {seq}")),
        None => (format!(" {} 批", begun.batches), count(begun.batches, "batch")),
    };
    let mut lines = Vec::new();
    if begun.batches > 0 {
        lines.push(Text::new(
            format!("群发 {id}：正在撤回{what_zh}。读过的人也看不到了，但读过就是读过。"),
            format!(
                "Broadcast {id}: recalling {what_en}. It vanishes also where it was read, but nobody can unread it."
            ),
        ));
    }
    if begun.batches > 0 && begun.batch.is_none() && recalls.open_reached > 0 {
        let (reached, read) = (recalls.open_reached, recalls.open_read);
        lines.push(Text::new(
            format!("撤回前送达 {reached} 人，已读 {read} 人。"),
            format!("Before that {} had got it and {read} had read it.", count(reached, "person")),
        ));
    }
    if let (Some((first, _)), true) = (recalls.open_since, begun.batches > 0) {
        let first = moment(first, begun.zone);
        lines.push(Text::new(
            format!("最早一批是 {first} 发出的；能不能撤回由企业管理员设置的撤回期限决定，飞书不同意的批次会写在卡片上。"),
            format!(
                "The oldest batch went out {first}; Feishu allows it within the period that your company's admin has set, and the card names what it refuses."
            ),
        ));
    }
    if begun.cancelled > 0 {
        lines.push(Text::new(
            format!("群发 {id}：还没发出的 {} 批已取消。", begun.cancelled),
            format!(
                "Broadcast {id}: {} that had not left {} cancelled.",
                count(begun.cancelled, "batch"),
                agree(begun.cancelled, "is", "are")
            ),
        ));
    }
    if begun.on_their_way > 0 {
        lines.push(Text::new(
            format!("群发 {id}：正在发出的 {} 批，一经飞书受理就撤回。", begun.on_their_way),
            format!(
                "Broadcast {id}: {} on the way, recalled as soon as Feishu accepts.",
                count(begun.on_their_way, "batch")
            ),
        ));
    }
    if begun.batch.is_none() {
        lines.extend(without_id(begun.report));
    }
    lines.extend(repairs(begun.repairs_stopped, begun.repairs_sent.iter()));
    Text::lines(&lines)
}

/// Why `/recall` did nothing.
pub fn not_begun(id: &BroadcastId, batch: Option<u32>, why: &Stale) -> Text {
    match (why, batch) {
        (Stale::NotSentYet, _) => Text::new(
            format!("群发 {id} 还没有发出，没有可撤回的。不想发了就取消：/cancel {id}"),
            format!("Broadcast {id} has not been sent, so there is nothing to recall. To stop it: /cancel {id}"),
        ),
        (Stale::NoSuchBatch, Some(batch)) => Text::new(
            format!("群发 {id} 没有被飞书受理的第 {batch} 批，什么也没有改变。撤回全部：/recall {id}"),
            format!(
                "Broadcast {id} has no accepted batch {batch}; nothing was changed. To recall all of it: /recall {id}"
            ),
        ),
        _ => {
            let why = text::stale(why);
            Text::new(format!("群发 {id}：{}", why.zh), format!("Broadcast {id}: {}", why.en))
        }
    }
}

/// What has come of a recall, most important first.
pub fn lines(broadcast: &Broadcast, report: &Report) -> Vec<Text> {
    let Some(order) = &broadcast.recall else { return hint(broadcast, report) };
    let recalls = &report.recalls;
    let mut lines = Vec::new();
    if recalls.under_way > 0 || recalls.over > 0 {
        let (gone, of) = (recalls.taken_back, recalls.of);
        lines.push(match (order.over, of) {
            (false, 0) => Text::new("撤回中，飞书还没有给出数字", "Being recalled; Feishu has not counted yet"),
            (false, _) => Text::new(format!("撤回中：已撤回 {gone} / {of}"), format!("Being recalled: {gone} of {of}")),
            (true, _) if recalls.uncounted > 0 => uncounted(gone),
            (true, _) => Text::new(format!("已撤回 {gone} / {of}"), format!("Recalled: {gone} of {of}")),
        });
        if order.over && gone < of && recalls.uncounted == 0 {
            lines.push(Text::new(
                format!("有 {} 份没有撤回，飞书没有说明原因；可以再撤回一次", of - gone),
                format!("{} did not come back, and Feishu does not say why; recall again", count(of - gone, "copy")),
            ));
        }
    }
    lines.extend(refusals(report));
    if order.whole {
        lines.extend(without_id(report));
        // Those that ended unsent were given back.
        lines.extend(repairs(&[], broadcast.repaired.values().collect::<BTreeSet<_>>().into_iter()));
    } else if report.accepted > recalls.asked {
        let (rest, asked) = (report.accepted - recalls.asked, numbers(&recalls.batches));
        lines.push(Text::new(
            format!("要求撤回的是{}，其余 {rest} 批没有撤回", asked.zh),
            format!("Asked back: {}; {} not recalled", asked.en, count(rest, "batch")),
        ));
    }
    lines.extend(
        broadcast.corrected.iter().map(|by| {
            Text::new(format!("更正已发起：群发 {by}"), format!("A correction was proposed: broadcast {by}"))
        }),
    );
    lines.extend(hint(broadcast, report));
    lines
}

/// Feishu took a recall in, and does not say any more how far it came.
fn uncounted(gone: u64) -> Text {
    Text::new(
        format!("飞书已受理撤回，最后撤回了多少不知道：飞书不再提供数字（至少 {gone} 份）"),
        format!(
            "Feishu took the recall in; how many are gone in the end is not known, since it gives no numbers any more (at least {})",
            count(gone, "copy")
        ),
    )
}

/// How to take back a part.
fn hint(broadcast: &Broadcast, report: &Report) -> Vec<Text> {
    let several = report.recalls.open_to > 1;
    let hint = several.then(|| {
        Text::new(
            format!("只撤回其中一批：/recall {} 批次号", broadcast.id),
            format!("To recall one batch alone: /recall {} NUMBER", broadcast.id),
        )
    });
    hint.into_iter().collect()
}

/// What Feishu refused, by reason, with the batches it met.
fn refusals(report: &Report) -> Vec<Text> {
    let recalls = &report.recalls;
    let mut lines: Vec<Text> = recalls
        .refused
        .iter()
        .map(|(code, batches)| {
            let Text { zh: zh_which, en: en_which } = numbers(batches);
            match code {
                Some(code) => {
                    let why = advice(*code);
                    Text::new(
                        format!("没能撤回{zh_which}（{code}）：{}", why.zh),
                        format!("Not recalled: {en_which} ({code}): {}", why.en),
                    )
                }
                None => Text::new(
                    format!("没能撤回{zh_which}：飞书没有给出明确答复，可以再撤回一次"),
                    format!("Not recalled: {en_which}: Feishu gave no clear answer; recall again"),
                ),
            }
        })
        .collect();
    lines.extend(result::scopes(recalls.scopes.iter().map(String::as_str)));
    lines
}

/// Batches that one line names.
const NAMED_MAX: usize = 10;

/// Batches by their numbers, the first ones of many.
fn numbers(batches: &[i64]) -> Text {
    let named = batches.iter().take(NAMED_MAX).map(i64::to_string).collect::<Vec<_>>();
    let (zh, en) = match batches.len() > NAMED_MAX {
        true => (format!("等 {} 批", batches.len()), format!(" and others, {} in all", batches.len())),
        false => (" 批".to_owned(), String::new()),
    };
    Text::new(
        format!("第 {}{zh}", named.join("、")),
        format!("{} {}{en}", agree(batches.len(), "batch", "batches"), named.join(", ")),
    )
}

/// What cannot be recalled because nobody knows its id.
fn without_id(report: &Report) -> Option<Text> {
    let batches = report.in_doubt + report.taken_as_sent + report.once_in_doubt;
    (batches > 0).then(|| {
        Text::new(
            format!("另有 {batches} 批的结果从未得到确认，没有受理编号，无法撤回，可能有人仍能看到。"),
            format!(
                "{} never confirmed: without an id nothing can be recalled, and some people may still see it.",
                count(batches, "batch")
            ),
        )
    })
}

pub fn by(person: &OpenId, at: &str) -> Text {
    let mark = text::at_mark(person);
    Text::new(format!("**撤回** {mark}，{at}"), format!("**Recalled by** {mark}, {at}"))
}

/// The message to the author at the end of a recall.
pub fn news(broadcast: &Broadcast, report: &Report) -> Text {
    let id = &broadcast.id;
    let recalls = &report.recalls;
    let mut lines = vec![match (broadcast.state, recalls.over) {
        (_, over) if over > 0 && recalls.uncounted > 0 => {
            let said = uncounted(recalls.taken_back);
            Text::new(format!("群发 {id}：{}。", said.zh), format!("Broadcast {id}: {}.", said.en))
        }
        (State::Recalled, _) => Text::new(
            format!("群发 {id} 已撤回 {} / {}。读过的人仍然知道内容。", recalls.taken_back, recalls.of),
            format!(
                "Broadcast {id} is recalled: {} of {}. Whoever had read it still knows it.",
                recalls.taken_back, recalls.of
            ),
        ),
        (State::Cancelled, _) => Text::new(
            format!("群发 {id} 已取消，没有发送，没有可撤回的。"),
            format!("Broadcast {id} is cancelled; nothing was sent, so nothing had to be recalled."),
        ),
        (_, 0) => Text::new(format!("群发 {id} 没能撤回。"), format!("Broadcast {id} was not recalled.")),
        _ => Text::new(
            format!("群发 {id} 的撤回有了结果：已撤回 {} / {}。", recalls.taken_back, recalls.of),
            format!("The recall of broadcast {id} came to its end: {} of {}.", recalls.taken_back, recalls.of),
        ),
    }];
    lines.extend(refusals(report));
    if broadcast.is_wanted_back() {
        lines.extend(without_id(report));
    }
    if broadcast.state == State::Recalled {
        lines.push(Text::new(
            "要更正的话，在卡片上写下新的内容：会发给同样的人，照常审批。",
            "To correct it, write the new text on the card: it goes to the same people, with approval as usual.",
        ));
    }
    Text::lines(&lines)
}

/// The toast of a refresh, when Feishu has no numbers any more.
pub fn forgotten() -> Text {
    Text::new("发出超过 30 天，飞书不再提供新的数字。", "Sent more than 30 days ago: Feishu has no new numbers.")
}

pub fn correct_placeholder() -> Text {
    Text::new("更正的内容，会发给同样的人（照常审批）", "What it should have said, for the same people (with approval)")
}

pub fn correct_button() -> Text {
    Text::new("发起更正", "Propose correction")
}

pub fn nothing_written() -> Text {
    Text::new("还没写更正的内容，没有发起。", "The correction is empty; nothing was proposed.")
}

/// The toast of a correction.
pub fn corrected(next: &BroadcastId) -> Text {
    Text::new(
        format!("已发起更正 {next}，发给同样的人，照常审批。"),
        format!("Correction {next} is proposed to the same people; it asks for approval as usual."),
    )
}

/// On the card of a correction.
pub fn corrects(of: &BroadcastId) -> Text {
    Text::new(
        format!("更正：发给已撤回的群发 {of} 的同样目标"),
        format!("Correction: to the targets of the recalled broadcast {of}"),
    )
}
