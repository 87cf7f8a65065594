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
    /// Calls that were let through, within each length of time.
    calls: HashMap<(String, i64), VecDeque<i64>>,
    narrow: HashMap<String, VecDeque<i64>>,
    /// Endpoint to the moments from which and until which a throttled caller must keep still.
    pub throttled: HashMap<String, (i64, i64)>,
}

impl Rates {
    /// Counts a call; gives (calls per window, seconds to wait) where it was one too many. Where Feishu's windows begin is
    /// its own affair, so no length of time may see too many, wherever it begins.
    pub fn hit(&mut self, endpoint: &str, tier: Tier, now: i64) -> Option<(u32, i64)> {
        let mut verdict = None;
        for (length, most) in tier.windows() {
            let calls = self.calls.entry((endpoint.to_owned(), *length)).or_default();
            while calls.front().is_some_and(|at| *at + length <= now) {
                calls.pop_front();
            }
            if let Some(first) = calls.front()
                && calls.len() >= *most as usize
            {
                verdict = Some((*most, (first + length - now + 999) / 1000));
            }
        }
        if verdict.is_none() {
            for (length, _) in tier.windows() {
                self.calls.entry((endpoint.to_owned(), *length)).or_default().push_back(now);
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
    fn the_fifty_first_call_of_any_second_waits() {
        let mut rates = Rates::default();
        assert!((0..50).all(|n| rates.hit("x", Tier::Four, 1_900 + n).is_none()));
        assert_eq!(rates.hit("x", Tier::Four, 2_100), Some((50, 1)));
        assert_eq!(rates.hit("x", Tier::Four, 2_899), Some((50, 1)));
        assert_eq!(rates.hit("x", Tier::Four, 2_900), None);
        assert_eq!(rates.hit("x", Tier::Four, 2_900), Some((50, 1)), "one has left the window, and one has come");
    }

    #[test]
    fn the_thousand_and_first_call_of_any_minute_waits() {
        let mut rates = Rates::default();
        assert!((0..1_000).all(|n| rates.hit("x", Tier::Four, n * 30).is_none()));
        assert_eq!(rates.hit("x", Tier::Four, 59_000), Some((1_000, 1)));
        assert_eq!(rates.hit("x", Tier::Four, 60_000), None);
    }

    #[test]
    fn a_chat_takes_five_messages_a_second() {
        let mut rates = Rates::default();
        assert!((0..5).all(|at| rates.narrow("oc", at)));
        assert!(!rates.narrow("oc", 900) && rates.narrow("oc", 1_000));
    }
}
