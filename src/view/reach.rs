//! How many it reached and how many read it: numbers that add up, a bar, and how it went over time.
//!
//! Accepted by Feishu is not delivered, and delivered is not read.

use std::fmt::Write;

use jiff::tz::TimeZone;

use super::{Text, count, day_and_time};
use crate::domain::audience::Headcount;
use crate::domain::reads::{Point, thinned};
use crate::domain::report::Report;
use crate::domain::tally::Tally;

/// Cells of a bar.
const BAR: u64 = 10;

/// Cells of the line over time.
const TREND: usize = 16;

/// Points from which there is a line to speak of.
const TREND_MIN: usize = 3;

/// Delivered and read, with a bar of the reads.
pub fn delivery(report: &Report) -> Vec<Text> {
    let (Some(reached), Some(read)) = (report.reached, report.read) else {
        return vec![Text::new(
            "送达情况：飞书正在处理，稍后自动更新",
            "Delivery: Feishu is still working on it; this will be updated",
        )];
    };
    if report.counted == 0 {
        return vec![Text::new(
            "飞书还没有计入任何人：可能还在排队，也可能没有有效的收件人",
            "Feishu has counted nobody yet: it may still be queued, or nobody in it is valid",
        )];
    }
    let mut lines = vec![Text::new(
        format!("送达 {reached} 人，已读 {read} 人（飞书受理不等于送达，送达不等于已读）"),
        format!("Reached {reached}, read by {read} (accepted is not delivered, delivered is not read)"),
    )];
    if reached > 0 {
        let part = read.min(reached);
        let filled = part.saturating_mul(BAR).div_ceil(reached);
        let cells: String = (0..BAR).map(|cell| if cell < filled { '█' } else { '░' }).collect();
        let percent = part.saturating_mul(100) / reached;
        lines.push(Text::new(format!("已读 {cells} {percent}%"), format!("Read {cells} {percent}%")));
    }
    lines
}

/// Everybody in one place: the parts of the sum, the empty ones left out. `planned` is what was known before.
pub fn sum(tally: &Tally, planned: Headcount) -> Option<Text> {
    let total = tally.total();
    if total == 0 {
        return None;
    }
    let places = [
        (tally.reached, "送达", "reached"),
        (tally.not_reached, "未送达（在途，或机器人够不到）", "not reached (on the way, or out of the bot's reach)"),
        (tally.uncounted, "等飞书统计", "not counted by Feishu yet"),
        (tally.invalid, "无效", "invalid"),
        (tally.in_doubt, "结果未知", "in doubt"),
        (tally.taken_as_sent, "视为已发", "taken as sent"),
        (tally.not_sent, "没有发出", "not sent"),
        (tally.to_go, "待发", "to go"),
    ];
    let some = || places.iter().filter(|(people, ..)| *people > 0);
    let zh = some().map(|(people, zh, _)| format!("{zh} {people}")).collect::<Vec<_>>().join(" + ");
    let en = some().map(|(people, _, en)| format!("{people} {en}")).collect::<Vec<_>>().join(" + ");
    let mut said = Text::new(format!("合计 {total} 人 = {zh}"), format!("{} = {en}", count(total, "person")));
    if planned.known != total && planned.known > 0 {
        let known = planned.known;
        // Departments count people in several of them more than once, and the unavailable too.
        let _infallible = write!(said.zh, "（发送前估计约 {known} 人）");
        let _infallible = write!(said.en, " (about {known} before sending)");
    }
    if tally.more
        || (planned.departments_unknown > 0
            && tally.uncounted + tally.to_go + tally.in_doubt == 0
            && tally.reached == 0)
    {
        said.zh.push_str("，另有部门人数未知");
        said.en.push_str(", and departments of unknown size");
    }
    Some(said)
}

/// How the reads went over time, in one line.
pub fn trend(curve: &[Point], zone: &TimeZone) -> Option<Text> {
    let [first, .., last] = curve else { return None };
    if curve.len() < TREND_MIN || last.read == 0 {
        return None;
    }
    let most = last.read.max(1);
    let cells = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let line: String = thinned(curve.to_vec(), TREND)
        .iter()
        .map(|point| {
            let step = point.read.min(most).saturating_mul(cells.len() as u64 - 1) / most;
            cells[usize::try_from(step).unwrap_or(0)]
        })
        .collect();
    let (from, to) = (day_and_time(first.at, zone), day_and_time(last.at, zone));
    Some(Text::new(format!("已读走势 {line} {from} 至 {to}"), format!("Reads over time {line} {from} to {to}")))
}

/// The title of the chart, which knows one language only.
pub fn chart_title() -> String {
    "已读人数 Read by".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Timestamp;

    #[test]
    fn a_bar_is_full_only_where_everybody_read() {
        let bar = |reached, read| {
            let report = Report { reached: Some(reached), read: Some(read), counted: reached, ..Report::default() };
            delivery(&report).pop().expect("a bar").zh
        };
        assert_eq!(bar(98, 95), "已读 ██████████ 96%");
        assert_eq!(bar(100, 50), "已读 █████░░░░░ 50%");
        assert_eq!(bar(3, 0), "已读 ░░░░░░░░░░ 0%");
        assert_eq!(bar(1000, 1), "已读 █░░░░░░░░░ 0%");
    }

    #[test]
    fn the_parts_add_up_to_the_whole_and_the_estimate_is_named_where_it_differs() {
        let tally = Tally { reached: 95, not_reached: 3, invalid: 2, ..Tally::default() };
        let headcount = |known| Headcount { known, departments_unknown: 0 };
        let said = sum(&tally, headcount(100)).expect("people");
        assert_eq!(said.zh, "合计 100 人 = 送达 95 + 未送达（在途，或机器人够不到） 3 + 无效 2");
        assert_eq!(
            said.en,
            "100 people = 95 reached + 3 not reached (on the way, or out of the bot's reach) + 2 invalid"
        );
        assert!(sum(&tally, headcount(104)).expect("people").zh.ends_with("（发送前估计约 104 人）"));
        assert_eq!(sum(&Tally::default(), headcount(5)), None);
    }

    #[test]
    fn a_trend_needs_points_and_reads() {
        let zone = TimeZone::UTC;
        let point = |n: i64| Point { at: Timestamp(n * 60_000), reached: 10, read: n.unsigned_abs() };
        let curve: Vec<Point> = (0..4).map(point).collect();
        let said = trend(&curve, &zone).expect("a line");
        assert_eq!(said.zh, "已读走势 ▁▃▅█ 01-01 00:00 至 01-01 00:03");
        assert_eq!(trend(&curve[..2], &zone), None);
    }
}
