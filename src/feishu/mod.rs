//! Floor 2: Feishu, spoken to in one place.
//!
//! Two directions. Inwards, pure bytes to values: [`envelope`] lets a push in (with [`crypto`] at its side) and
//! [`event`] says what it means. Outwards, [`client`] makes the calls ([`messages`], [`media`], [`batch`], [`contacts`],
//! [`people`], [`rosters`], [`oauth`], [`setup`]; those with the app's secret go through [`secret`]), `answer` reads what comes back and `pages` what comes in pages, [`token`] keeps the app's
//! access token, [`error`] and [`codes`] decide what a failure allows the machine to do, and [`crate::view::advice`] says
//! what a person should click. [`content`] reads what a message holds, whichever way it came.
//!
//! Nothing here asks a clock what time it is (a stopwatch times calls for the log), touches the store or decides about
//! a broadcast; `now` is always passed in. Facts about the wire come from the server documentation of the Feishu Open
//! Platform.

pub mod batch;
pub mod client;
pub mod codes;
pub mod contacts;
pub mod content;
pub mod crypto;
pub mod envelope;
pub mod error;
pub mod event;
pub mod media;
pub mod messages;
pub mod oauth;
pub mod people;
pub mod rosters;
pub mod secret;
pub mod setup;
pub mod token;

mod answer;
mod pages;
mod pauses;
mod wire;

pub use client::{Feishu, Settings};
pub use error::{CallError, Class, SendError, Verdict};
