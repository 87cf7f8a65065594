//! The queue of batch messages: one per app, in order, never before a moment has passed since the call.

use serde::Serialize;
use serde_json::Value;

use super::person::{Delivered, words};
use super::seal::sha256_hex;
use super::world::World;

/// The queue delivers this many copies every [`STEP_MS`].
const COPIES_PER_STEP: usize = 50;
const STEP_MS: i64 = 100;

/// How long a recall takes to begin, in ms.
const RECALL_WAIT_MS: i64 = 500;

/// One accepted batch.
#[derive(Clone, Debug, Serialize)]
pub struct Task {
    pub bm_id: String,
    /// The request as it was sent.
    pub body: Value,
    /// Hash of the request's bytes.
    pub fingerprint: String,
    /// Hash of message type and content alone.
    pub content_hash: String,
    pub accepted_ms: i64,
    pub starts_ms: i64,
    pub ends_ms: i64,
    /// open_ids that get a copy, each once, in the order of delivery.
    pub recipients: Vec<String>,
    /// People the platform counts, the unreachable among them too.
    pub valid: usize,
    /// Copies delivered so far.
    pub delivered: usize,
    /// When delete was called.
    pub recalled_ms: Option<i64>,
    pub recall_count: usize,
    /// How often get_progress and read_user were asked; the progress script counts by it.
    pub polls: usize,
    pub invalid_department_ids: Vec<String>,
    pub invalid_open_ids: Vec<String>,
    pub invalid_user_ids: Vec<String>,
    pub invalid_union_ids: Vec<String>,
}

impl Task {
    /// The content of the message: `content`, or the card.
    pub fn content(&self) -> &Value {
        self.body.get("content").unwrap_or_else(|| &self.body["card"])
    }

    /// How many copies should have arrived by now.
    fn due(&self, now: i64) -> usize {
        let until = self.recalled_ms.map_or(now, |at| now.min(at));
        if until < self.starts_ms {
            return 0;
        }
        let steps = usize::try_from((until - self.starts_ms) / STEP_MS).unwrap_or(usize::MAX);
        steps.saturating_add(1).saturating_mul(COPIES_PER_STEP).min(self.recipients.len())
    }
}

impl World {
    /// Puts an accepted batch at the end of the queue. Times, counts and delivery follow from the clock alone.
    pub fn enqueue(&mut self, mut task: Task) {
        let free = self.tasks.iter().map(|task| task.ends_ms).max().unwrap_or(0);
        task.starts_ms = free.max(self.now() + self.switches.queue_wait_ms);
        let steps = task.recipients.len().div_ceil(COPIES_PER_STEP);
        task.ends_ms = task.starts_ms + STEP_MS * i64::try_from(steps).expect("a company fits");
        self.tasks.push(task);
    }

    /// Delivers, reads and recalls whatever is due by now.
    pub fn settle(&mut self) {
        let now = self.now();
        let (tasks, inboxes) = (&mut self.tasks, &mut self.inboxes);
        for task in tasks.iter_mut() {
            let due = task.due(now);
            while task.delivered < due {
                let open_id = task.recipients[task.delivered].clone();
                let step = i64::try_from(task.delivered / COPIES_PER_STEP).expect("a company fits");
                let at_ms = task.starts_ms + step * STEP_MS;
                let habit_ms = reading_habit(&open_id, at_ms);
                inboxes.entry(open_id).or_default().push(Delivered {
                    bm_id: task.bm_id.clone(),
                    at_ms,
                    msg_type: task.body["msg_type"].as_str().unwrap_or_default().to_owned(),
                    content: task.content().clone(),
                    text: words(task.content()),
                    read_at_ms: None,
                    recalled: false,
                    habit_ms,
                });
                task.delivered += 1;
            }
            let Some(recalled_ms) = task.recalled_ms else { continue };
            if now < recalled_ms + RECALL_WAIT_MS {
                continue;
            }
            let most = self.switches.recall_at_most.unwrap_or(usize::MAX).min(task.delivered);
            for open_id in &task.recipients[..most] {
                let copies = inboxes.get_mut(open_id).into_iter().flatten();
                copies.filter(|copy| copy.bm_id == task.bm_id).for_each(|copy| copy.recalled = true);
            }
            task.recall_count = most;
        }
        for copy in self.inboxes.values_mut().flatten().filter(|copy| copy.read_at_ms.is_none() && !copy.recalled) {
            copy.read_at_ms = copy.habit_ms.filter(|at| *at <= now);
        }
    }

    /// How many have read a batch.
    pub fn readers(&self, bm_id: &str) -> usize {
        let copies = self.inboxes.values().flatten();
        copies.filter(|copy| copy.bm_id == bm_id && copy.read_at_ms.is_some()).count()
    }
}

/// When somebody reads a message of its own accord: seven in ten do, within ten minutes, always at the same moment.
fn reading_habit(open_id: &str, at_ms: i64) -> Option<i64> {
    let habit = i64::from_str_radix(&sha256_hex(open_id.as_bytes())[..6], 16).expect("six hex digits");
    (habit % 10 < 7).then(|| at_ms + 20_000 + habit % 580_000)
}
