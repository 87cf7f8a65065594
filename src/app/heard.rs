//! What the people of an audience have received lately: the ledger of the last days, read once while a broadcast is
//! drafted. No list is kept beside the ledger, so sending costs nothing more for it.

use super::App;
use crate::domain::audience::{Audience, Question};
use crate::domain::heard::{Heard, LATELY, Tally};
use crate::domain::ids::Timestamp;
use crate::store::StoreError;

/// Counts for an audience, and for every department that may still be chosen for it.
pub async fn heard(app: &App, audience: &Audience, questions: &[Question]) -> Result<Heard, StoreError> {
    let week_ms = i64::try_from(LATELY.as_millis()).expect("a week");
    let since = Timestamp(app.now().0.saturating_sub(week_ms));
    let mut tally = Tally::of(audience, questions.iter().flat_map(|question| &question.candidates));
    app.store.each_accepted(since, |targets, invalid| tally.add(targets, invalid)).await?;
    Ok(tally.sum())
}
