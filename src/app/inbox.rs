//! Takes one stored event and hands it to the right desk.
//!
//! Whatever a desk decides is written in one transaction together with the end of the event: either all of it is there
//! or the event is worked on again. A failure that may pass puts the event back, tells its author once, and tries
//! again with growing pauses; in the end the author is told that nothing was done.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::Instrument;

use super::asked::Request;
use super::letters::answer_both;
use super::{App, LEASE, RENEW_EVERY, Step, Trouble, authorize, check, commands, menu, on_event, recalled, request};
use crate::domain::command::{self, Command, CommandErrorKind, CommandName, Said};
use crate::domain::language::Language;
use crate::domain::policy::{Deed, Roles};
use crate::feishu::error::Class;
use crate::feishu::event::{ChatKind, Event, EventKey, EventKind, MessageBody, MessageReceived};
use crate::store::inbox::Claim;
use crate::store::{StoreError, Tx};
use crate::view::{Text, answers, help, result, trouble as said};

/// How long an event is tried again, from its first failure on: after that its author hardly waits for it any more. And how
/// often at least: a machine that was off for hours may be up before its network is.
const GIVE_UP_AFTER: Duration = Duration::from_secs(2 * 3600);
const FAILURES_MIN: i64 = 8;

/// Pauses between tries grow from the one to the other: when Feishu is back, nobody waits long to see it.
const PAUSE_MIN: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Tries in a row that came to no end, since the program did, the work took too long or others were faster each time: what
/// kills the program must not do so for ever.
const UNENDED_MAX: i64 = 12;

/// After this the work is dropped and begun anew: ten minutes, far beyond the longest search.
const RENEWALS_MAX: u32 = 40;

/// Does at most one event. Safe to call from any replica at any time.
pub async fn step(app: &App) -> Result<Step, StoreError> {
    let now = app.now();
    let Some(mut claim) = app.store.claim_event(now, now.after(LEASE)).await? else { return Ok(Step::Idle) };
    let event = Event::parse(claim.body.as_bytes()).ok();
    claim.ends_as = event.as_ref().and_then(ends_as).filter(|key| *key != claim.key);
    let working = async {
        tokio::select! {
            worked = work(app, &claim, event) => worked,
            () = keep(app, &claim) => Err(Trouble::Store(StoreError::Conflict)),
        }
    };
    let worked = working.instrument(on_event(&claim.key)).await;
    match worked {
        Ok(()) => {}
        Err(Trouble::Store(StoreError::Conflict)) => {
            // Somebody changed what was read, or the lease was lost. Where it is still ours, it is tried again at once.
            let _lost = app.store.begin_event_anew(&claim, now.after(Duration::from_millis(200))).await;
        }
        Err(trouble) => postpone(app, &claim, &trouble).await?,
    }
    Ok(Step::Worked)
}

/// Under which an event is remembered once something came of it: a message that is pushed again with another time has
/// another key at the door, and comes as far as here.
fn ends_as(event: &Event) -> Option<String> {
    match &event.kind {
        EventKind::Message(message) => Some(EventKey::of_worked_on(&message.message_id).to_string()),
        _ => None,
    }
}

/// Whether something came of the same event under another key; then it ends here.
async fn ended_before(app: &App, claim: &Claim) -> Result<bool, StoreError> {
    let Some(key) = &claim.ends_as else { return Ok(false) };
    if app.store.remembered(key).await?.is_none() {
        return Ok(false);
    }
    tracing::info!(key = claim.key, "a message came again, with another time");
    app.store.drop_event(claim).await?;
    Ok(true)
}

async fn work(app: &App, claim: &Claim, event: Option<Event>) -> Result<(), Trouble> {
    match event {
        Some(_) if claim.attempts > UNENDED_MAX => abandon(app, claim).await.map_err(|error| {
            tracing::warn!(key = claim.key, %error, "an event cannot be given up yet");
            // No failure of the work: that would begin the count anew.
            Trouble::Store(StoreError::Conflict)
        }),
        Some(event) => desk(app, claim, event).await,
        None => {
            tracing::error!(key = claim.key, "a stored event cannot be read any more");
            Ok(app.store.drop_event(claim).await?)
        }
    }
}

/// Says every now and then that an event is being worked on, beside the work itself. Returns when that is not true any
/// more: the lease is lost, or the work takes longer than anything should.
async fn keep(app: &App, claim: &Claim) {
    for _ in 0..RENEWALS_MAX {
        tokio::time::sleep(RENEW_EVERY).await;
        match app.store.renew_event(claim, app.now().after(LEASE)).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, key = claim.key, "a lease could not be renewed"),
        }
    }
}

