//! The card of a broadcast: one per person who has a say in it, the same facts on each, the buttons that are theirs.
//!
//! Card JSON 2.0. Text that people wrote goes into `plain_text` only, so that nothing they type becomes markup, a
//! mention or a link of ours. Our own sentences carry both languages; each reader's client picks one.
//! A card stays below 24 KB (the platform refuses 30 KB): a long content is cut here and sent in full as a message, and
//! lists and paths are shown shorter until everything fits.

mod buttons;
mod edit;
mod elements;
mod login;
mod reads;

pub use buttons::{HEADCOUNT_FIELD, REASON_LETTERS_MAX};
pub use edit::EDIT_LETTERS_MAX;
pub use elements::without_marks;
pub use login::login;

use buttons::{buttons, callback};
use elements::{div, markdown, note, plain};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{Text, content as words, hand, hold, lint, policy, recall, result, schedule, targets, text};
use crate::domain::audience::{Covered, DepartmentTarget, Outline, Question};
use crate::domain::broadcast::{Broadcast, State};
use crate::domain::content::Content;
use crate::domain::heard::Heard;
use crate::domain::ids::{OpenId, Timestamp};
use crate::domain::lint::{Finding, Severity, severity};
use crate::domain::reads::Point;
use crate::domain::report::Report;

/// Letters of the content that a card shows; longer contents follow as a message of their own.
pub const CONTENT_LETTERS_MAX: usize = 1500;

/// Bytes of a card on the wire, escaped into the `content` of a message. Source: contract "facts that decide the
/// version": the platform refuses 30 KB of request body and adds styles of its own.
const BYTES_MAX: usize = 24 * 1024;

/// Images that a card shows; the rest is seen with "send it to me".
const IMAGES_SHOWN_MAX: usize = 4;

/// Letters of a name in a path that had to be shortened; fewer would tell nothing.
const NAME_LETTERS_MIN: usize = 4;

/// How much of what may be long a card shows.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// Entries of a list, listed one by one.
    entries: usize,
    /// Letters of one path.
    path_letters: usize,
    /// Namesakes to choose among at one time.
    choices: usize,
    /// Points of a chart; none is no chart.
    points: usize,
}

/// From generous to what always fits.
const ROOMS: [Room; 4] = [
    Room { entries: 20, path_letters: 80, choices: 20, points: 24 },
    Room { entries: 10, path_letters: 40, choices: 1, points: 12 },
    Room { entries: 5, path_letters: 24, choices: 1, points: 0 },
    Room { entries: 2, path_letters: 12, choices: 1, points: 0 },
];

/// Who reads the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Author,
    Approver,
}

/// Everything a card shows.
pub struct Facts<'a> {
    pub broadcast: &'a Broadcast,
    pub report: &'a Report,
    pub zone: &'a TimeZone,
    pub now: Timestamp,
    /// Messages left of today's quota; `None` where it does not matter.
    pub quota_left: Option<u64>,
    /// How many had read it at which moment.
    pub reads: &'a [Point],
}

/// The card as this reader sees it now.
pub fn card(facts: &Facts<'_>, reader: Reader) -> Value {
    fitting(|room| card_in(room, facts, reader))
}

/// Whether an approver's card has room for every target; if not, the whole list follows as messages.
pub fn lists_every_target(broadcast: &Broadcast, zone: &TimeZone) -> bool {
    let facts =
        Facts { broadcast, report: &Report::default(), zone, now: broadcast.created_at, quota_left: None, reads: &[] };
    let fits = |room: &Room| wire_bytes(&card_in(*room, &facts, Reader::Approver)) <= BYTES_MAX;
    ROOMS.iter().find(|room| fits(room)).is_some_and(|room| broadcast.audience.ids <= room.entries)
}

/// The roomiest of the cards that is small enough to be sent.
fn fitting(card: impl Fn(Room) -> Value) -> Value {
    let [roomy, narrower @ ..] = ROOMS;
    narrower.into_iter().fold(card(roomy), |best, room| if wire_bytes(&best) > BYTES_MAX { card(room) } else { best })
}

