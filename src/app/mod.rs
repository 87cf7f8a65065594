//! Floor 3: the shell around the values. One public step per file; each may be called at any time, by any replica, and
//! does at most one piece of work.
//!
//! No room here keeps a lock or a transaction while the network thinks: intent is written, the deed is done, the
//! outcome is written.

pub mod asked;
pub mod attachments;
pub mod audience;
pub mod audit;
pub mod authorize;
pub mod cards;
pub mod check;
pub mod clock;
pub mod commands;
pub mod content;
pub mod correct;
pub mod directory;
pub mod dispatch;
pub mod edit;
pub mod errands;
pub mod follow;
pub mod gauges;
pub mod heard;
pub mod in_full;
pub mod inbox;
pub mod letters;
pub mod life;
pub mod list;
pub mod look_ups;
pub mod menu;
pub mod news;
pub mod pace;
mod patience;
pub mod people;
pub mod places;
pub mod press;
pub mod progress;
pub mod recall;
pub mod recalled;
pub mod remind;
pub mod request;
pub mod reschedule;
pub mod rosters;
pub mod rotation;
pub mod rules;
pub mod secrets;
pub mod stranger;
pub mod terms;
pub mod tidy;
pub mod tighten;
pub mod under_way;
pub mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::Notify;
use tracing::Span;
use tracing::field::Empty;
use url::Url;

use crate::domain::ids::{BroadcastId, OpenId, Timestamp};
use crate::domain::pace::PER_SECOND;
use crate::domain::policy::Policy;
use crate::feishu::Feishu;
use crate::feishu::envelope::Door;
use crate::feishu::error::CallError;
use crate::store::pace::Ring;
use crate::store::{Ahead, Store, StoreError};
use clock::Clock;

/// How long a worker may hold a letter or a card before another may take it: longer than a call, its token, and both
/// once more, of 10 s each at most. An event, and a batch that is being sent, are held as long as their worker says that
/// it is still at it.
pub const LEASE: Duration = Duration::from_secs(45);

/// How often whoever works longer says that they still do: two of these words may get lost before [`LEASE`] ends.
const RENEW_EVERY: Duration = Duration::from_secs(15);

/// The least time between two notices to other replicas: a burst of work is one.
const NOTICE_PAUSE: Duration = Duration::from_millis(20);

/// The pause before a lost connection for notices is made anew.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// A difference between this machine's clock and the database's that an operator should know of.
const CLOCK_OFF_MS: i64 = 2000;

/// What a step found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Idle,
    Worked,
}

/// Why a step could not be finished now.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Feishu(#[from] CallError),
}

/// Everything the steps need. One per process.
pub struct App {
    pub store: Store,
    pub feishu: Feishu,
    pub clock: Arc<dyn Clock>,
    pub rules: rules::Rules,
    pub rosters: rosters::Rosters,
    pub secrets: secrets::Secrets,
    /// With which pushes are let in.
    pub door: Door,
    /// What came in under the previous values of its keys.
    pub arrivals: rotation::Arrivals,
    /// The https origin under which browsers reach the bot; without it there is no `/login`.
    pub public_url: Option<Url>,
    /// How times are shown.
    pub zone: TimeZone,
    pub directory: directory::Directory,
    pub places: places::Places,
    pub images: content::Images,
    /// Tables that may be read at one time.
    pub tables: tokio::sync::Semaphore,
    pub strangers: stranger::Strangers,
    pub refusals: audit::Refusals,
    /// The pace of messages and cards.
    pub talk: pace::Pace,
    /// The pace of questions about delivery.
    pub polls: pace::Pace,
    /// The pace of questions about departments and people.
    pub look_ups: pace::Pace,
    pub departures: pace::Departures,
    pub under_way: under_way::UnderWay,
    pub wake: Wake,
    /// How far the database's clock is ahead of this machine's, in ms.
    ahead_ms: AtomicI64,
    /// The bot's own open_id, asked for once.
    pub bot: tokio::sync::OnceCell<OpenId>,
}

/// What an App is made of; the rest it makes itself.
pub struct Parts {
    pub store: Store,
    pub feishu: Feishu,
    pub clock: Arc<dyn Clock>,
    pub policy: Policy,
    pub rules_file: Option<rules::RulesFile>,
    pub secrets: secrets::Secrets,
    pub door: Door,
    pub public_url: Option<Url>,
    pub zone: TimeZone,
}

/// Wakes the loops when there is something for them; polling finds what a wake-up missed.
#[derive(Default)]
pub struct Wake {
    pub inbox: Notify,
    pub dispatch: Notify,
    pub letters: Notify,
    pub cards: Notify,
    pub errands: Notify,
    pub recalls: Notify,
    /// The other replicas should look as well.
    pub replicas: Notify,
}

