//! What is taken back: the order, the call for each batch, and what Feishu counts of it.

use feishu_broadcast::domain::batch::Progress;
use feishu_broadcast::domain::ids::{OpenId, Timestamp};
use feishu_broadcast::domain::recall::{Recall, RecallStage, SAME_FOR, SAME_MAX};

use super::super::ledger::{Conflict, Statement, Tx};
use super::{cancel_planned, follow, update};

/// The right to ask for one batch back.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct RecallClaim {
    pub(in super::super) seq: i64,
    pub(in super::super) tries: i64,
}

/// What comes of the call that asks for a batch back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Reply {
    /// Feishu works on it.
    Taken,
    Refused,
    /// It may have been taken in or not: asked once more.
    Unclear,
}

impl Reply {
    pub(in super::super) const ALL: [Reply; 3] = [Reply::Taken, Reply::Refused, Reply::Unclear];
}

/// What Feishu says of an accepted batch of one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Delivery {
    Missing,
    Reached,
    /// Taken back from everybody whom it reached.
    Gone,
    /// The same again and again, for as long as one waits for more.
    StandsStill,
    /// Nobody counts it any more.
    Forgotten,
}

impl Delivery {
    pub(in super::super) const ALL: [Delivery; 5] =
        [Delivery::Missing, Delivery::Reached, Delivery::Gone, Delivery::StandsStill, Delivery::Forgotten];
}

/// `app::recall::order`; `version` is that of the card, and none for a command.
pub(in super::super) fn order(
    tx: &mut Tx,
    by: &OpenId,
    batch: Option<i64>,
    version: Option<i64>,
    now: Timestamp,
) -> Result<Option<()>, Conflict> {
    let before = tx.sees.broadcast.clone();
    let version = version.unwrap_or(before.version);
    let taken = before.clone().take_back(by, batch, &tx.sees.batches(), version, now);
    let Ok((after, wanted)) = taken else { return Ok(None) };
    for seq in wanted {
        tx.run(Statement::WantRecall { seq })?;
    }
    if after.is_wanted_back() {
        cancel_planned(tx)?;
    }
    let after = after.follow(&tx.sees.report(), now);
    update(tx, &after, &before)?;
    Ok(Some(()))
}

/// `Store::claim_recall`: before the call of `app::recall::step`.
pub(in super::super) fn ask_back(tx: &mut Tx, seq: i64) -> Result<Option<RecallClaim>, Conflict> {
    let row = tx.sees.row(seq);
    if !row.recall_due {
        return Ok(None);
    }
    let tries = row.recall_tries;
    tx.run(Statement::ClaimRecall { seq, tries })?;
    Ok(Some(RecallClaim { seq, tries: tx.sees.row(seq).recall_tries }))
}

/// `app::recall::ask_back`, after the call.
pub(in super::super) fn settle_recall(
    tx: &mut Tx,
    claim: RecallClaim,
    reply: Reply,
    now: Timestamp,
) -> Result<Option<()>, Conflict> {
    let RecallClaim { seq, tries } = claim;
    let before = tx.sees.broadcast.clone();
    let stage = match reply {
        Reply::Taken => RecallStage::Asked { at: now, same: 0 },
        Reply::Refused => RecallStage::Refused { code: Some(230_027), scopes: Vec::new() },
        Reply::Unclear => RecallStage::Wanted,
    };
    let known = tx.sees.row(seq).batch.recall.clone();
    let recall = Recall { stage, ..known.unwrap_or_else(Recall::wanted) };
    tx.run(Statement::SettleRecall { seq, tries, recall, again: reply == Reply::Unclear })?;
    follow(tx, &before, now)?;
    Ok(Some(()))
}

/// `app::progress::write`.
pub(in super::super) fn heard(
    tx: &mut Tx,
    seq: i64,
    delivery: Delivery,
    now: Timestamp,
) -> Result<Option<()>, Conflict> {
    let before = tx.sees.broadcast.clone();
    let batch = tx.sees.row(seq).batch.clone();
    let known = batch.progress.unwrap_or_default();
    let reached = |reached: u64| Progress { valid: 1, reached: reached.max(known.reached), read: 0 };
    let counted = |recall: Recall, progress| {
        let gone = if delivery == Delivery::Gone { 1 } else { 0 };
        recall.counted(progress, batch.progress, gone, now)
    };
    let (progress, recall) = match delivery {
        Delivery::Missing => (Some(reached(0)), batch.recall.clone().map(|recall| counted(recall, reached(0)))),
        Delivery::Reached | Delivery::Gone => {
            (Some(reached(1)), batch.recall.clone().map(|recall| counted(recall, reached(1))))
        }
        Delivery::StandsStill => {
            let later = now.after(SAME_FOR);
            let once_more = |recall: Recall, _| recall.counted(known, Some(known), 0, later);
            (None, batch.recall.clone().map(|recall| (0..=SAME_MAX).fold(recall, once_more)))
        }
        Delivery::Forgotten => (None, batch.recall.clone().map(Recall::ended)),
    };
    let changed = progress.is_some_and(|progress| batch.progress != Some(progress));
    let recalled = recall.filter(|recall| batch.recall.as_ref() != Some(recall));
    if !changed && recalled.is_none() {
        return Ok(None);
    }
    let follows = recalled.is_some();
    tx.run(Statement::RecordProgress { seq, progress, recall: recalled })?;
    if follows {
        follow(tx, &before, now)?;
    } else {
        let mut after = before.clone();
        after.revision += 1;
        update(tx, &after, &before)?;
    }
    Ok(Some(()))
}
