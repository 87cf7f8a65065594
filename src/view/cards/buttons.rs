//! The buttons of a card: each carries what it does, for which broadcast, and the version its presser saw.

use serde_json::{Value, json};

use super::elements::plain;
use super::{Facts, Reader, Room, short};
use crate::domain::broadcast::{Broadcast, State};
use crate::domain::report::Doubtful;
use crate::view::{Text, hold, lint, moment, policy, recall, samples, schedule, text};

pub(super) fn buttons(room: Room, facts: &Facts<'_>, reader: Reader, elements: &mut Vec<Value>) {
    let broadcast = facts.broadcast;
    let decides = match reader {
        Reader::Author => broadcast.required == 0,
        Reader::Approver => broadcast.required > 0,
    };
    let author = reader == Reader::Author;
    let mut row = Vec::new();
    if let (true, Some(held), false) = (author, broadcast.hold, broadcast.state == State::InDoubt) {
        let twice = (facts.report.doubtful.ids > 0).then(|| twice(room, &facts.report.doubtful));
        let confirm = hold::confirm(held.cause, twice);
        row.push(button(broadcast, "confirm", &hold::button(), "primary_filled", Some(&confirm)));
    }
    if author && broadcast.hold.is_none() && broadcast.state == State::NeedsChoice && broadcast.unaccepted {
        let label = lint::accept_button(broadcast.required > 0);
        row.push(button(broadcast, "confirm", &label, "danger", Some(&lint::accept_confirm())));
    }
    let may_approve = broadcast.state == State::Pending && decides && broadcast.hold.is_none();
    if may_approve && !broadcast.terms.type_headcount {
        row.push(button(broadcast, "approve", &text::approve_button(author), "primary_filled", None));
    }
    let stoppable = broadcast.state.is_undecided()
        || matches!(broadcast.state, State::Approved | State::Scheduled)
        || (matches!(broadcast.state, State::Sending | State::InDoubt) && facts.report.can_be_stopped());
    if author && stoppable {
        row.push(button(broadcast, "cancel", &text::cancel_button(), "default", None));
    }
    if author && broadcast.state == State::Pending && broadcast.send_at.is_some() {
        row.push(button(broadcast, "schedule", &schedule::at_once_button(), "default", None));
    }
    if author && broadcast.state == State::Pending && decides {
        row.push(button(broadcast, "reject", &text::reject_button(), "default", None));
    }
    if author && broadcast.doubt_is_open(broadcast.version, facts.report).is_ok() {
        let confirm = twice(room, &facts.report.doubtful);
        row.push(button(broadcast, "resend", &text::resend_button(), "danger", Some(&confirm)));
        row.push(button(broadcast, "settle", &text::settle_button(), "default", Some(&text::settle_confirm())));
    }
    // Before its author has said what is meant, nobody else is shown anything.
    if broadcast.state == State::Pending || (author && broadcast.state.is_undecided()) {
        row.push(button(broadcast, "preview", &samples::button(), "default", None));
    }
    let recalls = &facts.report.recalls;
    if recalls.open_to > 0 {
        let confirm = recall::confirm(broadcast, facts.report, facts.zone);
        row.push(button(broadcast, "recall", &recall::button(broadcast), "danger", Some(&confirm)));
    }
    let invalid = facts.report.invalid.keys().filter(|key| !broadcast.repaired.contains_key(key.as_ref())).count();
    if author && broadcast.state.is_settled() && invalid > 0 && !broadcast.is_taken_back() {
        row.push(button(broadcast, "resend", &samples::repair_button(invalid), "default", None));
    }
    // Admins bring the numbers up to date; an approver need not be one.
    if author && !facts.report.message_ids.is_empty() {
        row.push(button(broadcast, "refresh", &text::refresh_button(), "default", None));
    }
    match row.len() {
        0 => {}
        1 => elements.append(&mut row),
        _ => elements.push(json!({
            "tag": "column_set",
            "flex_mode": "flow",
            "horizontal_spacing": "small",
            "columns": row.into_iter()
                .map(|button| json!({ "tag": "column", "width": "auto", "elements": [button] }))
                .collect::<Vec<_>>(),
        })),
    }
    if may_approve && broadcast.terms.type_headcount {
        elements.push(approve_form(broadcast, author));
    }
    if author && broadcast.state == State::Pending {
        elements.push(picker(facts));
    }
    if decides && !author {
        match broadcast.state {
            State::Pending => elements.push(reject_form(broadcast, &text::reject_button())),
            State::Scheduled => elements.push(reject_form(broadcast, &schedule::stop_button())),
            _ => {}
        }
    }
    if broadcast.state == State::Recalled && author && broadcast.corrected.is_none() {
        elements.push(correct_form(broadcast));
    }
    if author {
        elements.append(&mut super::edit::form(broadcast));
    }
}

