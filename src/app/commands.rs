//! The desks of the small commands: look, cancel, recall, log in and out.

use serde_json::Value;

use super::asked::Request;
use super::attachments::What;
use super::directory::{self, ResolveError};
use super::in_full::attached;
use super::letters::uuid;
use super::{App, Trouble, audit, authorize, is_about, places, press, recall, terms};
use crate::domain::audit::{Deed as Done, Entry, Row};
use crate::domain::broadcast::{Broadcast, Stale};
use crate::domain::command::{CommandName, ListFilter};
use crate::domain::ids::{BroadcastId, OpenId, Timestamp};
use crate::domain::policy::{Action, Deed, Roles};
use crate::domain::report::Report;
use crate::feishu::contacts::Department;
use crate::feishu::oauth::OauthError;
use crate::store::broadcasts::Which;
use crate::store::letters::{Letter, Receiver};
use crate::store::{StoreError, Tx};
use crate::view::answers::Granted;
use crate::view::policy::{self as said_of_rules, Yours};
use crate::view::{Text, answers, cards, hand, help, recall as said, result, story, text};

/// Departments that `/departments` lists.
const DEPARTMENTS_SHOWN_MAX: usize = 20;

/// Tries of a command that finds an authorization which was not there a moment ago, before it waits for another.
const LOOKS_MAX: i64 = 3;

/// `/status [ID]`: one broadcast in full; without an id the newest one of this person, or of all.
pub async fn status(request: &Request<'_>, id: Option<BroadcastId>) -> Result<(), Trouble> {
    let app = request.app;
    let found = match &id {
        Some(id) => app.store.broadcast(id).await?,
        None => newest(app, request.person()).await?,
    };
    let Some(broadcast) = found else {
        return request.finish_with(&answers::no_such_broadcast(id.as_ref())).await;
    };
    let rows = app.store.story(&broadcast.id, story::LINES_MAX + 1).await?;
    let mut tx = app.store.begin().await?;
    let asked = request.message.message_id.as_str();
    let status = standing(app, &mut tx, request.person(), &broadcast, &rows, asked).await?;
    request.post_privately(&mut tx, &status).await?;
    tx.finish_event(request.claim).await?;
    tx.commit().await?;
    app.wake_all();
    Ok(())
}

/// The newest broadcast of a person, else of all.
pub async fn newest(app: &App, person: &OpenId) -> Result<Option<Broadcast>, StoreError> {
    let own = app.store.recent(Some(person), Which::All).await?.into_iter().next();
    match own {
        Some(own) => Ok(Some(own)),
        None => Ok(app.store.recent(None, Which::All).await?.into_iter().next()),
    }
}

/// Where a broadcast stands and how it came there, by its `rows` of the audit, in words; asks for newer numbers, and owes the file of invalid ids where there are many.
/// `asked` tells this question from others.
pub async fn standing(
    app: &App,
    tx: &mut Tx,
    person: &OpenId,
    broadcast: &Broadcast,
    rows: &[Row],
    asked: &str,
) -> Result<Text, StoreError> {
    let report = Report::of(&tx.batches(&broadcast.id).await?);
    if !report.message_ids.is_empty() {
        tx.poll_now(&broadcast.id, app.now()).await?;
    }
    if report.invalid.count() > result::INVALID_SHOWN_MAX && broadcast.state.is_settled() {
        let mut file = attached(What::Invalid, broadcast, Receiver::Person(person.clone()));
        file.uuid = uuid(&["file", asked]);
        tx.post(&file, app.now()).await?;
    }
    let said = result::status(broadcast, &report, &app.zone);
    Ok(Text::lines(&[said, story::story(broadcast, rows, &app.zone)]))
}

/// `/list`: recent broadcasts, a line each.
pub async fn list(request: &Request<'_>, filter: ListFilter) -> Result<(), Trouble> {
    let app = request.app;
    let which = match filter {
        ListFilter::Pending => Which::Undecided,
        ListFilter::Scheduled => Which::Scheduled,
        ListFilter::Recent | ListFilter::All => Which::All,
    };
    let broadcasts = app.store.recent(None, which).await?;
    if broadcasts.is_empty() {
        return request.finish_with(&answers::empty_list()).await;
    }
    request.finish_privately(&hand::list(&broadcasts, &app.store.kept_back().await?, &app.zone)).await
}

/// `/cancel ID`: stops what has not been sent yet.
pub async fn cancel(request: &Request<'_>, id: &BroadcastId) -> Result<(), Trouble> {
    let app = request.app;
    by_word(request, id, Action::Cancel, async |tx, broadcast| {
        let report = Report::of(&tx.batches(id).await?);
        let cancelled = match broadcast.clone().cancel(request.person(), &report, app.now()) {
            Ok(cancelled) => cancelled,
            Err(stale) => return Ok(Err((text::stale(&stale), stale))),
        };
        press::write_cancelled(app, tx, broadcast, cancelled, app.now()).await?;
        Ok(Ok(answers::cancelled(id, report.some_left())))
    })
    .await
}

