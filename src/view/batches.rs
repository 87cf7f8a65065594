//! What became of the batches of a broadcast: so many of each kind, and by which ids Feishu knows them.

use super::Text;
use crate::domain::report::Report;

/// All of them in one line.
pub(super) fn sum(report: &Report) -> Text {
    let others = others(report);
    Text::new(
        format!("批次：共 {}，飞书已受理 {}{}", report.batches, report.accepted, others.zh),
        format!("Batches: {} in all, {} accepted by Feishu{}", report.batches, report.accepted, others.en),
    )
}

/// The batches that Feishu has not accepted, by what became of them: each kind behind a comma.
pub(super) fn others(report: &Report) -> Text {
    let (mut zh, mut en) = (String::new(), String::new());
    for (number, word_zh, word_en) in [
        (report.taken_as_sent, "视为已发", "taken as sent"),
        (report.refused, "被拒", "refused"),
        (report.in_doubt, "结果未知", "in doubt"),
        (report.open, "待发", "to go"),
        (report.cancelled, "已取消", "cancelled"),
    ] {
        if number > 0 {
            zh.push_str(&format!("，{word_zh} {number}"));
            en.push_str(&format!(", {number} {word_en}"));
        }
    }
    Text::new(zh, en)
}

/// Feishu's ids. Of several each stands behind the number of its batch, by which one alone is recalled.
pub(super) fn accepted_as(report: &Report, shown: usize) -> Text {
    if let ([(_, id)], 1) = (report.message_ids.as_slice(), report.batches) {
        return Text::new(format!("受理编号：{id}"), format!("Accepted as: {id}"));
    }
    let mut lines = vec![Text::new("受理编号：", "Accepted as:")];
    let numbered = report.message_ids.iter().take(shown);
    lines.extend(numbered.map(|(seq, id)| Text::new(format!("第 {seq} 批 {id}"), format!("batch {seq} {id}"))));
    let more = report.message_ids.len().saturating_sub(shown);
    if more > 0 {
        lines.push(Text::new(format!("……另有 {more} 批"), format!("… and {more} more")));
    }
    Text::lines(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::BatchMessageId;

    #[test]
    fn several_ids_stand_behind_their_batches_and_what_is_left_out_is_counted() {
        let id = |seq: i64| (seq, BatchMessageId::new(format!("bm-{seq}")).expect("a test id"));
        let report = Report { batches: 4, message_ids: vec![id(1), id(3), id(4)], ..Report::default() };
        assert_eq!(accepted_as(&report, 2).zh, "受理编号：\n第 1 批 bm-1\n第 3 批 bm-3\n……另有 1 批");
        assert_eq!(accepted_as(&report, 2).en, "Accepted as:\nbatch 1 bm-1\nbatch 3 bm-3\n… and 1 more");
        let alone = Report { batches: 1, message_ids: vec![id(1)], ..Report::default() };
        assert_eq!(accepted_as(&alone, 2).en, "Accepted as: bm-1");
    }
}