/// In which everything is logged that `step` does for one broadcast: whatever is said below it, about calls as well, bears
/// the id.
fn about(step: &'static str, id: &BroadcastId) -> Span {
    tracing::info_span!("broadcast", broadcast = %id, step)
}

/// The same for an event, of which it may turn out only later what it is about: see [`is_about`].
fn on_event(key: &str) -> Span {
    tracing::info_span!("event", key, broadcast = Empty)
}

/// Says which broadcast the event at hand is about.
fn is_about(id: &BroadcastId) {
    Span::current().record("broadcast", tracing::field::display(id));
}

impl App {
    pub fn new(parts: Parts) -> Self {
        let Parts { store, feishu, clock, policy, rules_file, secrets, door, public_url, zone } = parts;
        let arrivals = rotation::Arrivals::at(&door, clock.now());
        Self {
            store,
            feishu,
            clock,
            rules: rules::Rules::new(policy, rules_file),
            rosters: rosters::Rosters::default(),
            secrets,
            arrivals,
            door,
            public_url,
            zone,
            directory: directory::Directory::new(),
            places: places::Places::new(),
            images: content::Images::new(),
            tables: tokio::sync::Semaphore::new(1),
            strangers: stranger::Strangers::new(),
            refusals: audit::Refusals::new(),
            talk: pace::Pace::new(Ring::Talk),
            polls: pace::Pace::new(Ring::Polls),
            look_ups: pace::Pace::new(Ring::LookUps),
            departures: pace::Departures::new(PER_SECOND),
            under_way: under_way::UnderWay::default(),
            wake: Wake::default(),
            ahead_ms: AtomicI64::new(0),
            bot: tokio::sync::OnceCell::new(),
        }
    }

    /// Now, by the clock that all replicas share: the database's, where there is one for them all.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().0.saturating_add(self.ahead_ms.load(Ordering::Relaxed)))
    }

    /// Reads how far the shared clock is ahead of this machine's.
    pub async fn follow_clock(&self) -> Result<(), StoreError> {
        let Ahead { ms: ahead_ms, give_or_take_ms } = self.store.clock_ahead(|| self.clock.now()).await?;
        // What is believed stands unless the answer contradicts it: a slow one says little.
        if (self.ahead_ms.load(Ordering::Relaxed) - ahead_ms).abs() <= give_or_take_ms {
            return Ok(());
        }
        if ahead_ms.abs() >= CLOCK_OFF_MS {
            tracing::warn!(ahead_ms, "this machine's clock differs from the database's, which is followed");
        }
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        Ok(())
    }

    /// The bot's own open_id, which tells whether a group message is meant for it.
    pub async fn bot_open_id(&self) -> Result<&OpenId, CallError> {
        self.bot.get_or_try_init(|| async { Ok(self.feishu.bot_info(self.now()).await?.open_id) }).await
    }

    /// The rules in force now.
    pub fn policy(&self) -> Arc<Policy> {
        self.rules.policy()
    }

    /// A random byte, to spread retries.
    pub fn jitter(&self) -> u8 {
        let mut byte = [0];
        self.clock.random(&mut byte);
        byte[0]
    }

    /// Wakes everything that a finished transaction may have given work to, here and in other replicas.
    pub fn wake_all(&self) {
        self.wake_here();
        self.wake.replicas.notify_one();
    }

    fn wake_here(&self) {
        self.wake.letters.notify_one();
        self.wake.cards.notify_one();
        self.wake.dispatch.notify_one();
        self.wake.errands.notify_one();
        self.wake.recalls.notify_one();
    }

    /// Passes wake-ups on to the other replicas, at most one every [`NOTICE_PAUSE`]. Never ends.
    pub async fn tell_replicas(&self) {
        loop {
            self.wake.replicas.notified().await;
            if let Err(error) = self.store.tell_replicas().await {
                tracing::debug!(%error, "the other replicas will find it by polling");
            }
            tokio::time::sleep(NOTICE_PAUSE).await;
        }
    }

    /// Wakes this replica when another one says so. Ends at once where there is only one.
    pub async fn hear_replicas(&self) {
        loop {
            match self.store.listen().await {
                Ok(None) => return,
                Ok(Some(mut ear)) => {
                    while ear.next().await.is_ok() {
                        self.wake.inbox.notify_one();
                        self.wake_here();
                    }
                }
                Err(error) => tracing::debug!(%error, "no notices from other replicas for the moment"),
            }
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }
}
