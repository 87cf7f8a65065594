//! What is said of the time at which a broadcast leaves.

use jiff::tz::TimeZone;

use super::{Text, agree, count, moment, time_of_day};
use crate::domain::broadcast::{Broadcast, State};
use crate::domain::ids::{BroadcastId, Timestamp};
use crate::domain::schedule::{COUNTDOWN, NoMoment, is_crowded};

/// An example of a time, in answers to what is none.
const EXAMPLE: &str = "/broadcast --at \"2026-12-01 09:05\" 销售部 明天下午三点全员会";
const EXAMPLE_EN: &str = "/broadcast --at \"2026-12-01 09:05\" Sales all hands at three";

/// `2026-12-01 09:05 周二`, with the zone whose clock shows that.
fn day_and_time(at: Timestamp, zone: &TimeZone) -> Text {
    let name = zone.iana_name().unwrap_or("UTC");
    let shown = moment(at, zone);
    let Ok(at) = jiff::Timestamp::from_millisecond(at.0) else { return Text::same(shown) };
    let day = at.to_zoned_datetime(zone.clone()).weekday().to_monday_zero_offset();
    let names = ["一", "二", "三", "四", "五", "六", "日"];
    let english = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let of = |names: [&'static str; 7]| usize::try_from(day).ok().and_then(|day| names.get(day).copied());
    let (zh, en) = (of(names).unwrap_or_default(), of(english).unwrap_or_default());
    Text::new(format!("{shown} 周{zh}（{name}）"), format!("{en} {shown} ({name})"))
}

/// The time of a broadcast; none where it has none, or it has come.
pub fn of(broadcast: &Broadcast, zone: &TimeZone) -> Option<Text> {
    let at = broadcast.leaves_at()?;
    if !broadcast.is_resting() {
        return Some(when(at, zone));
    }
    let time = time_of_day(at, zone);
    Some(Text::new(
        format!("⏳ 冷静期：{time} 开始发送；在那之前发起人可以取消，审批人可以叫停"),
        format!("⏳ Cooling off: it leaves at {time}; until then its author can cancel it and approvers can stop it"),
    ))
}

/// A time that lies in the quiet hours of the rules, and when they end.
pub fn quiet(at: Timestamp, until: Timestamp, zone: &TimeZone) -> Text {
    let (at, until) = (day_and_time(at, zone), day_and_time(until, zone));
    Text::new(
        format!("{} 在公司规定的免打扰时段里，最早 {} 可以发。没有发起群发，也没有改变什么。", at.zh, until.zh),
        format!(
            "{} lies in the company's quiet hours, which end {}. Nothing was proposed or changed.",
            at.en, until.en
        ),
    )
}

/// The time of a broadcast that has not left, with the advice that Feishu gives.
pub fn when(at: Timestamp, zone: &TimeZone) -> Text {
    let said = day_and_time(at, zone);
    let (zh, en) = match is_crowded(at, zone) {
        true => (
            "。整点和半点飞书最忙，容易排队，建议错开几分钟",
            ". On the full and half hour Feishu is busiest; a few minutes earlier or later arrive sooner",
        ),
        false => ("", ""),
    };
    Text::new(format!("⏰ 定时发送：{}{zh}", said.zh), format!("⏰ To be sent {}{en}", said.en))
}

/// How long until then, once it is approved.
pub fn countdown(broadcast: &Broadcast, now: Timestamp) -> Option<Text> {
    let at = broadcast.send_at.filter(|_| broadcast.state == State::Scheduled && broadcast.hold.is_none())?;
    let left = at.since(now);
    if left > COUNTDOWN {
        return None;
    }
    let minutes = left.as_secs().div_ceil(60).max(1);
    Some(Text::new(
        format!("还有约 {minutes} 分钟开始发送；在那之前可以取消"),
        format!("Leaves in about {}; it can be cancelled until then", count(minutes, "minute")),
    ))
}

/// Why that is no time to send at, and how to write one.
pub fn no_moment(no_moment: &NoMoment, zone: &TimeZone) -> Text {
    let name = zone.iana_name().unwrap_or("UTC");
    let why = match no_moment {
        NoMoment::Unreadable => Text::new(
            format!("没有看懂这个时间。请写成 2026-12-01 09:05、12-01 09:05 或 明天 09:05（时区 {name}）"),
            format!("That is no time I can read. Write 2026-12-01 09:05, 12-01 09:05 or tomorrow 09:05 (zone {name})"),
        ),
        NoMoment::Skipped { next } => Text::new(
            format!("这个时间不存在：那天的钟会拨快（{name}），之后从 {} 继续", moment(*next, zone)),
            format!("There is no such time: the clocks go forward then ({name}), on to {}", moment(*next, zone)),
        ),
        NoMoment::Twice { first, second } => Text::new(
            format!("这个时间会出现两次：那天的钟会拨慢（{name}）。请写明是哪一次：{first} 或 {second}"),
            format!("That time comes twice: the clocks go back then ({name}). Write which one: {first} or {second}"),
        ),
        NoMoment::Past { at } => Text::new(
            format!("{} 已经过去了", day_and_time(*at, zone).zh),
            format!("{} has passed", day_and_time(*at, zone).en),
        ),
        NoMoment::TooFar { at } => Text::new(
            format!("{} 太远了，最多提前一年定时", day_and_time(*at, zone).zh),
            format!("{} is too far ahead; a year is the most", day_and_time(*at, zone).en),
        ),
    };
    Text::new(
        format!("{}。没有发起群发，也没有改变什么。\n例如：{EXAMPLE}", why.zh),
        format!("{}. Nothing was proposed or changed.\nFor example: {EXAMPLE_EN}", why.en),
    )
}

/// The toast for another time, after so many had approved.
pub fn rescheduled(at: Option<Timestamp>, approvals: usize, zone: &TimeZone) -> Text {
    let said = match at {
        Some(at) => {
            let said = day_and_time(at, zone);
            Text::new(format!("已改为 {} 发送。", said.zh), format!("It is now to be sent {}.", said.en))
        }
        None => Text::new("已取消定时，通过后立即发送。", "No time any more: it is sent once it is approved."),
    };
    match approvals {
        0 => said,
        some => Text::new(
            format!("{}之前 {some} 人的通过作废，重新审批。", said.zh),
            format!(
                "{} {} from before {} void; approval is asked for again.",
                said.en,
                count(some, "approval"),
                agree(some, "is", "are")
            ),
        ),
    }
}

/// The toast where the time is what it was.
pub fn same_time() -> Text {
    Text::new("时间没有变化，已有的通过仍然有效。", "That is the time it has; approvals still count.")
}

/// To whoever had approved another time.
pub fn approval_void(id: &BroadcastId, from: Option<Timestamp>, to: Option<Timestamp>, zone: &TimeZone) -> Text {
    let said = |at: Option<Timestamp>| match at {
        Some(at) => day_and_time(at, zone),
        None => Text::new("「通过后立即发送」", "“as soon as it is approved”"),
    };
    let (from, to) = (said(from), said(to));
    Text::new(
        format!(
            "群发 {id} 的发送时间由 {} 改为 {}，你之前的通过已作废。内容没有变，请看它的卡片，重新决定。",
            from.zh, to.zh
        ),
        format!(
            "Broadcast {id} is to be sent {} instead of {}, so your approval is void. The content is the same; please look at its card and decide again.",
            to.en, from.en
        ),
    )
}

pub fn picker() -> Text {
    Text::new("定时发送：选择时间", "Send later: choose a time")
}

pub fn at_once_button() -> Text {
    Text::new("取消定时", "Remove the time")
}

/// What an approver may still do while it waits for its time.
pub fn stop_button() -> Text {
    Text::new("叫停", "Stop it")
}
