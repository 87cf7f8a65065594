//! The loops around the steps: each runs its step until there is nothing to do, then sleeps until it is woken or the
//! time to look again has come. Stopping lets every step that has begun finish.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::dispatch::Turn;
use super::{
    App, Step, cards, dispatch, errands, gauges, inbox, letters, life, progress, recall, rosters, rules, tidy, tighten,
};
use crate::store::StoreError;

/// How long a loop sleeps when nobody wakes it: what became due meanwhile waits at most this long.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How often deadlines are looked at.
const TIDY_EVERY: Duration = Duration::from_secs(2);

/// How often the bot says that it is alive: the longest that `/readyz` takes to notice a store that takes no writes,
/// beside the wait for the write itself.
const BEAT_EVERY: Duration = Duration::from_secs(2);

/// How often the policy file is looked at, whether a list of people has to be read, and whether either is new to what is
/// pending.
const RULES_EVERY: Duration = Duration::from_secs(3);

/// How often old memories are forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The pause after a step that failed, so that a store that is gone is not hammered.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How often the database's clock is read, where replicas share one.
const CLOCK_EVERY: Duration = Duration::from_secs(30);

/// How often what waits is looked at, where the numbers are read: as often as Prometheus usually comes.
const GAUGES_EVERY: Duration = Duration::from_secs(15);

/// Loops for each kind of work. Events of different people go side by side; one person's stay in order.
const INBOX_LOOPS: usize = 4;

/// Calls of `batch_send` under way at a time: enough to keep 50 a second with answers that take most of a second.
const SENDS_MAX: usize = 40;

const LETTER_LOOPS: usize = 2;
const CARD_LOOPS: usize = 3;

/// Batches that are asked back side by side: people read on while they wait.
const RECALL_LOOPS: usize = 4;

/// The running loops.
pub struct Workers {
    stop: watch::Sender<bool>,
    loops: JoinSet<()>,
}

impl Workers {
    pub fn start(app: &Arc<App>) -> Self {
        app.departures.begin(app.now());
        let (stop, stopped) = watch::channel(false);
        let mut loops = JoinSet::new();
        let mut add = |kind: Kind, count: usize| {
            for _ in 0..count {
                loops.spawn(run(Arc::clone(app), kind, stopped.clone()));
            }
        };
        add(Kind::Inbox, INBOX_LOOPS);
        add(Kind::Letters, LETTER_LOOPS);
        add(Kind::Cards, CARD_LOOPS);
        add(Kind::Recall, RECALL_LOOPS);
        add(Kind::Progress, 1);
        add(Kind::Tidy, 1);
        add(Kind::Life, 1);
        add(Kind::Prune, 1);
        add(Kind::Clock, 1);
        add(Kind::Rules, 1);
        add(Kind::Rosters, 1);
        add(Kind::Tighten, 1);
        loops.spawn(with_replicas(Arc::clone(app), stopped.clone()));
        loops.spawn(errands_in_turn(Arc::clone(app), stopped.clone()));
        loops.spawn(dispatch_side_by_side(Arc::clone(app), stopped));
        Self { stop, loops }
    }

    /// Looks now and then at what waits, for somebody who reads the numbers.
    pub fn watch(&mut self, app: &Arc<App>) {
        self.loops.spawn(run(Arc::clone(app), Kind::Gauges, self.stop.subscribe()));
    }

    /// No new work is begun; what has begun finishes, for at most `patience`. Returns whether all of it did.
    pub async fn stop(mut self, patience: Duration) -> bool {
        // Nobody listens only when every loop has ended already.
        let _ended = self.stop.send(true);
        let all = async { while self.loops.join_next().await.is_some() {} };
        tokio::time::timeout(patience, all).await.is_ok()
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Inbox,
    Dispatch,
    Letters,
    Cards,
    Errands,
    Recall,
    Progress,
    Tidy,
    Life,
    Prune,
    Clock,
    Rules,
    Rosters,
    Tighten,
    Gauges,
}

impl Kind {
    const STEPS: [Kind; 12] = [
        Kind::Life,
        Kind::Rules,
        Kind::Rosters,
        Kind::Tighten,
        Kind::Inbox,
        Kind::Dispatch,
        Kind::Errands,
        Kind::Recall,
        Kind::Letters,
        Kind::Cards,
        Kind::Progress,
        Kind::Tidy,
    ];

    /// Boxed: a step has kilobytes of its own, and whoever waits for one has no room for all of them.
    fn step(self, app: &App) -> BoxFuture<'_, Result<Step, StoreError>> {
        match self {
            Kind::Inbox => inbox::step(app).boxed(),
            Kind::Dispatch => dispatch::step(app).boxed(),
            Kind::Letters => letters::step(app).boxed(),
            Kind::Cards => cards::step(app).boxed(),
            Kind::Errands => errands::step(app).boxed(),
            Kind::Recall => recall::step(app).boxed(),
            Kind::Progress => progress::step(app).boxed(),
            Kind::Tidy => tidy::step(app).boxed(),
            Kind::Life => life::beat(app).map_ok(|()| Step::Idle).boxed(),
            Kind::Prune => tidy::prune(app).map_ok(|()| Step::Idle).boxed(),
            Kind::Rules => rules::step(app).map(Ok).boxed(),
            Kind::Rosters => rosters::step(app).boxed(),
            Kind::Tighten => tighten::step(app).boxed(),
            Kind::Gauges => gauges::step(app).boxed(),
            Kind::Clock => app.follow_clock().map_ok(|()| Step::Idle).boxed(),
        }
    }

