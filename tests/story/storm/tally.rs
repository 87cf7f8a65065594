//! What must be true after the storm, whatever happened in it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use feishu_broadcast::domain::batch::{Batch, BatchState};
use feishu_broadcast::domain::broadcast::{Broadcast, State};
use feishu_broadcast::domain::report::Report;
use serde_json::Value;

use super::people::id_on;
use super::{APPROVERS, AUTHORS, Day, crowd};
use crate::sandbox::batch::Task;
use crate::sandbox::record::PushKind;
use crate::sandbox::{ChatMessage, Company};

/// Lists of a call that name people and departments.
const LISTS: [&str; 4] = ["department_ids", "open_ids", "user_ids", "union_ids"];

/// A message that comes again under its uuid within this long is the same message, in ms.
const UUID_MS: i64 = 3_600_000;

/// What one batch was, and what came of it.
struct Counted {
    ids: BTreeSet<String>,
    batch: Batch,
    resends: usize,
}

impl Day<'_> {
    pub(super) async fn tally(&mut self) -> anyhow::Result<()> {
        // Copies that are on their way arrive.
        self.tenant.work_until_quiet().await;
        let broadcasts = self.broadcasts().await?;
        let words: BTreeSet<String> = broadcasts.iter().map(|b| b.content.plain()).collect();
        ensure!(words.len() == broadcasts.len(), "a command became two broadcasts: {words:?}");
        let mut allowed = BTreeMap::new();
        let mut shown: BTreeMap<(String, String), usize> = BTreeMap::new();
        let mut standing: BTreeMap<&str, usize> = BTreeMap::new();
        for broadcast in &broadcasts {
            *standing.entry(broadcast.state.as_str()).or_default() += 1;
            let whole = broadcast.content.plain();
            let counted = self.ledger(broadcast).await.with_context(|| format!("{} {whole}", broadcast.id))?;
            self.seen(broadcast).with_context(|| format!("{} {whole}", broadcast.id))?;
            for ((_, open_id), times) in self.shown.iter().filter(|((id, _), _)| *id == broadcast.id.to_string()) {
                shown.insert((whole.clone(), open_id.clone()), *times);
            }
            allowed.insert(whole, counted);
        }
        self.everybody_is_counted(&allowed, &shown)?;
        self.everybody_was_answered(&broadcasts)?;
        self.nothing_is_said_twice()?;
        // A card does not wait for the letters and the other cards of its chat; Feishu says so, and it comes later.
        self.tenant.forgive("more than 5 messages a second to one chat");
        let violations = self.tenant.violations();
        ensure!(violations.is_empty(), "violations: {violations:#?}");
        let sent = self.tenant.tasks().len();
        println!(
            "{}: {standing:?}, {sent} calls accepted, {} doubts decided",
            self.seed,
            self.resent.len() + self.taken.len()
        );
        Ok(())
    }

    /// Every accepted call belongs to a batch that may have made it, and every batch has what it says.
    async fn ledger(&self, broadcast: &Broadcast) -> anyhow::Result<Vec<Counted>> {
        let words = broadcast.content.plain();
        ensure!(broadcast.state.is_settled(), "is {}", broadcast.state.as_str());
        let audience = self.stage.bot.app.store.begin().await?.audience(&broadcast.id).await?;
        let plan = if broadcast.questions.is_empty() { broadcast.batches(&audience) } else { vec![] };
        let batches = self.stage.bot.app.store.batches(&broadcast.id).await?;
        ensure!(plan.len() == batches.len(), "{} batches of {} planned", batches.len(), plan.len());
        let of_it = self.tenant.tasks().into_iter().filter(|task| task.content()["text"] == words.as_str());
        let (samples, tasks): (Vec<Task>, Vec<Task>) = of_it.partition(|task| self.is_a_sample(task));
        for name in AUTHORS.iter().chain(&APPROVERS) {
            let person = self.tenant.person(name).open_id;
            let got = samples.iter().filter(|task| task.body["open_ids"][0] == person.as_str()).count();
            let asked = self.shown.get(&(broadcast.id.to_string(), person)).copied().unwrap_or(0);
            ensure!(got <= asked, "{name} was shown it {got} times and asked for it {asked} times");
        }
        if !tasks.is_empty() {
            self.was_approved(broadcast)?;
        }
        let report = Report::of(&batches);
        let settled = report.accepted + report.refused + report.taken_as_sent + report.cancelled;
        ensure!(settled == report.batches && report.open == 0 && report.in_doubt == 0, "does not add up: {report:?}");
        let all_went = report.accepted + report.taken_as_sent == report.batches;
        ensure!(broadcast.state != State::Sent || all_went, "sent, but {report:?}");
        ensure!(
            broadcast.state != State::PartlySent || !all_went || report.invalid.count() > 0,
            "partly, but {report:?}"
        );
        let mut counted = vec![];
        let mut of_a_batch = 0;
        for (targets, batch) in plan.iter().zip(batches) {
            let ids: BTreeSet<String> = targets.ids().map(str::to_owned).collect();
            let calls: Vec<&Task> = tasks.iter().filter(|task| ids_of(&task.body) == ids).collect();
            of_a_batch += calls.len();
            let resends = self.resent.get(&(broadcast.id.to_string(), batch.seq)).copied().unwrap_or(0);
            let (least, most) = match batch.state {
                BatchState::Accepted => (1, 1 + resends),
                BatchState::TakenAsSent => (0, 1 + resends),
                BatchState::Refused | BatchState::Cancelled => (0, resends),
                BatchState::Planned | BatchState::Sending | BatchState::InDoubt => (0, 0),
            };
            let seq = batch.seq;
            let taken = self.taken.contains(&(broadcast.id.to_string(), seq));
            ensure!(!taken || batch.state == BatchState::TakenAsSent, "batch {seq} was taken as sent, and went on");
            ensure!(
                (least..=most).contains(&calls.len()),
                "batch {seq} is {}, was accepted {} times and sent again {resends} times",
                batch.state.as_str(),
                calls.len()
            );
            if batch.state == BatchState::Accepted {
                let receipt = batch.outcome.message_id.as_ref().map(|id| id.as_str().to_owned());
                ensure!(calls.iter().any(|task| Some(&task.bm_id) == receipt.as_ref()), "batch {seq}: no such receipt");
            }
            counted.push(Counted { ids, batch, resends });
        }
        ensure!(of_a_batch == tasks.len(), "a call belongs to no batch");
        Ok(counted)
    }

    /// Nobody who decides is ever named in a broadcast of the day, so a call to one of them alone is a sample.
    fn is_a_sample(&self, task: &Task) -> bool {
        let ids = ids_of(&task.body);
        let decides = |name: &&str| ids.contains(&self.tenant.person(name).open_id);
        ids.len() == 1 && AUTHORS.iter().chain(&APPROVERS).any(decides)
    }

    /// Nothing leaves without the approvals: those who pressed, and none of them the author's own.
    fn was_approved(&self, broadcast: &Broadcast) -> anyhow::Result<()> {
        let id = broadcast.id.to_string();
        let author = self.tenant.person_by_id(broadcast.author.as_str()).context("an author")?.name;
        // Where no approval is asked for, the author confirms.
        let counts = |by: &str| if broadcast.required == 0 { by == author } else { by != author };
        let pressed: BTreeSet<&str> =
            self.approved.iter().filter(|one| one.broadcast == id && counts(one.by)).map(|one| one.by).collect();
        let required = usize::try_from(broadcast.required.max(1))?;
        ensure!(pressed.len() >= required, "was sent after approvals of {pressed:?}");
        ensure!(broadcast.approvals.len() >= required, "was sent with approvals of {:?}", broadcast.approvals);
        Ok(())
    }

    /// The cards show how it ended and offer nothing more, and the author was told.
    fn seen(&self, broadcast: &Broadcast) -> anyhow::Result<()> {
        let id = broadcast.id.to_string();
        let author = self.tenant.person_by_id(broadcast.author.as_str()).context("an author")?.name;
        let word = word(broadcast.state);
        let mut readers = vec![author.clone()];
        if broadcast.questions.is_empty() && broadcast.required > 0 {
            readers.extend(APPROVERS.iter().filter(|name| **name != author).map(|name| (*name).to_owned()));
        }
        for name in readers {
            let card = self.cards(&name).into_iter().find(|card| id_on(card).as_ref() == Some(&id));
            let card = card.with_context(|| format!("{name} has no card"))?;
            ensure!(card.text.contains(word), "{name} sees {} instead of {word}", card.text);
            let offered = self.offers(&name, &card);
            ensure!(
                offered.iter().all(|action| ["refresh", "recall", "resend"].contains(&action.as_str())),
                "{name}: {offered:?}"
            );
        }
        let chat = self.tenant.person(&author).chat();
        let told = chat.iter().any(|m| m.from_bot && m.msg_type == "text" && m.text.contains(&id));
        // Whoever cancels by a press is told by the toast.
        ensure!(told || broadcast.state == State::Cancelled, "{author} was not told");
        Ok(())
    }

    /// Nobody has more copies than people decided, nobody who was to get it has none.
    fn everybody_is_counted(
        &self,
        allowed: &BTreeMap<String, Vec<Counted>>,
        shown: &BTreeMap<(String, String), usize>,
    ) -> anyhow::Result<()> {
        let company = self.tenant.company();
        for person in &company.people {
            let mut copies: BTreeMap<String, usize> = BTreeMap::new();
            for message in self.tenant.person(&person.name).inbox() {
                *copies.entry(message.text).or_default() += 1;
            }
            let shown = |words: &str| shown.get(&(words.to_owned(), person.open_id.clone())).copied().unwrap_or(0);
            for (words, _) in copies.iter().filter(|(words, got)| **got > shown(words)) {
                let asked = self.asked.iter().find(|asked| asked.words == *words).context("nobody asked for it")?;
                ensure!(asked.may_get_it.contains(&person.open_id), "{} was not meant by {words}", person.name);
            }
            for (words, batches) in allowed {
                let got = copies.get(words).copied().unwrap_or(0);
                let named = batches.iter().filter(|one| one.names(&company, &person.open_id));
                let (mut least, mut most) = (0, 0);
                for one in named {
                    most += 1 + one.resends;
                    least += usize::from(one.batch.state == BatchState::Accepted && person.available);
                }
                let most = most + shown(words);
                ensure!(got <= most, "{} has {words} {got} times, {most} at most", person.name);
                ensure!(got >= least, "{} has {words} {got} times, {least} at least", person.name);
            }
        }
        ensure!(company.people.iter().any(|person| person.name == crowd(0)), "the crowd is there");
        Ok(())
    }

    /// Whatever was taken with 200 led to an answer, or to a card.
    fn everybody_was_answered(&self, broadcasts: &[Broadcast]) -> anyhow::Result<()> {
        let pushes = self.tenant.pushes();
        let taken: BTreeSet<&str> = pushes
            .iter()
            .filter(|push| push.kind == PushKind::Event && push.status == 200)
            .filter_map(|push| push.event.pointer("/event/message/message_id").and_then(Value::as_str))
            .collect();
        for said in &self.said {
            let message_id = said.event.body["event"]["message"]["message_id"].as_str().unwrap_or_default();
            let content = said.event.body["event"]["message"]["content"].as_str().unwrap_or_default();
            ensure!(taken.contains(message_id), "{} wrote {content}, which was never taken", said.person);
            let mut answers = self.tenant.chat_messages(&said.chat_id).into_iter();
            let answered = answers.any(|m| m.from_bot && m.parent_id.as_deref() == Some(message_id));
            let asked = self.asked.iter().find(|asked| content.contains(&asked.words));
            let proposed = asked.is_some_and(|asked| broadcasts.iter().any(|b| b.content.plain() == asked.words));
            ensure!(answered || proposed, "{} wrote {content} and got no answer ({message_id})", said.person);
        }
        Ok(())
    }

    /// An answer comes once, as far as Feishu helps with that.
    fn nothing_is_said_twice(&self) -> anyhow::Result<()> {
        let mut said: BTreeMap<(String, String, Option<String>), i64> = BTreeMap::new();
        let chats: BTreeSet<&str> = self.said.iter().map(|said| said.chat_id.as_str()).collect();
        for chat in chats {
            let texts = self.tenant.chat_messages(chat).into_iter();
            // Every batch that is in doubt is news.
            let once = |m: &ChatMessage| m.from_bot && m.msg_type == "text" && !m.text.contains("结果未知");
            for message in texts.filter(once) {
                let key = (chat.to_owned(), message.text.clone(), message.parent_id.clone());
                let before = said.insert(key, message.at_ms);
                let soon = before.is_some_and(|before| message.at_ms - before < UUID_MS);
                ensure!(message.parent_id.is_none() || !soon, "said twice: {}", message.text);
            }
        }
        Ok(())
    }
}

