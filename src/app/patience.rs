//! Writing what cannot be had a second time: the answer to a call that was made.

use std::time::Duration;

use super::App;
use crate::store::StoreError;

/// The first pause between two tries, and how long the pauses become.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Tries to write for as long as `at_most`, while the claim holds: `once` says whether it wrote, and not where the claim
/// was lost. `what` is for the log.
///
/// # Errors
/// `Conflict` when the claim was lost, else what the last try ended with.
pub(super) async fn written<Once: Future<Output = Result<bool, StoreError>>>(
    app: &App,
    what: &str,
    at_most: Duration,
    once: impl Fn() -> Once,
) -> Result<(), StoreError> {
    let began = app.now();
    let mut pause = PAUSE;
    loop {
        match once().await {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(StoreError::Conflict),
            // What cannot be read now cannot be read a moment later.
            Err(error) if app.now().since(began) < at_most && !matches!(error, StoreError::Unreadable(_)) => {
                if pause < PAUSE_MAX {
                    tracing::warn!(%error, what, "not written yet");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(error) => return Err(error),
        }
    }
}
