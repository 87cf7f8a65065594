//! How a step dies: which moments there are, and what it is to die at one.

use std::sync::Arc;
use std::task::Poll;

use anyhow::Context;
use feishu_broadcast::app::{App, press};
use feishu_broadcast::feishu::event::{Event, EventKind};
use feishu_broadcast::store::{Engine, StoreError};

use crate::sandbox::{ChatMessage, Press};
use crate::stage::{LEASES_OVER, Stage};

/// Moments of one step before it is called endless. The longest, a repair on PostgreSQL, has 190 on an idle machine, and
/// more on a busy one, which wakes it oftener for less.
const MOMENTS_MAX: usize = 600;

/// Moments after which a short run on PostgreSQL skips twice as many, then three times as many: by then a step is making
/// one call after the other.
const MANY_MOMENTS: usize = 60;

/// One life after the other, each dying later than the one before, until the step gets through several times: an answer
/// that is there at once carries it over a place to die at, and the next life may stop there. `life` returns whether the
/// step got through alive.
///
/// The long run dies at every moment. The short one leaves out the even ones, which lead to no other state of the disk
/// than the odd ones beside them; and of those, where a step has a place to die at in every statement's journey to a
/// server and back, it takes each third, and fewer of a step that has very many.
pub(crate) async fn die_later_each_time(
    stage: &mut Stage,
    step: &str,
    life: impl AsyncFnMut(&mut Stage, usize) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    die_each(stage, step, [2, 6], life).await
}

/// The same with strides of its own for the short run: on SQLite, and on PostgreSQL.
pub(crate) async fn die_each(
    stage: &mut Stage,
    step: &str,
    [sqlite, postgres]: [usize; 2],
    mut life: impl AsyncFnMut(&mut Stage, usize) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let engine = stage.bot.app.store.engine();
    let is_long = std::env::var_os("LONG").is_some();
    let stride = |moment: usize| match engine {
        _ if is_long => 1,
        Engine::Sqlite => sqlite,
        Engine::Postgres => postgres * (1 + moment / MANY_MOMENTS),
    };
    let mut survivals = if is_long { 12 } else { 2 };
    let mut moment = usize::from(stride(0) % 2 == 0);
    while moment < MOMENTS_MAX {
        let finished = life(stage, moment).await.with_context(|| format!("{step} at moment {moment}"))?;
        survivals -= usize::from(finished);
        if survivals == 0 {
            println!("{step}: {moment} moments to die at, on {engine:?}");
            return Ok(());
        }
        moment += stride(moment);
    }
    anyhow::bail!("{step} never finished")
}

/// Polls a step `moment / 2` times and drops it, at odd moments only when it is woken once more; then starts the bot
/// again. Returns whether the step had finished.
///
/// It is polled when it is woken, by the runtime it belongs to: what the step waits for really happens in between.
pub(crate) async fn die(
    stage: &mut Stage,
    moment: usize,
    step: impl AsyncFnOnce(Arc<App>) -> Result<(), StoreError>,
) -> anyhow::Result<bool> {
    let finished = {
        let mut step = std::pin::pin!(step(Arc::clone(&stage.bot.app)));
        let (mut left, late) = (moment / 2, !moment.is_multiple_of(2));
        let done = std::future::poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
            match step.as_mut().poll(context) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending if left == 0 && !late => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        done.await.transpose()?.is_some()
    };
    stage.restart().await?;
    if stage.bot.app.store.engine() == Engine::Postgres {
        // Other replicas might hold what the dead one held: it is free when the leases are over.
        stage.tenant.later(LEASES_OVER).await;
    }
    Ok(finished)
}

/// Dies while a press is decided: one that goes to the desk directly, and has no toast.
pub(crate) async fn die_pressing(
    stage: &mut Stage,
    moment: usize,
    name: &str,
    card: &ChatMessage,
    press: impl Into<Press>,
) -> anyhow::Result<bool> {
    let (event, _) = stage.person(name).press_event(&card.message_id, &press.into()).map_err(anyhow::Error::msg)?;
    let event = Event::parse(event.body.to_string().as_bytes())?;
    let EventKind::CardAction(action) = event.kind else { anyhow::bail!("no press") };
    let key = event.key.to_string();
    die(stage, moment, async move |app| press::press(&app, &key, &action).await.map(drop)).await
}