    fn wake(self, app: &App) -> Option<&Notify> {
        match self {
            Kind::Inbox => Some(&app.wake.inbox),
            Kind::Dispatch => Some(&app.wake.dispatch),
            Kind::Letters => Some(&app.wake.letters),
            Kind::Cards => Some(&app.wake.cards),
            Kind::Errands => Some(&app.wake.errands),
            Kind::Recall => Some(&app.wake.recalls),
            Kind::Progress
            | Kind::Tidy
            | Kind::Life
            | Kind::Prune
            | Kind::Clock
            | Kind::Rules
            | Kind::Rosters
            | Kind::Tighten
            | Kind::Gauges => None,
        }
    }

    fn look_again(self) -> Duration {
        match self {
            Kind::Inbox
            | Kind::Dispatch
            | Kind::Letters
            | Kind::Cards
            | Kind::Errands
            | Kind::Recall
            | Kind::Progress => LOOK_AGAIN,
            Kind::Tidy => TIDY_EVERY,
            Kind::Life => BEAT_EVERY,
            Kind::Prune => PRUNE_EVERY,
            Kind::Clock => CLOCK_EVERY,
            Kind::Rules | Kind::Rosters | Kind::Tighten => RULES_EVERY,
            Kind::Gauges => GAUGES_EVERY,
        }
    }
}

/// Wakes the other replicas and is woken by them.
async fn with_replicas(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let both = async { tokio::join!(app.tell_replicas(), app.hear_replicas()) };
    tokio::select! {
        _ = both => {}
        _ = stopped.changed() => {}
    }
}

/// Batches are taken one after the other, at the pace of the platform, and sent side by side. Stopping gives up the
/// wait for a turn, never a batch that was taken.
async fn dispatch_side_by_side(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let mut sends = JoinSet::new();
    while !*stopped.borrow() {
        while sends.len() >= SENDS_MAX {
            sends.join_next().await;
        }
        while sends.try_join_next().is_some() {}
        let turn = tokio::select! {
            turn = guarded(Kind::Dispatch, dispatch::turn(&app)) => turn,
            _ = stopped.changed() => break,
        };
        let taken = match turn {
            Ok(Turn::Go(reserved)) => guarded(Kind::Dispatch, dispatch::take(&app, reserved)).await,
            Ok(Turn::Nothing) => Ok(None),
            Err(error) => Err(error),
        };
        let pause = match taken {
            Ok(Some(claimed)) => {
                let app = Arc::clone(&app);
                sends.spawn(async move {
                    if let Err(error) = guarded(Kind::Dispatch, dispatch::send(&app, claimed)).await {
                        tracing::error!(%error, "an outcome is not written; its batch will be in doubt");
                    }
                });
                continue;
            }
            Ok(None) => LOOK_AGAIN,
            Err(error) => {
                tracing::warn!(%error, "no batch could be taken");
                AFTER_FAILURE
            }
        };
        rest(&app, Kind::Dispatch, pause, &mut stopped).await;
    }
    while sends.join_next().await.is_some() {}
}

/// Errands one after the other. Stopping gives up a sample's wait for its turn, never one that was taken.
async fn errands_in_turn(app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let turn = tokio::select! {
            turn = guarded(Kind::Errands, errands::turn(&app)) => turn,
            _ = stopped.changed() => break,
        };
        let done = match turn {
            Ok(Some(turn)) => guarded(Kind::Errands, errands::take(&app, turn)).await,
            Ok(None) => Ok(Step::Idle),
            Err(error) => Err(error),
        };
        if let Some(pause) = pause_after(Kind::Errands, done) {
            rest(&app, Kind::Errands, pause, &mut stopped).await;
        }
    }
}

async fn run(app: Arc<App>, kind: Kind, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        // What is decided by time alone is decided by the time that all replicas share.
        if matches!(kind, Kind::Life | Kind::Tidy)
            && let Err(error) = app.follow_clock().await
        {
            tracing::warn!(%error, "the shared clock cannot be read");
        }
        if let Some(pause) = pause_after(kind, guarded(kind, kind.step(&app)).await) {
            rest(&app, kind, pause, &mut stopped).await;
        }
    }
}

/// How long a loop sleeps after a step, if at all.
fn pause_after(kind: Kind, done: Result<Step, StoreError>) -> Option<Duration> {
    match done {
        Ok(Step::Worked) => None,
        Ok(Step::Idle) => Some(kind.look_again()),
        Err(error) => {
            tracing::warn!(?kind, %error, "a step failed and will be repeated");
            Some(AFTER_FAILURE)
        }
    }
}

/// Sleeps, until somebody wakes this kind of work or everything stops.
async fn rest(app: &App, kind: Kind, pause: Duration, stopped: &mut watch::Receiver<bool>) {
    let woken = async {
        match kind.wake(app) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = woken => {}
        () = tokio::time::sleep(pause) => {}
        _ = stopped.changed() => {}
    }
}

/// A step that panics counts as failed; its lease runs out and the work is found again.
async fn guarded<T>(kind: Kind, step: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match AssertUnwindSafe(step).catch_unwind().await {
        Ok(done) => done,
        Err(_) => {
            metrics::counter!("feishu_broadcast_panics_total").increment(1);
            tracing::error!(?kind, "a step panicked");
            Err(StoreError::Unavailable)
        }
    }
}

/// Runs every step once, in order. For whoever cranks by hand instead of starting the loops.
pub async fn work_once(app: &App) -> Result<Step, StoreError> {
    let mut worked = Step::Idle;
    for kind in Kind::STEPS {
        if kind.step(app).await? == Step::Worked {
            worked = Step::Worked;
        }
    }
    Ok(worked)
}