async fn desk(app: &App, claim: &Claim, event: Event) -> Result<(), Trouble> {
    match event.kind {
        EventKind::Message(message) => message_desk(app, claim, &message).await,
        EventKind::TokenRevoked { open_id, .. } => {
            let Some(person) = open_id else { return Ok(app.store.drop_event(claim).await?) };
            // Once and for all: done again later, it might take away what was authorized since.
            let mut tx = app.store.begin().await?;
            authorize::revoked(&mut tx, &person, event.created_at, app.now()).await?;
            tx.finish_event(claim).await?;
            Ok(tx.commit().await?)
        }
        EventKind::MessageRecalled { message_id } => recalled::desk(app, claim, &message_id).await,
        EventKind::Menu { person, key } => menu::desk(app, claim, &person, &key).await,
        EventKind::Entered { person } => menu::greet(app, claim, &person).await,
        EventKind::CardAction(_) | EventKind::Unknown => Ok(app.store.drop_event(claim).await?),
    }
}

/// Whether what was written tells the language of its writer. What is broadcast may be in a language for others: of
/// somebody who has done nothing else, Chinese is the better guess than both.
fn learns(command: Option<CommandName>, written: Language, remembered: Option<Language>) -> bool {
    match command {
        Some(CommandName::Broadcast) => written == Language::Zh && remembered.is_none(),
        _ => remembered != Some(written),
    }
}

async fn message_desk(app: &App, claim: &Claim, message: &MessageReceived) -> Result<(), Trouble> {
    // Where nobody is mentioned, the bot is not.
    if message.chat == ChatKind::Group && message.mentions.is_empty() {
        return Ok(app.store.drop_event(claim).await?);
    }
    if ended_before(app, claim).await? || recalled::before(app, claim, message).await? {
        return Ok(());
    }
    let bot = match message.chat {
        ChatKind::Group => Some(app.bot_open_id().await?),
        // In private only a mention of the bot itself makes its open_id matter, and the answer does not hang on it.
        ChatKind::OneToOne if !message.mentions.is_empty() => app.bot_open_id().await.ok(),
        ChatKind::OneToOne => app.bot.get(),
    };
    if message.chat == ChatKind::Group && !message.mentions.iter().any(|mention| mention.open_id.as_ref() == bot) {
        return Ok(app.store.drop_event(claim).await?);
    }
    let roles = app.policy().roles(&message.sender);
    if roles.is_stranger() {
        // A role was taken away after the event had been accepted.
        return Ok(app.store.drop_event(claim).await?);
    }
    let remembered = app.store.language_of(&message.sender).await?;
    let written = Language::of(&message.plain());
    let request = Request { app, claim, message, language: written.or(remembered) };
    let body = match &message.said {
        MessageBody::Said(body) => body,
        // Recalled before it arrived: there is nothing to answer.
        MessageBody::Empty => return Ok(app.store.drop_event(claim).await?),
        MessageBody::Other { message_type } => {
            return request.finish_with(&answers::cannot_read(message_type)).await;
        }
    };
    if claim.waited_in_vain && app.store.authorization(request.person()).await?.is_none() {
        return request.finish_with(&answers::waited_in_vain()).await;
    }
    let parsed = command::parse(&Said { body, mentions: &message.mentions, bot });
    let named = parsed.as_ref().map_or_else(|error| error.command, |command| Some(command.name()));
    if let Some(language) = written.filter(|written| learns(named, *written, remembered)) {
        app.store.remember_language(request.person(), language).await?;
    }
    let command = match parsed {
        Ok(command) => command,
        Err(error) => {
            let said = if matches!(error.kind, CommandErrorKind::NotACommand) {
                help::help(roles, None)
            } else {
                help::mistake(&error)
            };
            return request.finish_with(&said).await;
        }
    };
    if let Err(denied) = app.policy().may(request.person(), &Deed::Command(command.name())) {
        return request.finish_with(&help::denied(&denied)).await;
    }
    serve(&request, command, roles).await
}

