//! What a call without a receipt says about its batch.

use std::time::Duration;

use super::JUST_BEGUN_MS;
use crate::domain::batch::{DoubtCause, Verdict, WaitCause};
use crate::domain::ids::Timestamp;
use crate::domain::quota::Day;
use crate::feishu::error::{self, Class, SendError};
use crate::store::batches::BatchClaim;

/// Calls of one batch in a row that may fail for the app's own credentials, before that counts as final. The first may
/// only have met a token that ended early.
const TURNED_AWAY_MAX: u32 = 7;

/// The day's messages are used up; nothing was sent. Source: batch_send, "error codes".
const QUOTA_USED_UP: i64 = 11_247;

/// What a failed call says about the batch.
pub(super) fn of(error: &SendError, claim: &BatchClaim) -> Verdict {
    let batch = &claim.batch;
    if error.code() == Some(QUOTA_USED_UP) {
        let (called, just) = (claim.taken_at, claim.taken_at.0.saturating_sub(JUST_BEGUN_MS));
        // Where the day has just begun by our clock, it may not have by Feishu's.
        let moment = if Day::of(Timestamp(just)) == Day::of(called) {
            Day::of(called).over()
        } else {
            called.after(Duration::from_millis(JUST_BEGUN_MS.unsigned_abs()))
        };
        return Verdict::NotBefore { cause: WaitCause::Quota, moment };
    }
    // No receipt, and every single id called invalid: there was nobody left to send to.
    if let SendError::NoReceipt { invalid, .. } = error
        && invalid.count() > 0
        && invalid.count() == batch.ids
    {
        return Verdict::NothingValid { invalid: invalid.clone() };
    }
    match error.verdict() {
        error::Verdict::RetryAfter(wait) => {
            let cause = wait_cause(error);
            // Credentials that are refused again and again are nothing that waiting mends; a network that is down is.
            if cause == WaitCause::Credentials && batch.outcome.turned_away + 1 >= TURNED_AWAY_MAX {
                return refused(error);
            }
            // A token that ended early: it is forgotten, and there is nothing to wait for but a turn. Another replica may
            // still have it, which tells it by its own refusal.
            let ended = matches!(error, SendError::Answered(_)) && cause == WaitCause::Credentials;
            let wait = if ended && batch.outcome.turned_away == 0 { Some(Duration::ZERO) } else { wait };
            Verdict::TryAgain { cause, wait }
        }
        error::Verdict::Refused => refused(error),
        error::Verdict::AskHuman => Verdict::Unknown {
            cause: match error {
                SendError::Answered(_) | SendError::NoReceipt { .. } => DoubtCause::UnclearAnswer,
                SendError::NoToken(_) | SendError::NotSent(_) | SendError::Unanswered(_) => DoubtCause::NoAnswer,
            },
        },
    }
}

/// Why a batch waits that is certainly unsent.
fn wait_cause(error: &SendError) -> WaitCause {
    match error {
        SendError::NotSent(_) => WaitCause::Unreachable,
        SendError::NoToken(source) => match source.class() {
            Class::Retry { .. } if source.refusal().is_some() || source.status() == Some(429) => WaitCause::RateLimit,
            Class::Retry { .. } => WaitCause::Unreachable,
            // A page of somebody in between, or of a Feishu that is down, says nothing about credentials.
            _ if source.refusal().is_none_or(|refusal| refusal.status >= 500) => WaitCause::Unreachable,
            Class::Reauthenticate | Class::FixSetup | Class::Permanent | Class::Unknown => WaitCause::Credentials,
        },
        SendError::Answered(refusal) if refusal.class() == Class::Reauthenticate => WaitCause::Credentials,
        SendError::Answered(_) | SendError::Unanswered(_) | SendError::NoReceipt { .. } => WaitCause::RateLimit,
    }
}

fn refused(error: &SendError) -> Verdict {
    Verdict::Refused { code: error.code().unwrap_or_default(), scopes: error.scopes().to_vec() }
}
