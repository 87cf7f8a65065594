//! Questions about departments and people, thousands of them for a long list: at the platform's pace, a few at one time,
//! and each asked again when Feishu fails for a moment, so that one failure does not begin all of them anew.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::App;
use crate::feishu::error::{CallError, Class};

/// Calls at one time: an answer takes longer than the pace between two of them.
const AT_ONCE: usize = 4;

/// Tries of one call. What fails longer puts the whole command off, and its author is told.
const TRIES_MAX: u32 = 3;

/// The pause before a call is made again; where Feishu asks for a longer one, the command is put off.
const PAUSE: Duration = Duration::from_millis(500);

/// Makes one call.
///
/// # Errors
/// [`CallError`], at once where trying again is of no use.
pub async fn ask<T, Answer>(app: &App, call: impl Fn() -> Answer) -> Result<T, CallError>
where
    Answer: Future<Output = Result<T, CallError>>,
{
    let mut tries = 0;
    loop {
        app.look_ups.next(&app.store, || app.now()).await;
        tries += 1;
        match call().await {
            Err(error) if tries < TRIES_MAX && passes(&error) => tokio::time::sleep(PAUSE * tries).await,
            answer => return answer,
        }
    }
}

fn passes(error: &CallError) -> bool {
    matches!(error.class(), Class::Retry { after } if after.is_none_or(|after| after <= PAUSE))
}

/// Makes calls, [`AT_ONCE`] at one time; the answers in their order.
///
/// # Errors
/// The first one that fails.
pub async fn all<'a, T, E>(calls: impl Iterator<Item = BoxFuture<'a, Result<T, E>>>) -> Result<Vec<T>, E> {
    let calls: Vec<BoxFuture<'a, Result<T, E>>> = calls.collect();
    stream::iter(calls).buffered(AT_ONCE).try_collect().await
}