/// Bytes of a card once it is a string within JSON.
fn wire_bytes(card: &Value) -> usize {
    Value::String(card.to_string()).to_string().len()
}

fn card_in(room: Room, facts: &Facts<'_>, reader: Reader) -> Value {
    let broadcast = facts.broadcast;
    let mut elements = Vec::new();
    if reader == Reader::Approver {
        elements.push(markdown(&text::asks(&broadcast.author)));
    }
    if broadcast.state == State::NeedsChoice {
        questions(room, broadcast, reader, &mut elements);
    }
    elements.extend(schedule::of(broadcast, facts.zone).as_ref().map(div));
    audience(room, &broadcast.audience, &mut elements);
    if broadcast.state.is_undecided() {
        elements.extend(heard(room, &broadcast.audience, &broadcast.heard));
    }
    if let Some(of) = &broadcast.repairs {
        elements.push(note(&targets::repairs(of, broadcast.audience.departments_total > 0)));
    }
    elements.extend(broadcast.corrects.iter().map(|of| note(&recall::corrects(of))));
    elements.push(json!({ "tag": "hr" }));
    content(&broadcast.content, &mut elements);
    if broadcast.state.is_undecided() {
        elements.extend(words::see_it(broadcast.content.kind()).iter().map(note));
    }
    findings(room, &broadcast.findings, &mut elements);
    elements.push(json!({ "tag": "hr" }));
    standing(room, facts, reader, &mut elements);
    reads::reads(room, facts, &mut elements);
    buttons(room, facts, reader, &mut elements);
    frame(facts, elements)
}

/// The preview of a dry run: the same card without an id, a state or a button.
/// `at` says when it would leave, where a time was given; `received`, what these people have had lately.
pub fn dry_run(shown: &Outline, received: &Heard, what: &Content, found: &[Finding], at: Option<&Text>) -> Value {
    fitting(|room| dry_run_in(room, (shown, received), what, found, at))
}

fn dry_run_in(
    room: Room,
    (shown, received): (&Outline, &Heard),
    what: &Content,
    found: &[Finding],
    at: Option<&Text>,
) -> Value {
    let mut elements = Vec::new();
    elements.extend(at.map(div));
    audience(room, shown, &mut elements);
    elements.extend(heard(room, shown, received));
    elements.push(json!({ "tag": "hr" }));
    content(what, &mut elements);
    findings(room, found, &mut elements);
    elements.push(note(&text::dry_run_note()));
    json!({
        "schema": "2.0",
        "config": { "update_multi": true, "enable_forward": false },
        "header": { "title": plain(&text::dry_run_title()), "template": "grey" },
        "body": { "elements": elements },
    })
}

fn frame(facts: &Facts<'_>, elements: Vec<Value>) -> Value {
    let broadcast = facts.broadcast;
    let title = text::card_title(broadcast);
    let word = text::standing(broadcast, facts.report.kept_back());
    let (template, tag) = match broadcast.state {
        _ if broadcast.hold.is_some() => ("carmine", "carmine"),
        State::NeedsChoice => ("wathet", "blue"),
        State::Pending => ("orange", "orange"),
        State::Approved | State::Scheduled | State::Sending => ("blue", "blue"),
        State::Sent => ("green", "green"),
        State::PartlySent => ("yellow", "yellow"),
        State::Failed => ("red", "red"),
        State::InDoubt => ("carmine", "carmine"),
        State::Rejected | State::Cancelled | State::Expired | State::Recalled => ("grey", "neutral"),
    };
    json!({
        "schema": "2.0",
        "config": {
            "update_multi": true,
            "enable_forward": false,
            "width_mode": "fill",
            "summary": { "content": title.zh, "i18n_content": { "zh_cn": title.zh, "en_us": title.en } },
        },
        "header": {
            "title": plain(&title),
            "template": template,
            "text_tag_list": [{ "tag": "text_tag", "text": plain(&word), "color": tag }],
        },
        "body": { "direction": "vertical", "vertical_spacing": "medium", "elements": elements },
    })
}

