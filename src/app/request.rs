//! The desk of `/broadcast`: from what an author wrote to a broadcast that waits for approval, with its plan in the
//! ledger and the cards owed to everyone who has a say. Bad input ends here, with an answer and without a row.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::asked::Request;
use super::audience::{self, Missing, NAMES_IN_FILE_MAX, Resolution, Wanted};
use super::content::{self, NoContent};
use super::directory::ResolveError;
use super::letters::uuid;
use super::list::{self, Listed, Told};
use super::recalled::words_of;
use super::{App, Trouble, audit as chain, commands, heard, in_full, is_about, terms};
use crate::domain::audience::{Audience, Outline};
use crate::domain::broadcast::{Broadcast, Origin, State, remind_at};
use crate::domain::command::{BroadcastRequest, Target};
use crate::domain::content::Content;
use crate::domain::heard::Heard;
use crate::domain::ids::{BROADCAST_ID_LETTERS, BroadcastId, OpenId, Timestamp};
use crate::domain::lint::{self, Finding};
use crate::domain::plan;
use crate::domain::policy::{Kind, Terms};
use crate::domain::quota::{Day, PER_DAY};
use crate::feishu::event::ChatKind;
use crate::store::cards::CardRole;
use crate::store::inbox::Seen;
use crate::store::letters::{Letter, Receiver};
use crate::store::{StoreError, Tx};
use crate::view::{
    Text, answers, cards, content as said, lists, policy as said_of_rules, schedule as said_of_time, targets,
};

/// Takes a request for a broadcast.
pub async fn broadcast(request: &Request<'_>, asked: BroadcastRequest) -> Result<(), Trouble> {
    if again_under_another_id(request).await? {
        return Ok(());
    }
    match draft(request, &asked).await {
        Ok(draft) if asked.options.dry_run => dry_run(request, &draft).await,
        Ok(draft) => write(request, draft).await,
        Err(NoDraft::Refused(said)) => request.finish_with(&said).await,
        Err(NoDraft::Unresolved(error)) => commands::unresolved(request, error).await,
        Err(NoDraft::Trouble(trouble)) => Err(trouble),
    }
}

/// Ends a command whose very words have been one before, under another id. Recalling either takes back what came of it.
async fn again_under_another_id(request: &Request<'_>) -> Result<bool, Trouble> {
    let Some(words) = words_of(request.message, "", request.app.now()) else { return Ok(false) };
    let Some(became) = request.app.store.remembered(&words.key).await? else { return Ok(false) };
    let mut tx = request.app.store.begin().await?;
    if let Some(broadcast) = BroadcastId::parse(&became) {
        tx.came_of(&request.message.message_id, &broadcast).await?;
    }
    tx.finish_event(request.claim).await?;
    tx.commit().await?;
    tracing::warn!(key = request.claim.key, became, "a command came again under another message id");
    Ok(true)
}

/// Everything that a broadcast is made of, before it is one.
struct Draft {
    content: Content,
    findings: Vec<Finding>,
    resolution: Resolution,
    told: Option<Told>,
    terms: Terms,
    send_at: Option<Timestamp>,
    heard: Heard,
}

impl Draft {
    /// What is shown of the audience.
    fn outline(&self) -> Outline {
        let file = self.told.as_ref().map(|told| told.note.clone());
        Outline { file, ..self.resolution.audience.outline() }
    }
}

/// Why a command does not become a broadcast.
enum NoDraft {
    Refused(Text),
    Unresolved(ResolveError),
    Trouble(Trouble),
}

impl From<NoContent> for NoDraft {
    fn from(none: NoContent) -> Self {
        match none {
            NoContent::Refused(said) => NoDraft::Refused(said),
            NoContent::Trouble(trouble) => NoDraft::Trouble(trouble),
        }
    }
}

impl From<Text> for NoDraft {
    fn from(said: Text) -> Self {
        NoDraft::Refused(said)
    }
}