/// What should have been said instead.
fn correct_form(broadcast: &Broadcast) -> Value {
    json!({
        "tag": "form",
        "name": "correct_form",
        "elements": [
            { "tag": "input", "name": "words", "placeholder": plain(&recall::correct_placeholder()), "required": true,
              "width": "fill", "max_length": CORRECTION_LETTERS_MAX, "input_type": "multiline_text", "rows": 3 },
            {
                "tag": "button",
                "name": "correct",
                "type": "primary",
                "text": plain(&recall::correct_button()),
                "form_action_type": "submit",
                "behaviors": [callback(broadcast, "correct")],
            },
        ],
    })
}

/// Letters of a correction. Source: contract, "input": 1,000 at most; what is longer is proposed as a command.
const CORRECTION_LETTERS_MAX: usize = 1000;

/// What the author agrees to when sending again: who may get it twice.
fn twice(room: Room, doubtful: &Doubtful) -> Text {
    let named: Vec<String> = doubtful.named.iter().map(|name| short(room, name)).collect();
    text::resend_confirm(&named, doubtful.ids, doubtful.headcount)
}

/// Approves only beside the right number.
fn approve_form(broadcast: &Broadcast, author: bool) -> Value {
    let known = broadcast.audience.headcount.known > 0;
    json!({
        "tag": "form",
        "name": "approve_form",
        "elements": [
            { "tag": "input", "name": HEADCOUNT_FIELD, "placeholder": plain(&policy::headcount_placeholder(known)),
              "required": true, "width": "fill", "max_length": HEADCOUNT_LETTERS_MAX },
            {
                "tag": "button",
                "name": "approve",
                "type": "primary_filled",
                "text": plain(&text::approve_button(author)),
                "form_action_type": "submit",
                "behaviors": [callback(broadcast, "approve")],
            },
        ],
    })
}

/// The input for the headcount, as it comes back in a press.
pub const HEADCOUNT_FIELD: &str = "headcount";

/// Letters of a headcount, with the commas and the word that people write along.
const HEADCOUNT_LETTERS_MAX: usize = 20;

/// When it is to leave, to be chosen; the option's value is the moment.
fn picker(facts: &Facts<'_>) -> Value {
    let mut picker = json!({
        "tag": "picker_datetime",
        "placeholder": plain(&schedule::picker()),
        "behaviors": [callback(facts.broadcast, "schedule")],
    });
    if let Some(at) = facts.broadcast.send_at {
        picker["initial_datetime"] = json!(moment(at, facts.zone));
    }
    picker
}

fn reject_form(broadcast: &Broadcast, label: &Text) -> Value {
    let why = text::reason_placeholder(broadcast.state == State::Scheduled);
    json!({
        "tag": "form",
        "name": "reject_form",
        "elements": [
            { "tag": "input", "name": "reason", "placeholder": plain(&why), "required": false,
              "width": "fill", "max_length": REASON_LETTERS_MAX },
            {
                "tag": "button",
                "name": "reject",
                "type": "danger",
                "text": plain(label),
                "form_action_type": "submit",
                "behaviors": [callback(broadcast, "reject")],
            },
        ],
    })
}

/// Letters of a reason. Source: contract, "input": 1,000 by default; a reason is a sentence.
pub const REASON_LETTERS_MAX: usize = 200;

fn button(broadcast: &Broadcast, action: &str, label: &Text, style: &str, confirm: Option<&Text>) -> Value {
    let mut button = json!({
        "tag": "button",
        "type": style,
        "text": plain(label),
        "behaviors": [callback(broadcast, action)],
    });
    if let (Some(confirm), Some(button)) = (confirm, button.as_object_mut()) {
        button.insert("confirm".into(), json!({ "title": plain(label), "text": plain(confirm) }));
    }
    button
}

pub(super) fn callback(broadcast: &Broadcast, action: &str) -> Value {
    json!({
        "type": "callback",
        "value": { "action": action, "broadcast": broadcast.id.as_str(), "version": broadcast.version },
    })
}
