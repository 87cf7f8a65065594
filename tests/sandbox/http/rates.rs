//! The platform's rate limits, kept by the tenant's clock.

use std::collections::{HashMap, VecDeque};

/// How often an endpoint may be called. Source: the frequency page, and each endpoint's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// 1000 a minute and 50 a second.
    Four,
    /// So many a second.
    PerSecond(u32),
    /// Unpublished; 50 a second here.
    Special,
    /// No limit is known.
    Unlisted,
}

impl Tier {
    /// (window in ms, calls in it).
    fn windows(self) -> &'static [(i64, u32)] {
        match self {
            Tier::Four => &[(1_000, 50), (60_000, 1_000)],
            Tier::PerSecond(5) => &[(1_000, 5)],
            Tier::PerSecond(_) | Tier::Special => &[(1_000, 50)],
            Tier::Unlisted => &[],
        }
    }
}

/// Messages to one chat, and updates of one message, per second.
const NARROW_PER_SECOND: usize = 5;

/// What was called when.
#[derive(Default)]
pub struct Rates {
    windows: HashMap<(String, i64), (i64, u32)>,
    narrow: HashMap<String, VecDeque<i64>>,
    /// Endpoint to the moments from which and until which a throttled caller must keep still.
    pub throttled: HashMap<String, (i64, i64)>,
}

impl Rates {
    /// Counts a call; gives (calls per window, seconds to wait) where it was one too many.
    pub fn hit(&mut self, endpoint: &str, tier: Tier, now: i64) -> Option<(u32, i64)> {
        let mut verdict = None;
        for (length, most) in tier.windows() {
            let window = self.windows.entry((endpoint.to_owned(), *length)).or_insert((now, 0));
            if now >= window.0 + length {
                *window = (now, 0);
            }
            window.1 += 1;
            if window.1 > *most {
                verdict = Some((*most, ((window.0 + length - now) + 999) / 1000));
            }
        }
        verdict
    }

    /// Counts one message to a chat or one update of a message; false where it was the sixth within a second.
    pub fn narrow(&mut self, key: &str, now: i64) -> bool {
        let recent = self.narrow.entry(key.to_owned()).or_default();
        while recent.front().is_some_and(|at| *at + 1_000 <= now) {
            recent.pop_front();
        }
        if recent.len() >= NARROW_PER_SECOND {
            return false;
        }
        recent.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifty_first_call_of_a_second_waits_and_the_next_second_is_free() {
        let mut rates = Rates::default();
        assert!((0..50).all(|_| rates.hit("x", Tier::Four, 1_000).is_none()));
        assert_eq!(rates.hit("x", Tier::Four, 1_500), Some((50, 1)));
        assert_eq!(rates.hit("x", Tier::Four, 2_000), None);
    }

    #[test]
    fn a_chat_takes_five_messages_a_second() {
        let mut rates = Rates::default();
        assert!((0..5).all(|at| rates.narrow("oc", at)));
        assert!(!rates.narrow("oc", 900) && rates.narrow("oc", 1_000));
    }
}
