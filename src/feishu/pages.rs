//! Lists that come in pages.
//!
//! Page tokens live for a short while only, so a listing that breaks off at one is begun anew, once. The list may change
//! between two pages and show an item twice; whoever minds takes the second away. Source: the paging parameters of the
//! contact v3 pages.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde_json::Value;

use super::answer::Answer;
use super::client::{Ask, Feishu};
use super::error::CallError;
use super::wire::{list, text_or_empty};
use crate::domain::ids::Timestamp;

/// Items on a page: the most that any listing of contact v3 gives.
const PAGE_SIZE: &str = "50";

/// In whose name a list is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum By<'a> {
    App(Timestamp),
    Person(Timestamp, &'a SecretString),
}

impl By<'_> {
    /// The same a while later.
    fn after(self, wait: Duration) -> Self {
        match self {
            Self::App(now) => Self::App(now.after(wait)),
            Self::Person(now, token) => Self::Person(now.after(wait), token),
        }
    }
}

/// What was read of a list.
#[derive(Debug)]
pub(super) struct Listed<T> {
    /// In Feishu's order.
    pub items: Vec<T>,
    /// Set where the end was not reached: what to say to those who need the whole list.
    pub cut: Option<CallError>,
}

impl<T> Listed<T> {
    /// The items, if these are all.
    pub fn whole(self) -> Result<Vec<T>, CallError> {
        self.cut.map_or(Ok(self.items), Err)
    }
}

impl Feishu {
    /// Reads a list to its end, or `pages_max` pages of it; `item` may pass over what is of no use.
    pub(super) async fn list<T>(
        &self,
        by: By<'_>,
        ask: &Ask<'_>,
        pages_max: usize,
        item: impl Fn(&Value) -> Option<T>,
    ) -> Result<Listed<T>, CallError> {
        let began = Instant::now();
        match self.list_once(by, ask, pages_max, &item).await {
            Err(PageError { error, page }) if page > 0 && matches!(error.code(), Some(40012 | 48001)) => {
                let by = by.after(began.elapsed());
                self.list_once(by, ask, pages_max, &item).await.map_err(|PageError { error, .. }| error)
            }
            listed => listed.map_err(|PageError { error, .. }| error),
        }
    }

    async fn list_once<T>(
        &self,
        by: By<'_>,
        ask: &Ask<'_>,
        pages_max: usize,
        item: impl Fn(&Value) -> Option<T>,
    ) -> Result<Listed<T>, PageError> {
        let began = Instant::now();
        let mut items = vec![];
        let (mut cut, mut page_token) = (None, String::new());
        for page in 0..pages_max {
            let mut ask = ask.clone().with("page_size", PAGE_SIZE);
            if !page_token.is_empty() {
                ask = ask.with("page_token", &page_token);
            }
            let answer =
                self.ask_page(by.after(began.elapsed()), &ask).await.map_err(|error| PageError { error, page })?;
            let listed = ask.call.items().iter().flat_map(|part| list(&answer.body, part));
            items.extend(listed.filter_map(&item));
            if answer.body.pointer("/data/has_more").and_then(Value::as_bool) != Some(true) {
                return Ok(Listed { items, cut: None });
            }
            let next = text_or_empty(&answer.body, "/data/page_token");
            let stuck = next.is_empty() || next == page_token;
            page_token = next;
            cut = Some(answer.incomplete());
            if stuck {
                break;
            }
        }
        Ok(Listed { items, cut })
    }

    async fn ask_page(&self, by: By<'_>, ask: &Ask<'_>) -> Result<Answer, CallError> {
        match by {
            By::App(now) => self.ask_as_app(now, ask).await,
            By::Person(now, token) => self.ask_as_person(now, ask, token).await,
        }
    }
}

struct PageError {
    error: CallError,
    page: usize,
}
