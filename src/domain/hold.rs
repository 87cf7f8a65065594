//! A broadcast on hold: approved, or about to be, and yet nothing of it leaves before its author has said go on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::Timestamp;

/// Why nothing of a broadcast leaves although it might.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldCause {
    /// The bot was away longer than [`AWAY_MAX`]: what was right to send then may be wrong now.
    Downtime,
    /// The database is a copy, or older than what was sent with it: it may believe unsent what has long arrived.
    Restored,
    /// The time it was scheduled for passed unnoticed, by more than [`AWAY_MAX`].
    Late,
    /// So many of those who got it first were invalid or not reached.
    FirstWave { bad: u64, of: u64 },
    /// What was sent to those who get it first was taken back.
    TakenBack,
    /// Batch after batch was refused with this code.
    Refused { code: i64 },
}

/// A broadcast that waits for its author: send the rest, or leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub cause: HoldCause,
    pub since: Timestamp,
}

/// How long the bot may be away before it asks instead of sending. Source: interface "promises", 10 minutes.
pub const AWAY_MAX: Duration = Duration::from_secs(600);

/// Refusals in a row, all with one code, after which the rest is not tried: the next one would be refused as well.
pub const REFUSALS_MAX: usize = 3;