/// `/recall ID [BATCH]`: takes back what was sent. Whoever types it has said which one they mean; the answer says what
/// was done.
pub async fn recall(request: &Request<'_>, id: &BroadcastId, batch: Option<u32>) -> Result<(), Trouble> {
    let app = request.app;
    by_word(request, id, Action::Recall, async |tx, broadcast| {
        let now = app.now();
        let ordered = recall::order(app, tx, broadcast, request.person(), batch.map(i64::from), None, [now, now]);
        Ok(match ordered.await? {
            Ok(ordered) => Ok(said::begun(id, &ordered.said(batch, &app.zone))),
            Err(stale) => Err((said::not_begun(id, batch, &stale), stale)),
        })
    })
    .await
}

/// Does by a command what a button does: whether this person may, the deed, what is written down of it, and the answer,
/// all in one transaction. `deed` says what it did, or why it is not possible.
async fn by_word(
    request: &Request<'_>,
    id: &BroadcastId,
    action: Action,
    deed: impl AsyncFnOnce(&mut Tx, &Broadcast) -> Result<Result<Text, (Text, Stale)>, StoreError>,
) -> Result<(), Trouble> {
    let (app, person) = (request.app, request.person());
    is_about(id);
    let mut tx = app.store.begin().await?;
    let Some(broadcast) = tx.broadcast(id).await? else {
        drop(tx);
        return request.finish_with(&answers::no_such_broadcast(Some(id))).await;
    };
    let (said, refusal) = match app.policy().may(person, &Deed::Press { action, of: broadcast.asked() }) {
        Err(denied) => {
            let refusal = audit::refusal(app, person, Some(&broadcast), action.as_str(), denied);
            (help::denied(&denied), refusal)
        }
        Ok(()) => match deed(&mut tx, &broadcast).await? {
            Ok(said) => {
                audit::decided(app, &mut tx, &broadcast, person, action, None).await?;
                (said, None)
            }
            Err((said, stale)) => {
                let refusal = audit::refusal(app, person, Some(&broadcast), action.as_str(), &stale);
                (said, refusal)
            }
        },
    };
    refusal.iter().for_each(|refusal| refusal.record(&mut tx));
    tx.post(&request.answer("answer", &said), app.now()).await?;
    tx.finish_event(request.claim).await?;
    tx.commit().await?;
    if let Some(refusal) = refusal {
        refusal.written(app);
    }
    app.wake_all();
    Ok(())
}

/// `/departments KEYWORD`: only searches.
pub async fn departments(request: &Request<'_>, keyword: &str) -> Result<(), Trouble> {
    let found = match directory::search(request.app, request.person(), keyword).await {
        Ok(found) => found,
        Err(error) => return unresolved(request, error).await,
    };
    let total = found.departments.len();
    let first: Vec<&Department> = found.departments.iter().take(DEPARTMENTS_SHOWN_MAX).collect();
    let places = match places::places(request.app, &first).await {
        Ok(places) => places,
        Err(error) => return unresolved(request, error).await,
    };
    request.finish_with(&answers::departments(keyword, &places, total, found.more)).await
}

/// `/login`: the card that leads to the authorization page.
pub async fn login(request: &Request<'_>) -> Result<(), Trouble> {
    match login_card(request, false) {
        Ok(letter) => {
            let mut tx = request.app.store.begin().await?;
            tx.post(&letter, request.app.now()).await?;
            tx.finish_event(request.claim).await?;
            tx.commit().await?;
            request.app.wake_all();
            Ok(())
        }
        Err(said) => request.finish_with(&said).await,
    }
}

/// `/logout`: forgets the authorization.
pub async fn logout(request: &Request<'_>) -> Result<(), Trouble> {
    let app = request.app;
    let mut tx = app.store.begin().await?;
    let had = tx.forget_authorization(request.person(), Timestamp(i64::MAX)).await?;
    if had {
        tx.record(Entry::alone(Done::LoggedOut, app.now()).by(request.person()));
    }
    tx.post(&request.answer("answer", &answers::logged_out(had)), app.now()).await?;
    tx.finish_event(request.claim).await?;
    tx.commit().await?;
    app.wake_all();
    Ok(())
}

