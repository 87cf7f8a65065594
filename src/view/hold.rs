//! What is said of a broadcast that waits for its author's word.

use super::{Text, advice, agree};
use crate::domain::hold::HoldCause;
use crate::domain::ids::BroadcastId;

/// How a broadcast on hold is called, whatever its state.
pub fn word() -> Text {
    Text::new("已暂停，等发起人决定", "On hold until its author decides")
}

/// Why nothing of it leaves, and what there is to do.
pub fn cause(cause: HoldCause) -> Text {
    match cause {
        HoldCause::Downtime => Text::new(
            "机器人停了 10 分钟以上。现在还要发吗？账上没有发出的部分等发起人决定：继续，或者取消。如果数据库恢复过备份，请先问一位收件人是否已经收到。",
            "The bot was away for more than ten minutes. Is it still to be sent? What has not left by its books waits for the author: go on, or cancel. If the database was restored from a backup, ask one of the recipients first whether it has arrived.",
        ),
        HoldCause::Restored => Text::new(
            "机器人的数据库是恢复的备份或副本，可能不知道已经发过什么。请先问一位收件人是否已经收到，再决定：继续，或者取消。",
            "The bot's database was restored or copied and may not know what has been sent. Ask one of the recipients first whether it has arrived, then decide: go on, or cancel.",
        ),
        HoldCause::Late => Text::new(
            "定好的时间到了，机器人却不在，已经晚了 10 分钟以上。现在还要发吗？没有发出任何内容，等发起人决定：继续，或者取消。",
            "The bot was away when its time came, and it is more than ten minutes late. Is it still to be sent? Nothing has left; its author decides: go on, or cancel.",
        ),
        HoldCause::TakenBack => Text::new(
            "先收到的那部分已经要求撤回。其余的先不发，等发起人决定：继续，或者取消。",
            "What went out first was taken back. The rest waits for its author: go on, or cancel.",
        ),
        HoldCause::FirstWave { bad, of } => Text::new(
            format!(
                "先收到的 {of} 人里，判断时有 {bad} 人的 ID 无效或者没有送达，超过了规则允许的。其余的先不发，等发起人决定：继续，或者取消。"
            ),
            format!(
                "Of the {of} who got it first, {bad} {} invalid or not reached when that was judged, more than the rules allow. The rest waits for its author: go on, or cancel.",
                agree(bad, "was", "were")
            ),
        ),
        HoldCause::Refused { code } => {
            let why = advice(code);
            Text::new(
                format!(
                    "飞书连续拒绝（{code}），其余的先不发。{}等发起人决定：处理好了就点「继续发送」，被拒的和其余的一起发；内容要改就取消，再重新发起。",
                    why.zh
                ),
                format!(
                    "Feishu refused one batch after the other ({code}), so the rest is not tried. {} Its author decides: once that is mended press “Go on”, and what was refused is sent with the rest; if the content has to change, cancel and propose it anew.",
                    why.en
                ),
            )
        }
    }
}

/// Said once to the author of what stands still because the ledger cannot be read.
pub fn unreadable(id: &BroadcastId) -> Text {
    Text::new(
        format!(
            "群发 {id} 停住了：账目里有一批读不出来，多半是别的程序版本写的，或者有人改过数据库。还没发出的不会再发，其他群发照常。请转告机器人的运维。"
        ),
        format!(
            "Broadcast {id} stands still: one of its batches cannot be read, most likely because another version of the program or a hand has written to the database. What has not left stays; other broadcasts go on. Please tell whoever runs the bot."
        ),
    )
}

pub fn button() -> Text {
    Text::new("继续发送", "Go on")
}

/// What the author agrees to with [`button`]. `twice` says who may get it twice, where an earlier call of what was
/// refused had come to an unknown end.
pub fn confirm(cause: HoldCause, twice: Option<Text>) -> Text {
    match (cause, twice) {
        (HoldCause::Refused { .. }, Some(twice)) => twice,
        (_, Some(twice)) => Text::lines(&[confirmed(cause), twice]),
        (_, None) => confirmed(cause),
    }
}

fn confirmed(cause: HoldCause) -> Text {
    match cause {
        HoldCause::Downtime => Text::new(
            "没有发出的部分现在就发；如果数据库恢复过备份，有人可能会收到两次。确定吗？",
            "What has not left is sent now; if the database was restored from a backup, some people may get it twice. Sure?",
        ),
        HoldCause::Restored => Text::new(
            "如果它其实已经发过，这些人会收到两次。确定还没有发过吗？",
            "If it has been sent already, these people get it twice. Sure that it has not?",
        ),
        HoldCause::Late => Text::new("现在就发。确定吗？", "It is sent now. Sure?"),
        HoldCause::FirstWave { .. } | HoldCause::TakenBack => {
            Text::new("其余的人现在就会收到。确定吗？", "Everybody else gets it now. Sure?")
        }
        HoldCause::Refused { .. } => Text::new(
            "被拒的批次确定没有发出，会和其余的一起再发。确定吗？",
            "The refused batches have certainly not gone out and are sent again with the rest. Sure?",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_did_not_get_it_first_was_and_several_were_missed() {
        let en = |bad| cause(HoldCause::FirstWave { bad, of: 20 }).en;
        assert!(en(1).contains("1 was invalid or not reached"), "{}", en(1));
        assert!(en(5).contains("5 were invalid or not reached"), "{}", en(5));
    }
}