fn questions(room: Room, broadcast: &Broadcast, reader: Reader, elements: &mut Vec<Value>) {
    for question in broadcast.questions.iter().take(room.choices) {
        elements.push(div(&text::which_one(&question.typed, question.candidates.len())));
        if reader == Reader::Author {
            elements.push(pick(room, broadcast, question));
        }
    }
    let more = broadcast.questions.len().saturating_sub(room.choices);
    if more > 0 {
        elements.push(note(&text::more_questions(more)));
    }
}

/// A select of the namesakes; the option's value is the department.
fn pick(room: Room, broadcast: &Broadcast, question: &Question) -> Value {
    let options: Vec<Value> = question
        .candidates
        .iter()
        .map(|candidate| {
            json!({ "text": plain(&text::candidate(&short(room, &candidate.full_path()), candidate.headcount)),
                    "value": candidate.id.as_str() })
        })
        .collect();
    json!({
        "tag": "select_static",
        "placeholder": plain(&text::pick_placeholder()),
        "options": options,
        "width": "fill",
        "behaviors": [callback(broadcast, "pick")],
    })
}

fn audience(room: Room, audience: &Outline, elements: &mut Vec<Value>) {
    let mut lines: Vec<Text> =
        audience.departments.iter().map(|department| department_line(room, department)).collect();
    lines.extend(audience.people.iter().map(|person| Text::same(format!("• {person}"))));
    lines.truncate(room.entries);
    let more = audience.ids.saturating_sub(lines.len());
    if more > 0 {
        lines.push(text::and_more(more));
    }
    if lines.is_empty() {
        return;
    }
    elements.push(markdown(&text::audience_heading(audience.headcount)));
    elements.push(div(&Text::lines(&lines)));
    elements.extend(audience.file.iter().map(|file| note(&targets::file(file))));
    for Covered { named, inside } in audience.covered.iter().take(room.entries) {
        elements.push(note(&targets::covered(
            &short(room, named),
            inside.as_ref().map(|inside| short(room, inside)).as_deref(),
        )));
    }
    let more = audience.covered_total.saturating_sub(audience.covered.len().min(room.entries));
    if more > 0 {
        elements.push(note(&text::and_more(more)));
    }
    let unverified: Vec<&str> = audience.unverified.iter().map(|id| id.as_str()).take(room.entries).collect();
    if !unverified.is_empty() {
        elements.push(note(&targets::unverified(&unverified)));
    }
    if audience.untold > 0 {
        elements.push(note(&targets::untold(audience.untold)));
    }
    if audience.departments_total > 1 {
        elements.push(note(&targets::overlap()));
    }
}

/// What these people have received lately, where that is known.
fn heard(room: Room, audience: &Outline, heard: &Heard) -> Option<Value> {
    let named = audience.departments.iter().take(room.entries);
    hand::heard(heard, named.map(|department| (department, short(room, &department.full_path())))).as_ref().map(note)
}

fn department_line(room: Room, department: &DepartmentTarget) -> Text {
    text::department(&short(room, &department.full_path()), department.headcount)
}

fn content(content: &Content, elements: &mut Vec<Value>) {
    let whole = content.plain();
    let letters = whole.chars().count();
    let shown: String = whole.chars().take(CONTENT_LETTERS_MAX).collect();
    elements.push(markdown(&words::heading(content.kind())));
    elements.push(div(&Text::same(shown)));
    let images = content.images();
    for image_key in images.iter().take(IMAGES_SHOWN_MAX) {
        elements.push(json!({ "tag": "img", "img_key": image_key, "alt": plain(&words::image()) }));
    }
    if images.len() > IMAGES_SHOWN_MAX {
        elements.push(note(&words::more_images(images.len() - IMAGES_SHOWN_MAX)));
    }
    if letters > CONTENT_LETTERS_MAX {
        elements.push(note(&words::cut(letters)));
    }
}

