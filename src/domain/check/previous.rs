//! A key that is being changed: whether its previous value can go.

use std::time::Duration;

use super::Level;
use crate::domain::ids::Timestamp;

/// How long after the last push under the previous value another one may still come: Feishu pushes again for about seven
/// hours, and does not say whether it seals anew. Source: contract "answering".
const PUSHED_AGAIN: Duration = Duration::from_secs(8 * 3600);

/// A previous value that is set beside the present one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Previous {
    /// Encrypt Key or Verification Token. `None` where only the bot that runs knows.
    Door {
        setting: &'static str,
        platform: Option<Use>,
    },
    /// `needed`: Feishu refuses the present one.
    AppSecret {
        needed: bool,
    },
    SecretKey,
    /// The bot at this address does not take what the previous values sealed.
    NotTaken {
        url: String,
    },
}

/// What the platform uses, as its pushes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Nothing has come since the start.
    Unknown,
    /// The newest push came under the previous value.
    Previous,
    /// The newest came under the present one; one of before may be pushed again for so long.
    Present { left: Duration },
    /// No push under the previous value can be under way any more.
    Over,
}

impl Use {
    /// From the moments of the last pushes, to a process that has listened since `since`.
    pub fn of(present: Option<Timestamp>, previous: Option<Timestamp>, since: Timestamp, now: Timestamp) -> Self {
        let quiet = now.since(previous.unwrap_or(since));
        match (present, previous) {
            (None, None) => Self::Unknown,
            (present, Some(previous)) if present.is_none_or(|present| present < previous) => Self::Previous,
            _ if quiet >= PUSHED_AGAIN => Self::Over,
            _ => Self::Present { left: PUSHED_AGAIN.saturating_sub(quiet) },
        }
    }
}

impl Previous {
    pub fn level(&self) -> Level {
        match self {
            // Whoever has an old key is believed as long as it is set.
            Self::Door { .. } | Self::AppSecret { .. } | Self::SecretKey => Level::Warning,
            Self::NotTaken { .. } => Level::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_previous_key_can_go_once_nothing_of_it_can_be_pushed_again() {
        let hour = |hours: i64| Timestamp(hours * 3_600_000);
        let after = |present: Option<i64>, previous: Option<i64>, now: i64| {
            Use::of(present.map(hour), previous.map(hour), hour(1), hour(now))
        };
        let left = |hours: u64| Use::Present { left: Duration::from_secs(hours * 3600) };
        assert_eq!(after(None, None, 100), Use::Unknown);
        assert_eq!(after(None, Some(2), 100), Use::Previous);
        assert_eq!(after(Some(2), Some(3), 100), Use::Previous);
        assert_eq!(after(Some(4), Some(3), 5), left(6));
        assert_eq!(after(Some(4), Some(3), 11), Use::Over);
        assert_eq!(after(Some(2), None, 3), left(6));
        assert_eq!(after(Some(2), None, 9), Use::Over);
    }
}