impl Counted {
    /// Whether this batch reaches a person, by their own id or a department's, that Feishu did not call invalid.
    fn names(&self, company: &Company, open_id: &str) -> bool {
        let invalid = &self.batch.outcome.invalid;
        self.ids.iter().filter(|id| !invalid.open_ids.contains(id) && !invalid.departments.contains(id)).any(|id| {
            let members = || company.department_by_id(id).map(|d| company.members(&d.open_department_id));
            id == open_id || members().is_some_and(|people| people.iter().any(|p| p.open_id == open_id))
        })
    }
}

fn ids_of(body: &Value) -> BTreeSet<String> {
    let lists = LISTS.iter().filter_map(|list| body[*list].as_array()).flatten();
    lists.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The word on a card, written down here once more: it is what people read.
fn word(state: State) -> &'static str {
    match state {
        State::NeedsChoice => "待选择",
        State::Pending => "待审批",
        State::Approved => "已通过",
        State::Scheduled => "已定时",
        State::Sending => "发送中",
        State::Sent => "已发送",
        State::PartlySent => "部分发送",
        State::Failed => "发送失败",
        State::InDoubt => "结果未知",
        State::Rejected => "已驳回",
        State::Cancelled => "已取消",
        State::Expired => "已过期",
        State::Recalled => "已撤回",
    }
}