impl From<StoreError> for NoDraft {
    fn from(error: StoreError) -> Self {
        NoDraft::Trouble(error.into())
    }
}

/// Content and targets, looked at from every side. Nothing is stored.
async fn draft(request: &Request<'_>, asked: &BroadcastRequest) -> Result<Draft, NoDraft> {
    let (app, policy) = (request.app, request.app.policy());
    let send_at = asked.options.at.as_deref().map(|typed| terms::moment(app, &policy, typed)).transpose()?;
    if asked.targets.contains(&Target::Everyone) && !policy.may_address_everyone(request.person()) {
        return Err(targets::everyone_denied(request.person()).into());
    }
    terms::may_ask(app, &policy, request.person(), asked.targets.iter().map(Kind::of).collect()).await??;
    let content = content::gather(request, asked).await?;
    let findings = lint::of(&content);
    let mut listed = match asked.targets.contains(&Target::File) {
        true => Some(list::read(request).await?),
        false => None,
    };
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    for target in &asked.targets {
        match (target, &listed) {
            (Target::File, Some(listed)) => wanted.extend(listed.wanted()),
            (target, _) => wanted.push(target.into()),
        }
    }
    policy
        .may_name(request.person(), wanted.iter().map(|wanted| Kind::of(wanted.target)))
        .map_err(|refusal| said_of_rules::refused(&refusal, &[]))?;
    if let (Some(listed), Some(minutes)) = (&listed, audience::minutes(&wanted)) {
        let mut tx = app.store.begin().await?;
        let said = targets::takes_a_while(listed.list.rows.len(), minutes);
        request.post_privately_as(&mut tx, "takes-a-while", &said).await?;
        tx.commit().await?;
        app.wake_all();
    }
    let resolution = audience::resolve(app, request.person(), &wanted).await.map_err(NoDraft::Unresolved)?;
    if let Some(listed) = &mut listed {
        listed.leave_out(&resolution.unusable, &resolution.repeated);
    }
    let told = listed.map(Listed::told);
    let (terms, heard) = (Terms::default(), Heard::default());
    let mut draft = Draft { content, findings, resolution, told, terms, send_at, heard };
    fits(request, &draft).await?;
    let Resolution { audience, questions, .. } = &mut draft.resolution;
    let terms = terms::of_draft(app, &policy, request.person(), audience, questions).await;
    draft.terms = terms.map_err(NoDraft::Unresolved)??;
    draft.heard = heard::heard(app, audience, questions).await?;
    Ok(draft)
}

/// What stands in the way of a draft.
async fn fits(request: &Request<'_>, draft: &Draft) -> Result<(), NoDraft> {
    let Resolution { audience, questions, missing, .. } = &draft.resolution;
    if !missing.is_empty() {
        return Err(self::missing(missing, draft.told.as_ref().map_or("", |told| &told.note.name)).into());
    }
    if audience.ids() == 0 && questions.is_empty() {
        return Err(targets::nobody(draft.told.as_ref().map(|told| &told.said)).into());
    }
    // While namesakes are open, the first of each stands for the one to be chosen: ids are of one length.
    let mut assumed = Cow::Borrowed(audience);
    if !questions.is_empty() {
        let first = questions.iter().filter_map(|question| question.candidates.first().cloned());
        assumed.to_mut().departments.extend(first);
    }
    if let Err(too_long) = plan::measure(&draft.content, &plan::batches(&assumed)) {
        return Err(said::too_long(too_long).into());
    }
    // Whichever of the namesakes is chosen must fit into a day.
    let candidates = questions.iter().flat_map(|question| &question.candidates);
    let mut departments = audience.departments.iter().chain(candidates);
    if let Some(crowd) = departments.find(|department| department.headcount.is_some_and(|heads| heads > PER_DAY)) {
        let left = request.app.store.quota_left(Day::of(request.app.now())).await?;
        return Err(answers::over_quota(crowd, left).into());
    }
    Ok(())
}

