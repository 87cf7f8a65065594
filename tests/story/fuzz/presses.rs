//! Presses, as they come through the door: read from an event, and decided on a real store, where only a right press of
//! somebody who may changes anything.

use feishu_broadcast::app::press;
use feishu_broadcast::domain::ids::{BroadcastId, OpenId};
use feishu_broadcast::feishu::event::{Event, EventKind};
use feishu_broadcast::store::broadcasts::Which;
use feishu_broadcast::view::answers;
use serde_json::{Value, json};

use super::door;
use super::mutate::{self, pick};
use super::{Read, fuzz, promise};
use crate::approve::proposal;
use crate::kill::Dice;
use crate::stage::{Stage, story};

/// What is pressed here: a broadcast that waits for its approval, and who is who.
struct Table {
    id: BroadcastId,
    version: i64,
    approver: String,
    author: String,
    nobody: String,
}

impl Table {
    fn card(&self, dice: &mut Dice) -> Value {
        let actions = ["approve", "reject", "cancel", "resend", "settle", "refresh", "confirm", "recall", "pick", "x"];
        let mut value = json!({"action": pick(dice, &actions), "broadcast": self.id.as_str(), "version": self.version});
        if dice.throw(2) == 0 {
            value["version"] = json!(self.version + 1);
        }
        if dice.throw(3) == 0 {
            value["broadcast"] = json!("K7M2QX");
        }
        if dice.throw(4) == 0 {
            value = Value::String(value.to_string());
        }
        let mut event = door::press(&value);
        let operator = match dice.throw(4) {
            0 => &self.nobody,
            1 => &self.author,
            _ => &self.approver,
        };
        event["event"]["operator"]["open_id"] = json!(operator);
        event["header"]["event_id"] = json!(format!("ev-{}", dice.throw(usize::MAX)));
        event
    }

    /// Whether this press may move the broadcast from where it stands.
    fn may_move(&self, event: &Event) -> bool {
        let EventKind::CardAction(pressed) = &event.kind else { return false };
        let says = |key: &str| pressed.value.get(key).and_then(Value::as_str).unwrap_or_default();
        let id = BroadcastId::parse(says("broadcast")) == Some(self.id.clone());
        let version = pressed.value.get("version").and_then(Value::as_i64) == Some(self.version);
        let who = pressed.operator.as_str();
        let may = match says("action") {
            "approve" | "reject" => who == self.approver,
            "cancel" => who == self.author,
            _ => false,
        };
        id && version && may
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_press_is_decided_or_explained() {
    story(async |stage| {
        proposal(stage, "王芳", "开会").await?;
        let id = BroadcastId::parse(&Stage::id_on(&stage.card_of("王芳")?)).expect("the card names it");
        let before = stage.bot.app.store.broadcast(&id).await?.expect("it was proposed");
        let person = |name: &str| stage.person(name).open_id;
        let table = Table {
            id,
            version: before.version,
            approver: person("赵磊"),
            author: person("王芳"),
            nobody: person("陈晨"),
        };
        let app = std::sync::Arc::clone(&stage.bot.app);
        let runtime = tokio::runtime::Handle::current();
        let play = move |dice: &mut Dice| {
            let (valid, other) = (table.card(dice), table.card(dice));
            let body = match dice.throw(4) {
                0 => mutate::bytes(dice, valid.to_string().as_bytes(), other.to_string().as_bytes()),
                _ => mutate::json(dice, &valid, &other).into_bytes(),
            };
            let Ok(event) = Event::parse(&body) else { return Ok(Read::Refused) };
            let EventKind::CardAction(pressed) = &event.kind else { return Ok(Read::Refused) };
            if table.may_move(&event) {
                // Those are what stories are told about; here the broadcast stays for the next one.
                return Ok(Read::Understood);
            }
            let told = || String::from_utf8_lossy(&body).into_owned();
            runtime.block_on(async {
                let toast = press::press(&app, event.key.as_str(), pressed).await;
                let toast = toast.map_err(|error| format!("{error}: {}", told()))?;
                let shown = toast.body();
                promise(!shown.to_string().is_empty() && shown.get("toast").is_some(), || {
                    format!("{shown}: {}", told())
                })?;
                let after = app.store.broadcast(&table.id).await.map_err(|error| error.to_string())?;
                promise(after.as_ref() == Some(&before), || format!("{after:?} after {}", told()))?;
                let unread = shown.to_string().contains(&answers::unknown_button().zh);
                Ok(if unread { Read::Refused } else { Read::Understood })
            })
        };
        tokio::task::spawn_blocking(move || fuzz("press", 3000, 1_000_000, play)).await?;
        let zhao = OpenId::new(stage.person("赵磊").open_id).expect("an id");
        let store = &stage.bot.app.store;
        let still = store.recent(None, Which::Undecided).await?;
        assert!(still.iter().all(|broadcast| broadcast.approvals.iter().all(|approval| approval.by != zhao)));
        Ok(())
    })
    .await;
}
