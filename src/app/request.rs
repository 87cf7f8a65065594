//! The desk of `/broadcast`: from what an author wrote to a broadcast that waits for approval, with its plan in the
//! ledger and the cards owed to everyone who has a say. Bad input ends here, with an answer and without a row.

use super::directory::{self, Missing};
use super::inbox::Request;
use super::letters::{answer, text_content, uuid};
use super::{App, Trouble, commands};
use crate::domain::audience::Audience;
use crate::domain::broadcast::{Broadcast, Origin, State};
use crate::domain::command::{BroadcastOptions, BroadcastRequest, Target};
use crate::domain::content::Content;
use crate::domain::ids::{BROADCAST_ID_LETTERS, BroadcastId, OpenId, Timestamp};
use crate::domain::plan;
use crate::domain::quota::{Day, PER_DAY};
use crate::feishu::event::ChatKind;
use crate::store::cards::CardRole;
use crate::store::letters::{Letter, Receiver};
use crate::store::{StoreError, Tx};
use crate::view::{Text, answers, cards, lists, text};

/// Takes a request for a broadcast.
pub async fn broadcast(request: &Request<'_>, asked: BroadcastRequest) -> Result<(), Trouble> {
    if let Some(said) = not_yet(&asked.options, &asked.targets) {
        return request.finish_with(&said).await;
    }
    let Some(content) = asked.content else {
        return request.finish_with(&answers::no_content(request.message.parent_id.is_some())).await;
    };
    if let Some(tag) = content.unsupported() {
        return request.finish_with(&answers::unsupported_part(tag)).await;
    }
    let required = request.app.policy.approvals_required();
    let possible = request.app.policy.approvers_for(request.person()).count();
    if possible < usize::try_from(required).unwrap_or(usize::MAX) {
        return request.finish_with(&answers::too_few_approvers(required, possible)).await;
    }
    let resolution = match directory::resolve(request.app, request.person(), &asked.targets).await {
        Ok(resolution) => resolution,
        Err(error) => return commands::unresolved(request, error).await,
    };
    if !resolution.missing.is_empty() {
        return request.finish_with(&missing(&resolution.missing)).await;
    }
    let batches = plan::batches(&resolution.audience);
    // While namesakes are open, the first of each stands for the one to be chosen: ids are of one length.
    let mut assumed = resolution.audience.clone();
    assumed.departments.extend(resolution.questions.iter().filter_map(|question| question.candidates.first().cloned()));
    if let Err(too_long) = plan::measure(&content, &plan::batches(&assumed)) {
        return request.finish_with(&text::too_long(too_long)).await;
    }
    // Whichever of the namesakes is chosen must fit into a day.
    let candidates = resolution.questions.iter().flat_map(|question| &question.candidates);
    let mut departments = resolution.audience.departments.iter().chain(candidates);
    if let Some(crowd) = departments.find(|department| department.headcount.is_some_and(|heads| heads > PER_DAY)) {
        let left = request.app.store.quota_left(Day::of(request.app.now())).await?;
        return request.finish_with(&answers::over_quota(crowd, left)).await;
    }
    if asked.options.dry_run {
        return dry_run(request, &resolution, &content).await;
    }
    let now = request.app.now();
    let state = if resolution.questions.is_empty() { State::Pending } else { State::NeedsChoice };
    let broadcast = Broadcast {
        id: draw_id(request.app),
        author: request.person().clone(),
        origin: Origin {
            chat_id: (request.message.chat == ChatKind::OneToOne).then(|| request.message.chat_id.clone()),
            message_id: request.message.message_id.clone(),
            language: request.language.unwrap_or_default(),
        },
        fingerprint: if state == State::Pending { plan::fingerprint(&content, &batches) } else { String::new() },
        content,
        audience: resolution.audience.outline(),
        questions: resolution.questions,
        required,
        state,
        version: 1,
        revision: 1,
        created_at: now,
        expires_at: now.after(request.app.policy.approval_ttl()),
        approvals: Vec::new(),
        ending: None,
        hold: None,
    };
    let mut tx = request.app.store.begin().await?;
    tx.insert_broadcast(&broadcast, &resolution.audience).await?;
    tx.insert_card(&broadcast.id, &broadcast.author, CardRole::Author, broadcast.revision, now).await?;
    if request.message.chat == ChatKind::Group {
        tx.post(&answer(request, "answer", &answers::see_private_chat(&broadcast.id)), now).await?;
    }
    if state == State::Pending {
        propose(request.app, &mut tx, &broadcast, &resolution.audience, now).await?;
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
    tx.insert_batches(broadcast, audience, &plan::batches(audience), now).await?;
    let approvers: Vec<OpenId> = if broadcast.required == 0 {
        Vec::new()
    } else {
        app.policy.approvers_for(&broadcast.author).cloned().collect()
    };
    for approver in &approvers {
        tx.insert_card(&broadcast.id, approver, CardRole::Approver, broadcast.revision, now).await?;
    }
    if !cards::lists_every_target(broadcast, &app.zone) {
        let parts = parts_of(lists::all_targets(audience).in_(broadcast.origin.language));
        for person in approvers.iter().chain([&broadcast.author]) {
            for (number, part) in parts.iter().enumerate() {
                let heading = answers::all_targets(&broadcast.id, number + 1, parts.len());
                tx.post(&in_full("targets", &heading, broadcast, person, part, number), now).await?;
            }
        }
    }
    let whole = broadcast.content.plain();
    if whole.chars().count() > cards::CONTENT_LETTERS_MAX {
        let parts = parts_of(&whole);
        for person in approvers.iter().chain([&broadcast.author]) {
            for (number, part) in parts.iter().enumerate() {
                let heading = text::full_content(&broadcast.id, number + 1, parts.len());
                tx.post(&in_full("content", &heading, broadcast, person, part, number), now).await?;
            }
        }
    }
    Ok(())
}

/// Bytes of a part of a content on its way to a reader: the size of a text message, less its heading and its frame.
const PART_BYTES_MAX: usize = plan::TEXT_BODY_BYTES_MAX - 2048;

/// Cuts a content into as few parts as fit into a message each. What is one byte in the broadcast may be two here,
/// because the text of a message is JSON within JSON.
fn parts_of(whole: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut bytes = 0;
    for letter in whole.chars() {
        let cost = match letter {
            '"' | '\\' => 4,
            '\n' | '\t' => 3,
            other => other.len_utf8(),
        };
        if bytes + cost > PART_BYTES_MAX {
            parts.push(String::new());
            bytes = 0;
        }
        bytes += cost;
        parts.last_mut().expect("there is always a part").push(letter);
    }
    parts
}

/// What is too long for a card follows as messages, whole.
fn in_full(what: &str, heading: &Text, broadcast: &Broadcast, person: &OpenId, part: &str, number: usize) -> Letter {
    let heading = heading.in_(broadcast.origin.language);
    let (version, number) = (broadcast.version.to_string(), number.to_string());
    Letter {
        uuid: uuid(&[what, broadcast.id.as_str(), person.as_str(), &version, &number]),
        receiver: Receiver::Person(person.clone()),
        reply_to: None,
        msg_type: "text",
        content: text_content(&format!("{heading}\n{part}")),
    }
}

async fn dry_run(request: &Request<'_>, resolution: &directory::Resolution, content: &Content) -> Result<(), Trouble> {
    if let Some(question) = resolution.questions.first() {
        let said = answers::ambiguous(&question.typed, &question.candidates);
        return request.finish_with(&said).await;
    }
    let preview = Letter {
        uuid: uuid(&["dry-run", request.message.message_id.as_str()]),
        receiver: Receiver::Person(request.person().clone()),
        reply_to: None,
        msg_type: "interactive",
        content: cards::dry_run(&resolution.audience.outline(), content).to_string(),
    };
    let mut tx = request.app.store.begin().await?;
    tx.post(&preview, request.app.now()).await?;
    tx.finish_event(request.claim).await?;
    tx.commit().await?;
    request.app.wake_all();
    Ok(())
}

/// What is understood but not built yet is said, never half done.
fn not_yet(options: &BroadcastOptions, targets: &[Target]) -> Option<Text> {
    let option = if options.at.is_some() {
        Some("--at")
    } else if options.template.is_some() {
        Some("--template")
    } else if !options.vars.is_empty() {
        Some("--var")
    } else if options.card {
        Some("--card")
    } else {
        None
    };
    let target = targets.iter().find_map(|target| match target {
        Target::Email(typed) | Target::Phone(typed) => Some(typed.as_str()),
        Target::Everyone => Some("全员"),
        Target::File => Some("file"),
        Target::Name(_)
        | Target::Path(_)
        | Target::Department(_)
        | Target::OpenId(_)
        | Target::UnionId(_)
        | Target::UserId(_)
        | Target::Mention { .. } => None,
    });
    option.or(target).map(answers::not_yet)
}

fn missing(missing: &[Missing]) -> Text {
    let lines: Vec<Text> = missing
        .iter()
        .map(|missing| match missing {
            Missing::NotFound { typed, near } => answers::not_found(typed, near),
            Missing::TooMany { typed } => answers::too_many_namesakes(typed),
        })
        .chain([answers::nothing_proposed()])
        .collect();
    Text::lines(&lines)
}

fn draw_id(app: &App) -> BroadcastId {
    let mut bytes = [0; BROADCAST_ID_LETTERS];
    app.clock.random(&mut bytes);
    BroadcastId::from_random(bytes)
}