/// Writes a draft: from here on it is a broadcast.
async fn write(request: &Request<'_>, draft: Draft) -> Result<(), Trouble> {
    let now = request.app.now();
    let (unaccepted, outline) = (lint::must_be_confirmed(&draft.findings), draft.outline());
    let Draft { content, findings, resolution, told, terms, send_at, heard } = draft;
    let Resolution { mut audience, questions, .. } = resolution;
    let state = if questions.is_empty() && !unaccepted { State::Pending } else { State::NeedsChoice };
    let id = draw_id(request.app);
    is_about(&id);
    let mut broadcast = Broadcast {
        id,
        author: request.person().clone(),
        origin: Origin {
            chat_id: (request.message.chat == ChatKind::OneToOne).then(|| request.message.chat_id.clone()),
            message_id: request.message.message_id.clone(),
            language: request.language.unwrap_or_default(),
        },
        content,
        audience: outline,
        questions,
        fingerprint: String::new(),
        required: terms.approvals,
        terms,
        state,
        version: 1,
        revision: 1,
        created_at: now,
        expires_at: now.after(request.app.policy().approval_ttl()),
        approvals: Vec::new(),
        ending: None,
        hold: None,
        findings,
        unaccepted,
        repaired: BTreeMap::new(),
        repairs: None,
        send_at,
        wake_at: None,
        wave: None,
        recall: None,
        corrected: None,
        corrects: None,
        revised: None,
        heard,
    };
    if state == State::Pending {
        audience.around.clear();
        // Looking up takes minutes, and the rules may have become stricter meanwhile.
        broadcast = broadcast.planned(&audience).tightened(&request.app.policy());
    }
    let mut tx = request.app.store.begin().await?;
    if let Some(words) = words_of(request.message, broadcast.id.as_str(), now)
        && tx.remember(&words).await? == Seen::Again
    {
        // A moment ago: it is found at the next try.
        return Err(Trouble::Store(StoreError::Conflict));
    }
    tx.insert_broadcast(&broadcast, &audience).await?;
    chain::proposed(&mut tx, &broadcast, now);
    tx.came_of(&broadcast.origin.message_id, &broadcast.id).await?;
    tx.insert_card(&broadcast.id, &broadcast.author, CardRole::Author, broadcast.revision, now).await?;
    if request.message.chat == ChatKind::Group {
        tx.post(&request.answer("answer", &answers::see_private_chat(&broadcast.id)), now).await?;
    }
    if let Some(told) = told.filter(|told| told.note.left_out > 0) {
        request.post_privately_as(&mut tx, "list", &told.said).await?;
    }
    if state == State::Pending {
        propose(request.app, &mut tx, &broadcast, &audience, now).await?;
    }
    tx.finish_event(request.claim).await?;
    tx.commit().await?;
    metrics::counter!("feishu_broadcast_broadcasts_total", "state" => state.as_str()).increment(1);
    tracing::info!(broadcast = %broadcast.id, author = %broadcast.author, state = state.as_str(), ids = broadcast.audience.ids, "a broadcast was proposed");
    request.app.wake_all();
    Ok(())
}

/// Writes the plan of a broadcast whose targets are settled, and owes the approvers their cards: everything that has
/// to be there before anyone can approve.
pub async fn propose(
    app: &App,
    tx: &mut Tx,
    broadcast: &Broadcast,
    audience: &Audience,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.insert_batches(broadcast, audience, &broadcast.batches(audience), now).await?;
    tx.remind(&broadcast.id, Some(remind_at(now, broadcast.deadline()))).await?;
    let approvers: Vec<OpenId> = if broadcast.required == 0 {
        Vec::new()
    } else {
        app.policy().approvers_of(&broadcast.asked()).into_iter().cloned().collect()
    };
    ask(app, tx, broadcast, audience, &approvers, now).await?;
    in_full::send(app, tx, broadcast, audience, &broadcast.author, now).await
}