/// `/whoami`: open_id, roles, authorization.
pub async fn whoami(request: &Request<'_>, roles: Roles) -> Result<(), Trouble> {
    let app = request.app;
    let kept = app.store.authorization(request.person()).await?.filter(|kept| authorize::opens(app, kept));
    // What lapses is the refresh token: until then the bot renews the access token by itself.
    let granted = kept.and_then(|kept| match kept.refresh_until {
        Some(until) => (app.now() < until).then_some(Granted::Renewed { until }),
        None => (app.now() < kept.access_until).then_some(Granted::Once { until: kept.access_until }),
    });
    let whoami = answers::whoami(request.person(), roles, granted, &app.zone);
    request.finish_with(&Text::lines(&[whoami, yours(request).await?])).await
}

/// `/help [COMMAND]`, with the rules for this person where they bear on it.
pub async fn help(request: &Request<'_>, roles: Roles, about: Option<CommandName>) -> Result<(), Trouble> {
    let help = help::help(roles, about);
    if !roles.admin || !matches!(about, None | Some(CommandName::Broadcast)) {
        return request.finish_with(&help).await;
    }
    request.finish_with(&Text::lines(&[help, yours(request).await?])).await
}

/// What the rules say of whoever asks.
async fn yours(request: &Request<'_>) -> Result<Text, StoreError> {
    let (app, policy, person) = (request.app, request.app.policy(), request.person());
    let own = policy.author_rule(person);
    let bounds = own.and_then(|rule| rule.departments.clone()).unwrap_or_default();
    let bounds = terms::named(app, bounds.into_iter().collect()).await;
    let approves = terms::named(app, policy.approves_for(person).into_iter().collect()).await;
    let used = match own.and_then(|rule| rule.per_day) {
        Some(_) => Some(terms::proposed_today(&app.store, person, app.now(), &app.zone).await?),
        None => None,
    };
    let trouble = app.rules.trouble();
    let (bounds, approves, trouble) = (&bounds, &approves, trouble.as_deref());
    Ok(said_of_rules::yours(&Yours { policy: &policy, person, bounds, approves, used, trouble }))
}

/// Lets a command wait for its author's authorization, or says why it cannot go on.
pub async fn unresolved(request: &Request<'_>, error: ResolveError) -> Result<(), Trouble> {
    let app = request.app;
    match error {
        // It waited for an hour already, and what was granted meanwhile, if anything, is not enough.
        ResolveError::NoToken(authorize::NoToken::NeedsLogin) | ResolveError::NeedsScopes(_)
            if request.claim.waited_in_vain =>
        {
            request.finish_with(&answers::waited_in_vain()).await
        }
        ResolveError::NoToken(authorize::NoToken::NeedsLogin) | ResolveError::NeedsScopes(_) => {
            match login_card(request, true) {
                Ok(letter) => {
                    let mut tx = app.store.begin().await?;
                    tx.hold_event(request.claim).await?;
                    if !matches!(error, ResolveError::NeedsScopes(_)) && has_come(request, &mut tx).await? {
                        tx.begin_event_anew(request.claim, app.now()).await?;
                        tx.commit().await?;
                        app.wake.inbox.notify_one();
                        return Ok(());
                    }
                    tx.post(&letter, app.now()).await?;
                    tx.park_event(request.claim, app.now().after(authorize::LOGIN_WAIT)).await?;
                    tx.commit().await?;
                    app.wake_all();
                    Ok(())
                }
                Err(said) => request.finish_with(&said).await,
            }
        }
        ResolveError::NoToken(authorize::NoToken::Oauth(OauthError::Retry(error))) => Err(error.into()),
        ResolveError::NoToken(authorize::NoToken::Oauth(error)) => {
            request.finish_with(&authorize::explain(&error)).await
        }
        ResolveError::NoToken(authorize::NoToken::Trouble(trouble)) | ResolveError::Trouble(trouble) => Err(trouble),
    }
}

/// Whether the authorization has come while the command found that it was missing: then nobody would wake it any more.
async fn has_come(request: &Request<'_>, tx: &mut Tx) -> Result<bool, Trouble> {
    let app = request.app;
    let kept = tx.authorization(request.person()).await?;
    let is_new = kept.is_some_and(|kept| {
        // One that Feishu refuses although it is new must not be tried for ever.
        kept.granted_at >= request.claim.received_at && authorize::opens(app, &kept)
    });
    Ok(is_new && request.claim.attempts < LOOKS_MAX)
}

/// The login card, or what to say where it cannot work.
fn login_card(request: &Request<'_>, continues: bool) -> Result<Letter, Text> {
    let url = authorize::login_url(request.app, request.person()).ok_or_else(answers::no_public_url)?;
    let card: Value = cards::login(url.as_str(), continues);
    Ok(Letter {
        // A command may need a second card, when the first consent granted too little: every link is a letter of its own.
        uuid: uuid(&["login", url.as_str()]),
        // The link is for this person alone, so it goes to them alone, also when they asked in a group.
        receiver: Receiver::Person(request.person().clone()),
        reply_to: None,
        msg_type: "interactive",
        content: card.to_string(),
    })
}