/// What in the content may not be meant: what must be accepted first, in red, then the rest.
fn findings(room: Room, found: &[Finding], elements: &mut Vec<Value>) {
    let grave = lint::grave(found);
    elements.extend(grave.iter().take(room.entries).map(div));
    let small: Vec<&Finding> = found.iter().filter(|found| severity(found.kind) == Severity::Note).collect();
    elements.extend(small.iter().take(room.entries).map(|found| note(&lint::finding(found))));
    let more = found.len() - grave.len().min(room.entries) - small.len().min(room.entries);
    if more > 0 {
        elements.push(note(&lint::more_findings(more)));
    }
}

/// What has happened so far, in words.
fn standing(room: Room, facts: &Facts<'_>, reader: Reader, elements: &mut Vec<Value>) {
    let broadcast = facts.broadcast;
    let approvals: Vec<&OpenId> = broadcast.approvals.iter().map(|approval| &approval.by).collect();
    let short = facts.quota_left.filter(|left| broadcast.audience.headcount.known > *left);
    elements.extend(short.map(|left| note(&text::quota_short(broadcast.audience.headcount.known, left))));
    if let (Some(held), true) = (broadcast.hold, broadcast.state.is_undecided()) {
        elements.push(div(&hold::cause(held.cause)));
    }
    if let (Some(revised), true) = (&broadcast.revised, broadcast.state.is_undecided()) {
        elements.push(note(&hand::revised(revised, facts.zone)));
        let void: Vec<&OpenId> = broadcast.void_approvals().collect();
        if !void.is_empty() {
            elements.push(markdown(&hand::void_approvals(&void)));
        }
    }
    match broadcast.state {
        State::NeedsChoice => {
            if broadcast.unaccepted {
                elements.push(div(&lint::must_accept(reader == Reader::Author, broadcast.required > 0)));
            }
        }
        State::Pending => {
            let blast = text::blast(broadcast.audience.headcount, broadcast.required == 0);
            elements.extend(blast.iter().map(div));
            if broadcast.required > 0 {
                elements.push(markdown(&text::approvals(&approvals, broadcast.required)));
            }
            elements.extend(policy::tier(broadcast).as_ref().map(note));
            let deadline = super::moment(broadcast.deadline(), facts.zone);
            elements.push(note(&text::deadline(&deadline, broadcast.required == 0, reader == Reader::Author)));
        }
        State::Rejected | State::Cancelled | State::Expired => {
            if let Some(ending) = &broadcast.ending {
                elements.push(markdown(&hand::ended(broadcast, ending)));
                if let Some(reason) = &ending.reason {
                    elements.push(div(&text::reason(reason)));
                }
                elements.push(note(&text::at(&super::moment(ending.at, facts.zone))));
            }
        }
        State::Approved
        | State::Scheduled
        | State::Sending
        | State::Sent
        | State::PartlySent
        | State::Failed
        | State::InDoubt
        | State::Recalled => {
            if !approvals.is_empty() {
                elements.push(markdown(&text::approved_by(&approvals)));
            }
            elements.extend(schedule::countdown(broadcast, facts.now).iter().map(div));
            if let Some(order) = &broadcast.recall {
                elements.push(markdown(&recall::by(&order.by, &super::moment(order.at, facts.zone))));
            }
            for line in result::lines(broadcast, facts.report, facts.zone, room.entries) {
                elements.push(div(&line));
            }
        }
    }
}

/// A path in few letters: every name keeps its beginning, since what tells namesakes apart may stand anywhere in it.
fn short(room: Room, path: &str) -> String {
    if path.chars().count() <= room.path_letters {
        return path.to_owned();
    }
    let names: Vec<&str> = path.split(" / ").collect();
    let letters = (room.path_letters / names.len()).max(NAME_LETTERS_MIN);
    let cut = |name: &&str| match name.chars().count() > letters {
        true => format!("{}…", name.chars().take(letters).collect::<String>()),
        false => (*name).to_owned(),
    };
    names.iter().map(cut).collect::<Vec<_>>().join(" / ")
}
