//! Every interleaving there is, for broadcasts of one and two batches: two approvers, the author with all their
//! buttons, `/cancel` and `/recall`, the deadline, the time to leave at and the rest before it, the first wave and the
//! others behind it, senders that claim, call and record, those who ask for what is wanted back, leases that run out,
//! deaths between any two steps, presses delivered again, and transactions that have read before somebody else wrote.
//!
//! Nothing is drawn by lot: all worlds are visited, so what is promised here has no exception of this size. The values
//! and their moves are the program's own; `shell` strings them together as `app` does, `ledger` holds the conditions of
//! the statements, `promises` says what must be true, and a broken promise comes with the shortest way to it.
//!
//! A search of a hundred lines instead of the crate `stateright`: that one wants a hash of every value and brings a web
//! server, and it cannot be asked whether an end can still be reached from everywhere.

mod ledger;
mod promises;
mod replay;
mod search;
mod shell;
mod words;
mod world;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use feishu_broadcast::domain::audience::{DepartmentTarget, Outline, Question};
use feishu_broadcast::domain::batch::BatchState;
use feishu_broadcast::domain::broadcast::{Broadcast, Origin, State};
use feishu_broadcast::domain::content::Content;
use feishu_broadcast::domain::ids::{BroadcastId, ChatId, DepartmentId, MessageId, OpenId, Timestamp};
use feishu_broadcast::domain::language::Language;
use feishu_broadcast::domain::policy::{Canary, Policy, Share, Terms};
use feishu_broadcast::domain::wave::Wave;

use search::{By, Model, Seen, explore};
use world::{Answer, Calls, Truth, World};

const MINUTE: i64 = 60_000;

/// When it was proposed.
const START: Timestamp = Timestamp(0);

/// From this moment on nobody can decide any more.
const DEADLINE: Timestamp = Timestamp(60 * MINUTE);

/// The time to leave at, where there is one: near, so that the countdown is short.
const LEAVES: Timestamp = Timestamp(2 * MINUTE);

/// How long it rests, where the rules want that.
const REST: Duration = Duration::from_secs(60);

/// Batches that go ahead, where there is a first wave.
const FIRST_WAVE: usize = 1;

/// How much there is of everything. Worlds grow fast with each of these.
#[derive(Debug, Clone, Copy)]
struct Size {
    batches: usize,
    /// Approvals asked for when it was proposed, and by the rules of today.
    required: u32,
    required_today: u32,
    /// Tries after a certain failure, for each batch.
    retries: i64,
    /// How often the author may send a batch again.
    resends: usize,
    /// A namesake is still to be chosen.
    question: bool,
    /// The bot may be away for long, or wake on a copy of its database.
    holds: bool,
    /// Batches in front of these that were refused already.
    refused: usize,
    /// Calls under way at a time.
    senders: usize,
    /// Machines may stand still between claim and call for longer than their lease.
    standstill: bool,
    /// It is to leave at a time of its own, and its author may think better of that.
    at: bool,
    /// It rests between the last approval and the first batch.
    rest: bool,
    /// The first batch goes ahead of the others.
    wave: bool,
    /// What was sent may be taken back, the whole or batch by batch.
    recalls: bool,
    /// Calls at a time that ask for a batch back.
    askers: usize,
    /// It is approved already: for what comes after that, where all of it would take too long.
    approved: bool,
}

const ONE: Size = Size {
    batches: 1,
    required: 1,
    required_today: 1,
    retries: 1,
    resends: 1,
    question: false,
    holds: false,
    refused: 0,
    senders: 3,
    standstill: false,
    at: false,
    rest: false,
    wave: false,
    recalls: false,
    askers: 1,
    approved: false,
};

/// The author is an approver as well: that must not help.
fn people() -> &'static [OpenId; 3] {
    static PEOPLE: LazyLock<[OpenId; 3]> =
        LazyLock::new(|| ["author", "ann", "ben"].map(|name| OpenId::new(name).expect("a plain id")));
    &PEOPLE
}

fn department(id: &str) -> DepartmentId {
    DepartmentId::new(id).expect("a plain id")
}

struct Play {
    size: Size,
    policy: Policy,
}

impl Play {
    fn new(size: Size) -> Self {
        let [author, ann, ben] = people().clone();
        let approvers = BTreeSet::from([author.clone(), ann, ben]);
        let admins = BTreeSet::from([author]);
        let policy = Policy::new(admins, approvers, Some(size.required_today), Duration::from_secs(60));
        Self { size, policy: policy.expect("two others can approve") }
    }
}