/// Boxed: of all the commands one is at work, and only that one takes room.
fn serve<'a>(request: &'a Request<'_>, command: Command, roles: Roles) -> BoxFuture<'a, Result<(), Trouble>> {
    match command {
        Command::Broadcast(asked) => request::broadcast(request, asked).boxed(),
        Command::Status(id) => commands::status(request, id).boxed(),
        Command::List(filter) => commands::list(request, filter).boxed(),
        Command::Cancel(id) => async move { commands::cancel(request, &id).await }.boxed(),
        Command::Recall(id, batch) => async move { commands::recall(request, &id, batch).await }.boxed(),
        Command::Departments(keyword) => async move { commands::departments(request, &keyword).await }.boxed(),
        Command::Login => commands::login(request).boxed(),
        Command::Logout => commands::logout(request).boxed(),
        Command::WhoAmI => commands::whoami(request, roles).boxed(),
        Command::Check => check::check(request).boxed(),
        Command::Help(about) => commands::help(request, roles, about).boxed(),
    }
}

/// Gives up an event whose work came to no end, time and again.
async fn abandon(app: &App, claim: &Claim) -> Result<(), StoreError> {
    if ended_before(app, claim).await? {
        return Ok(());
    }
    tracing::error!(key = claim.key, attempts = claim.attempts, "an event is given up: the work on it never ended");
    let mut tx = app.store.begin().await?;
    tell(app, &mut tx, claim, "gave-up", &answers::gave_up(&said::no_end())).await?;
    tx.give_up_event(claim).await?;
    tx.commit().await?;
    app.wake_all();
    Ok(())
}

/// Says a word to whoever wrote what an event brought, once for each purpose, where the bot can.
async fn tell(app: &App, tx: &mut Tx, claim: &Claim, purpose: &str, text: &Text) -> Result<(), StoreError> {
    match message_of(claim).filter(|message| may_be_told(app, message)) {
        Some(message) => tx.post(&answer_both(&message, purpose, text), app.now()).await,
        None => Ok(()),
    }
}

/// Puts an event back, or gives it up when it has been tried for long enough.
async fn postpone(app: &App, claim: &Claim, trouble: &Trouble) -> Result<(), StoreError> {
    let now = app.now();
    let (may_pass, after) = match trouble {
        Trouble::Store(_) => (true, None),
        Trouble::Feishu(error) => match error.class() {
            Class::Retry { after } => (true, after),
            // A token that was renewed and refused again: a person's is dealt with where it is used, the app's recovers.
            Class::Reauthenticate | Class::Unknown => (true, None),
            Class::FixSetup | Class::Permanent => (false, None),
        },
    };
    let failing_for = claim.failing_since.map(|since| now.since(since));
    tracing::warn!(key = claim.key, ?failing_for, may_pass, error = %trouble, "an event could not be worked on");
    // Where the bot cannot say a word yet, it tries for as long as with what may pass: a setup is mended, too.
    let is_mute = message_of(claim).is_some_and(|message| !may_be_told(app, &message));
    let long_enough = failing_for.is_some_and(|long| long >= GIVE_UP_AFTER) && claim.failed >= FAILURES_MIN;
    let mut tx = app.store.begin().await?;
    if !(may_pass || is_mute) || long_enough {
        tell(app, &mut tx, claim, "gave-up", &answers::gave_up(&why(trouble))).await?;
        tx.give_up_event(claim).await?;
    } else {
        // The store is back by the time it could say that it was away.
        if let Trouble::Feishu(_) = trouble {
            tell(app, &mut tx, claim, "trying-again", &answers::trying_again(&why(trouble))).await?;
        }
        let pause = failing_for.unwrap_or_default().clamp(PAUSE_MIN, PAUSE_MAX);
        // Never shorter than Feishu asked for.
        tx.postpone_event(claim, now, now.after(pause.max(after.unwrap_or_default()))).await?;
    }
    tx.commit().await?;
    app.wake_all();
    Ok(())
}

/// The message that an event brought, if it is one.
fn message_of(claim: &Claim) -> Option<MessageReceived> {
    match Event::parse(claim.body.as_bytes()).ok()?.kind {
        EventKind::Message(message) => Some(message),
        _ => None,
    }
}

/// Whether its writer may hear of trouble; no word into a group before the bot knows that it was meant.
fn may_be_told(app: &App, message: &MessageReceived) -> bool {
    message.chat != ChatKind::Group || app.bot.get().is_some()
}

/// What a person should know of a failure.
fn why(trouble: &Trouble) -> Text {
    match trouble {
        Trouble::Store(_) => said::store_busy(),
        Trouble::Feishu(error) => match error.code() {
            Some(code) => {
                let scopes = result::scopes(error.scopes().iter().map(String::as_str));
                Text::lines(&[Some(crate::view::advice(code)), scopes].into_iter().flatten().collect::<Vec<_>>())
            }
            None => said::feishu_silent(),
        },
    }
}
