//! What a recall means for the broadcasts that bring the same to those whom it had not reached.

use crate::domain::ids::{BroadcastId, OpenId};
use crate::view::{Text, agree, text};

/// What a recall means for the broadcasts to those whom the recalled one had not reached.
pub(super) fn repairs<'a>(stopped: &[BroadcastId], sent: impl Iterator<Item = &'a BroadcastId>) -> Vec<Text> {
    let mut lines = Vec::new();
    if !stopped.is_empty() {
        let ids: Vec<&str> = stopped.iter().map(BroadcastId::as_str).collect();
        let repairs = agree(ids.len(), "repair", "repairs");
        lines.push(Text::new(
            format!("补发 {} 没发出的部分已取消。", ids.join("、")),
            format!("What had not left of its {repairs} {} is cancelled.", ids.join(", ")),
        ));
    }
    lines.extend(sent.map(|id| {
        Text::new(
            format!("补发 {id} 已经发出，不在这次撤回之内；要撤回它：/recall {id}"),
            format!("Its repair {id} was sent and is not part of this recall. To take it back: /recall {id}"),
        )
    }));
    lines
}

/// To the author of a repair, when somebody else took back what it repairs.
pub fn repair_stopped(id: &BroadcastId, of: &BroadcastId) -> Text {
    Text::new(
        format!("补发 {id} 已取消，没有发送：它补发的群发 {of} 被撤回了。"),
        format!("Repair {id} is cancelled, nothing was sent: broadcast {of}, which it repairs, was recalled."),
    )
}

/// The same on its card.
pub fn repair_ended(of: &BroadcastId, by: Option<&OpenId>) -> Text {
    let who = by.map(text::at_mark).unwrap_or_default();
    Text::new(
        format!("**取消** 它补发的群发 {of} 被 {who} 撤回了，没有发送"),
        format!("**Cancelled** because {who} recalled broadcast {of}, which it repairs; nothing was sent"),
    )
}
