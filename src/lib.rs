//! feishu-broadcast tells the right colleagues something, safely.
//!
//! # The floors
//!
//! A room calls rooms on its own floor or below, never above; `feishu` and `store` are neighbours who have not met.
//! `tests/story/house.rs` reads every path in here and holds it to that.
//!
//! | floor | room | what lives there |
//! | --- | --- | --- |
//! | 5 | [`config`], [`bot`], [`audit`], [`check`], `main` | settings checked once; everything put together, started, stopped politely; the audit chain, checked and printed; a deployment, looked at from outside |
//! | 4 | [`web`] | HTTP in: bytes to verified events; nothing is decided here |
//! | 3 | [`app`] | the shell: one step per file, intent, deed, outcome; the only room that asks what time it is |
//! | 2 | [`feishu`] | one partner: sealing, events, calls, tokens, and what its errors allow |
//! | 2 | [`store`] | one memory: rows to values, short transactions, plain SQL |
//! | 1 | [`view`] | everything the bot says, in two languages; pure |
//! | 0 | [`domain`] | commands, audience, plan, approval, batches, report; values and moves, nothing to await |
//!
//! # The walk of one broadcast
//!
//! 1. **Door.** [`web::feishu`] reads at most 1 MiB; [`feishu::envelope`] checks signature, seal, token and app;
//!    [`store::inbox`] keeps the event under one key, a repeat is a no-op. Only then 200.
//! 2. **Desk.** [`app::inbox`] takes the row; [`domain::command`] turns the words into a command or a mistake with its
//!    place; [`domain::policy`] says whether this person may.
//! 3. **Draft.** [`app::request`] makes it of two halves. [`app::content`] gathers what is to be said (typed, replied
//!    to, pasted; images become the bot's own) and [`domain::lint`] looks through it. [`app::audience`] resolves whom it
//!    is for: [`app::directory`] finds departments with the author's own rights (several of a name: ask, never guess),
//!    [`app::list`] reads a file, [`app::people`] and [`domain::audience`] drop whoever is named twice. [`domain::plan`]
//!    makes batches of at most 200 ids; broadcast, ledger and the cards owed are written in one transaction, together
//!    with the end of the event.
//! 4. **Approval.** A press comes through the same door; [`app::press`] decides it in one transaction
//!    ([`domain::broadcast`] knows the moves) and answers with a toast. [`app::cards`] brings every copy up to date
//!    afterwards.
//! 5. **Dispatch.** [`app::dispatch`] takes the next batch, writes `sending`, checks that the bytes are the approved
//!    ones, calls `batch_send` once, writes the outcome. What nobody can know is in doubt until a person decides.
//! 6. **Report.** [`app::progress`] asks how many were reached and how many read; [`domain::report`] adds up;
//!    [`view::result`] names every invalid id; [`app::letters`] sends the news. [`app::recall`] takes back what was sent,
//!    [`app::correct`] proposes what goes out in its place.
//!
//! # What is always true
//!
//! - A 200 to an event means that it is on disk. Whatever follows is a row before it is a deed.
//! - Nothing leaves that is not in the ledger, approved, with the fingerprint that was approved.
//! - A call whose outcome is unknown is never repeated by the machine.
//! - After a long silence, or on another database than a moment ago, nothing leaves before its author was asked
//!   ([`app::life`]).
//! - No lock and no transaction is held while the network thinks.
//! - Whatever was decided, and every call, is a row of the audit chain ([`store::audit`]), written in the transaction
//!   that does it; [`domain::audit::verify`] finds any later change.
//! - Time and chance come in through [`app::clock::Clock`]; secrets live in `SecretString` and are printed nowhere.

pub mod app;
pub mod audit;
pub mod bot;
pub mod check;
pub mod config;
pub mod domain;
pub mod feishu;
pub mod store;
pub mod view;
pub mod web;