fn proposed(size: &Size) -> Broadcast {
    let [author, ..] = people().clone();
    let canary = Canary { first: Share::People(1), invalid_max: Share::Percent(5) };
    let cooling_off_ms = if size.rest { u64::try_from(REST.as_millis()).expect("a minute") } else { 0 };
    let terms = Terms { cooling_off_ms, canary: size.wave.then_some(canary), ..Terms::default() };
    let candidates = ["od-5", "od-6"].map(|id| DepartmentTarget::unverified(department(id))).to_vec();
    Broadcast {
        id: BroadcastId::parse("K7M2QX").expect("a plain id"),
        author,
        origin: Origin {
            chat_id: ChatId::new("oc_1"),
            message_id: MessageId::new("om_1").expect("a plain id"),
            language: Language::Zh,
        },
        content: Content::Text("开会".into()),
        audience: Outline::default(),
        questions: if size.question { vec![Question { typed: "客服部".into(), candidates }] } else { vec![] },
        fingerprint: String::new(),
        required: size.required,
        terms,
        state: if size.question { State::NeedsChoice } else { State::Pending },
        version: 1,
        revision: 1,
        created_at: START,
        expires_at: DEADLINE,
        approvals: vec![],
        ending: None,
        hold: None,
        findings: vec![],
        unaccepted: false,
        repaired: std::collections::BTreeMap::new(),
        repairs: None,
        send_at: size.at.then_some(LEAVES),
        wake_at: None,
        wave: size.wave.then_some(Wave { batches: FIRST_WAVE, people: 1, over: false, since: None }),
        recall: None,
        corrected: None,
        corrects: None,
        revised: None,
        heard: feishu_broadcast::domain::heard::Heard::default(),
    }
}

impl Model for Play {
    type World = World;

    fn first(&self) -> World {
        let Size { batches, refused, .. } = self.size;
        let mut ledger = shell::ledger(proposed(&self.size), batches + refused);
        let mut approved = vec![];
        if refused > 0 || self.size.approved {
            // In the middle of it: a way that is too long to be gone each time.
            let [_, ann, _] = people();
            let broadcast = ledger.broadcast.approve(ann, 1, START).expect("one approval is enough");
            let state = if refused > 0 { State::Sending } else { broadcast.state };
            ledger.broadcast = Broadcast { state, ..broadcast };
            for row in ledger.rows.iter_mut().take(refused) {
                row.batch.state = BatchState::Sending;
                row.batch.attempts = 1;
                row.batch = row.batch.clone().settle(Answer::Refused.verdict(), None, START, 0);
            }
            approved.push(ann.clone());
        }
        let calls = vec![Calls::default(); ledger.rows.len()];
        let truth = Truth {
            approved,
            leaves: self.size.at.then_some(LEAVES),
            released: START,
            stopped: false,
            taken_back: false,
            calls,
            pressed: None,
        };
        World { ledger: Rc::new(ledger), now: START, senders: vec![], askers: vec![], truth }
    }

    fn key(&self, world: &World) -> String {
        world.key()
    }

    fn moves(&self, world: &World) -> Vec<(String, By, World)> {
        let moves = world.moves(&self.policy, &self.size).into_iter();
        moves.map(|(what, world)| (what.to_string(), what.by(), world)).collect()
    }

    fn check(&self, world: &World) -> Result<(), String> {
        promises::of_world(world, &self.policy)
    }

    fn check_move(&self, before: &World, after: &World, by: By) -> Result<(), String> {
        promises::of_move(before, after, by, &self.size)
    }

    fn is_over(&self, world: &World) -> bool {
        world.ledger.broadcast.state.is_settled() && self.is_at_rest(world)
    }

    fn is_at_rest(&self, world: &World) -> bool {
        let broadcast = &world.ledger.broadcast;
        let waits = broadcast.state == State::InDoubt || broadcast.hold.is_some();
        (broadcast.state.is_settled() || waits) && !broadcast.is_being_recalled()
    }
}

/// Visits every world of this size, and says how many there were.
fn all(size: Size) {
    let began = Instant::now();
    let seen = explore(&Play::new(size)).unwrap_or_else(|broken| panic!("{size:?}\n{broken}"));
    let Seen { worlds, moves, over } = seen;
    println!("{worlds} worlds, {moves} moves, {over} ends in {:?}: {size:?}", began.elapsed());
}