/// Owes these approvers their cards, and what has no room on them.
pub async fn ask(
    app: &App,
    tx: &mut Tx,
    broadcast: &Broadcast,
    audience: &Audience,
    approvers: &[OpenId],
    now: Timestamp,
) -> Result<(), StoreError> {
    for approver in approvers {
        tx.insert_card(&broadcast.id, approver, CardRole::Approver, broadcast.revision, now).await?;
    }
    for approver in approvers {
        in_full::send(app, tx, broadcast, audience, approver, now).await?;
    }
    Ok(())
}

async fn dry_run(request: &Request<'_>, draft: &Draft) -> Result<(), Trouble> {
    if let Some(question) = draft.resolution.questions.first() {
        let said = answers::ambiguous(&question.typed, &question.candidates);
        return request.finish_with(&said).await;
    }
    let schedule = draft.send_at.map(|at| said_of_time::when(at, &request.app.zone));
    let preview = Letter {
        uuid: uuid(&["dry-run", request.message.message_id.as_str()]),
        receiver: Receiver::Person(request.person().clone()),
        reply_to: None,
        msg_type: "interactive",
        content: cards::dry_run(&draft.outline(), &draft.heard, &draft.content, &draft.findings, schedule.as_ref())
            .to_string(),
    };
    let mut tx = request.app.store.begin().await?;
    tx.post(&preview, request.app.now()).await?;
    if let Some(told) = &draft.told {
        request.post_privately_as(&mut tx, "list", &told.said).await?;
    }
    tx.finish_event(request.claim).await?;
    tx.commit().await?;
    request.app.wake_all();
    Ok(())
}

/// What to say of targets that lead nowhere; `file` is the name of the list, where there is one.
fn missing(missing: &[Missing], file: &str) -> Text {
    let mut nobody_at = Vec::new();
    let mut lines = Vec::new();
    for missing in missing {
        match missing {
            Missing::NotFound { typed, near } => lines.push(answers::not_found(typed, near)),
            Missing::TooMany { typed } => lines.push(answers::too_many_namesakes(typed)),
            Missing::Nobody { typed } => nobody_at.push(typed.as_str()),
            Missing::NotEveryone => lines.push(targets::not_everyone()),
            Missing::TooManyNames { names } => lines.push(lists::too_many_names(file, *names, NAMES_IN_FILE_MAX)),
        }
    }
    if !nobody_at.is_empty() {
        lines.push(targets::nobody_at(&nobody_at));
    }
    lines.push(answers::nothing_proposed());
    Text::lines(&lines)
}

/// A content to the same people or a part of them, as a proposal of its own.
pub fn again(
    app: &App,
    before: &Broadcast,
    content: &Content,
    audience: &Audience,
    terms: &Terms,
    now: Timestamp,
) -> Broadcast {
    Broadcast {
        id: draw_id(app),
        content: content.clone(),
        audience: audience.outline(),
        questions: vec![],
        fingerprint: String::new(),
        required: terms.approvals,
        terms: terms.clone(),
        state: State::Pending,
        version: 1,
        revision: 1,
        created_at: now,
        expires_at: now.after(app.policy().approval_ttl()),
        approvals: Vec::new(),
        ending: None,
        hold: None,
        unaccepted: false,
        repaired: BTreeMap::new(),
        repairs: None,
        send_at: None,
        wake_at: None,
        wave: None,
        recall: None,
        corrected: None,
        corrects: None,
        revised: None,
        heard: Heard::default(),
        ..before.clone()
    }
    .planned(audience)
}

/// An id for a new broadcast.
fn draw_id(app: &App) -> BroadcastId {
    let mut bytes = [0; BROADCAST_ID_LETTERS];
    app.clock.random(&mut bytes);
    BroadcastId::from_random(bytes)
}
