//! The loops around the steps: each runs its step until there is nothing to do, then sleeps until it is woken or the
//! time to look again has come. Stopping lets every step that has begun finish.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::{App, Step, cards, dispatch, inbox, letters, progress, tidy};
use crate::store::StoreError;

/// How long a loop sleeps when nobody wakes it: what became due meanwhile waits at most this long.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How often deadlines are looked at.
const TIDY_EVERY: Duration = Duration::from_secs(2);

/// How often old memories are forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// The pause after a step that failed, so that a store that is gone is not hammered.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Loops for each kind of work. Events of different people and batches of different broadcasts go side by side; within
/// one person and one broadcast the store keeps the order.
const INBOX_LOOPS: usize = 4;
const DISPATCH_LOOPS: usize = 4;
const LETTER_LOOPS: usize = 2;
const CARD_LOOPS: usize = 3;

/// The running loops.
pub struct Workers {
    stop: watch::Sender<bool>,
    loops: JoinSet<()>,
}

impl Workers {
    pub fn start(app: &Arc<App>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut loops = JoinSet::new();
        let mut add = |kind: Kind, count: usize| {
            for _ in 0..count {
                loops.spawn(run(Arc::clone(app), kind, stopped.clone()));
            }
        };
        add(Kind::Inbox, INBOX_LOOPS);
        add(Kind::Dispatch, DISPATCH_LOOPS);
        add(Kind::Letters, LETTER_LOOPS);
        add(Kind::Cards, CARD_LOOPS);
        add(Kind::Progress, 1);
        add(Kind::Tidy, 1);
        add(Kind::Prune, 1);
        Self { stop, loops }
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
    Progress,
    Tidy,
    Prune,
}

impl Kind {
    const STEPS: [Kind; 6] = [Kind::Inbox, Kind::Dispatch, Kind::Letters, Kind::Cards, Kind::Progress, Kind::Tidy];

    async fn step(self, app: &App) -> Result<Step, StoreError> {
        match self {
            Kind::Inbox => inbox::step(app).await,
            Kind::Dispatch => dispatch::step(app).await,
            Kind::Letters => letters::step(app).await,
            Kind::Cards => cards::step(app).await,
            Kind::Progress => progress::step(app).await,
            Kind::Tidy => tidy::step(app).await,
            Kind::Prune => tidy::prune(app).await.map(|()| Step::Idle),
        }
    }

    fn wake(self, app: &App) -> Option<&Notify> {
        match self {
            Kind::Inbox => Some(&app.wake.inbox),
            Kind::Dispatch => Some(&app.wake.dispatch),
            Kind::Letters => Some(&app.wake.letters),
            Kind::Cards => Some(&app.wake.cards),
            Kind::Progress | Kind::Tidy | Kind::Prune => None,
        }
    }

    fn look_again(self) -> Duration {
        match self {
            Kind::Inbox | Kind::Dispatch | Kind::Letters | Kind::Cards | Kind::Progress => LOOK_AGAIN,
            Kind::Tidy => TIDY_EVERY,
            Kind::Prune => PRUNE_EVERY,
        }
    }
}

async fn run(app: Arc<App>, kind: Kind, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let pause = match guarded(kind, &app).await {
            Ok(Step::Worked) => continue,
            Ok(Step::Idle) => kind.look_again(),
            Err(error) => {
                tracing::warn!(?kind, %error, "a step failed and will be repeated");
                AFTER_FAILURE
            }
        };
        let woken = async {
            match kind.wake(&app) {
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
}

/// A step that panics counts as failed; its lease runs out and the work is found again.
async fn guarded(kind: Kind, app: &App) -> Result<Step, StoreError> {
    match AssertUnwindSafe(kind.step(app)).catch_unwind().await {
        Ok(done) => done,
        Err(_) => {
            metrics::counter!("feishu_broadcast_panics_total").increment(1);
            tracing::error!(?kind, "a step panicked");
            Ok(Step::Idle)
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