fn is_long() -> bool {
    std::env::var("LONG").is_ok_and(|long| long == "1")
}

#[test]
fn one_batch_under_every_rule_of_approval() {
    for required in 0..=2 {
        all(Size { required, required_today: required, retries: 2, resends: 2, ..ONE });
    }
}

#[test]
fn the_rules_of_approval_change_while_it_waits() {
    for (required, required_today) in [(0, 1), (1, 0), (2, 1), (1, 2)] {
        all(Size { required, required_today, ..ONE });
    }
}

#[test]
fn a_namesake_is_chosen_first() {
    for required in 0..=2 {
        all(Size { required, required_today: required, question: true, ..ONE });
    }
}

#[test]
fn the_author_is_asked_first_after_a_long_silence() {
    for required in 0..=2 {
        all(Size { required, required_today: required, holds: true, ..ONE });
    }
    all(Size { question: true, holds: true, ..ONE });
    if is_long() {
        all(Size { batches: 2, holds: true, ..ONE });
    }
}

#[test]
fn refusal_after_refusal_stops_the_rest() {
    all(Size { refused: 2, batches: 2, retries: 0, resends: 0, senders: 1, ..ONE });
    if is_long() {
        all(Size { refused: 2, batches: 2, retries: 0, resends: 0, holds: true, ..ONE });
    }
}

#[test]
fn a_machine_stands_still_between_claim_and_call() {
    all(Size { standstill: true, ..ONE });
}

#[test]
fn it_leaves_at_its_time_and_not_before() {
    all(Size { at: true, retries: 0, resends: 0, ..ONE });
    all(Size { at: true, rest: true, required: 2, required_today: 2, retries: 0, resends: 0, ..ONE });
    all(Size { rest: true, required: 0, required_today: 0, retries: 0, resends: 0, ..ONE });
    all(Size { at: true, holds: true, retries: 0, resends: 0, senders: 1, ..ONE });
    if is_long() {
        for required in 0..=2 {
            all(Size { at: true, rest: true, holds: true, required, required_today: required, ..ONE });
        }
        all(Size { at: true, rest: true, question: true, ..ONE });
        all(Size { at: true, rest: true, batches: 2, retries: 0, resends: 0, ..ONE });
    }
}

#[test]
fn the_first_wave_goes_ahead() {
    all(Size { wave: true, batches: 2, approved: true, retries: 0, ..ONE });
    all(Size { wave: true, batches: 2, approved: true, holds: true, retries: 0, resends: 0, senders: 2, ..ONE });
    if is_long() {
        all(Size { wave: true, batches: 2, ..ONE });
        all(Size { wave: true, batches: 2, holds: true, at: true, rest: true, retries: 0, ..ONE });
        all(Size { wave: true, batches: 3, approved: true, retries: 0, resends: 0, senders: 2, ..ONE });
    }
}

#[test]
fn what_was_sent_is_taken_back() {
    all(Size { recalls: true, retries: 1, approved: true, askers: 2, ..ONE });
    all(Size { recalls: true, batches: 2, approved: true, retries: 0, resends: 0, senders: 2, ..ONE });
    all(Size { recalls: true, wave: true, batches: 2, approved: true, retries: 0, resends: 0, senders: 1, ..ONE });
    if is_long() {
        all(Size { recalls: true, retries: 2, resends: 2, holds: true, askers: 2, ..ONE });
        all(Size { recalls: true, at: true, rest: true, ..ONE });
        all(Size { recalls: true, batches: 2, approved: true, retries: 0, senders: 1, ..ONE });
        all(Size { recalls: true, batches: 2, approved: true, retries: 0, resends: 0, senders: 2, askers: 2, ..ONE });
        let held = Size { recalls: true, holds: true, batches: 2, approved: true, retries: 0, resends: 0, ..ONE };
        all(Size { senders: 2, ..held });
        all(Size { senders: 1, wave: true, ..held });
    }
}

#[test]
fn two_batches_side_by_side() {
    all(Size { batches: 2, retries: 0, ..ONE });
    all(Size { batches: 2, resends: 0, ..ONE });
    if is_long() {
        for required in 0..=2 {
            all(Size { batches: 2, required, required_today: required, ..ONE });
        }
        all(Size { batches: 2, retries: 2, resends: 2, ..ONE });
        all(Size { batches: 2, standstill: true, ..ONE });
        all(Size { batches: 3, retries: 0, ..ONE });
    }
}
