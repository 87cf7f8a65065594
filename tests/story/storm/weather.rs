//! What goes wrong: the wire, the platform's answers, the store, the clock, and the bot's own life.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use feishu_broadcast::app::{cards, dispatch, inbox, letters, progress, tidy, worker};
use serde_json::json;

use super::{Day, long};
use crate::crash::death::die;
use crate::sandbox::faults::Throttle;
use crate::sandbox::{Call, Effect, Fault, When, Wire};
use crate::stage::LEASES_OVER;

/// Every endpoint the bot calls, those more often that matter more.
const ENDPOINTS: [&str; 16] = [
    "batch_send",
    "batch_send",
    "batch_send",
    "messages.create",
    "messages.create",
    "messages.reply",
    "messages.reply",
    "messages.patch",
    "messages.patch",
    "token",
    "batch.progress",
    "batch.read_user",
    "departments.batch",
    "departments.search",
    "oauth.refresh",
    "bot_info",
];

/// Codes with which `batch_send` says that nothing was sent; the last asks for the day's quota.
const SEND_CODES: [i64; 9] = [11_232, 11_233, 99_991_663, 99_991_400, 10_003, 11_204, 11_312, 11_246, 11_247];

/// Codes of the other endpoints that are not for good: what is for good is given up, which other stories tell.
const TALK_CODES: [i64; 6] = [2200, 1500, 99_991_663, 230_020, 99_991_400, 5000];

/// Calls that one fault strikes at most: fewer than make the bot give up a card.
const STRIKES_MAX: usize = 3;

/// How long a late sender has to make its call, and to find that it may not write.
const LATE: Duration = Duration::from_millis(600);

/// How far ahead the last call may lie for the bot to wait for it, in ms: twice the minute of the pace, and room.
const WAITED_FOR_MS: i64 = 125_000;

/// How far a clock is set back at most, in ms.
const SET_BACK_MAX_MS: i64 = 30 * 60_000;

/// Polls of a step before it is dropped, at most; few steps have as many.
const POLLS_MAX: usize = 60;

impl Day<'_> {
    pub(super) fn weather_turns(&mut self) {
        for _ in 0..=self.dice.throw(3) {
            let endpoint = ENDPOINTS[self.dice.throw(ENDPOINTS.len())];
            let times = u32::try_from(1 + self.dice.throw(STRIKES_MAX)).expect("small");
            let skip = u32::try_from(self.dice.throw(3)).expect("small");
            let effect = self.effect(endpoint);
            self.tenant.fault(Fault { skip, ..Fault::on(endpoint, effect).times(times) });
        }
        match self.dice.throw(6) {
            0 => self.tenant.clear_faults(),
            // Rarely called, and what matters most.
            1..=3 => {
                let effect = self.effect("batch_send");
                self.tenant.fault(Fault::on("batch_send", effect));
            }
            _ => {}
        }
    }

    fn effect(&mut self, endpoint: &str) -> Effect {
        let when = if self.dice.throw(2) == 0 { When::BeforeAccept } else { When::AfterAccept };
        let send = endpoint == "batch_send";
        match self.dice.throw(11) {
            0 | 1 => Effect::Transport(when, Wire::Drop),
            2 => Effect::Transport(when, Wire::Timeout(self.hang(send))),
            3 => Effect::Transport(when, Wire::Html502),
            4 => Effect::Transport(When::AfterAccept, Wire::TruncatedJson),
            5 => Effect::Transport(When::AfterAccept, Wire::TruncatedBody),
            6 => Effect::CodeAfterAccept { http: 500, code: 2200, msg: "internal".into() },
            7 => Effect::Code { http: 503, code: 5000, msg: "internal".into(), body: None },
            8 => Effect::Code { http: 200, code: 0, msg: String::new(), body: Some(json!(["rubbish"])) },
            9 => {
                let throttle = [Throttle::Headers, Throttle::NoHeaders, Throttle::Http400][self.dice.throw(3)];
                Effect::Rate { throttle, reset_s: 1 + self.dice.throw(40) as u64 }
            }
            _ => {
                let codes: &[i64] = if send { &SEND_CODES } else { &TALK_CODES };
                let code = codes[self.dice.throw(codes.len())];
                let http = if send { 200 } else { 400 };
                Effect::Code { http, code, msg: format!("simulated {code}"), body: None }
            }
        }
    }

    /// How long a call hangs before it breaks off; in long runs longer than the bot waits, now and then.
    fn hang(&mut self, send: bool) -> Duration {
        // Thrown in any case, so that a seed plays the same day in a short run, but for these waits.
        let briefly = self.dice.throw(6) > 0;
        if !long() || briefly {
            return Duration::from_millis(100);
        }
        Duration::from_secs(if send { 31 } else { 11 })
    }

    /// Connections are refused for a while, and the bot works.
    pub(super) async fn nobody_listens(&mut self) {
        self.tenant.shut().await;
        let cranks = 1 + self.dice.throw(8);
        self.crank(cranks).await;
        self.tenant.reopen();
    }

    /// Somebody else writes to the store for a moment, while people write and the bot works.
    pub(super) async fn store_is_busy(&mut self) -> anyhow::Result<()> {
        let held = Duration::from_millis(100 + self.dice.throw(400) as u64);
        let memory = self.memory.clone();
        let life = async {
            self.proposes().await;
            self.crank(2).await;
            self.approver_presses().await;
        };
        let (held, ()) = tokio::join!(memory.hold(held), life);
        held
    }

    /// The store does not answer for longer than an event may wait, or loses its connections.
    pub(super) async fn store_is_gone(&mut self) -> anyhow::Result<()> {
        let memory = self.memory.clone();
        let later = Duration::from_millis(self.dice.throw(40) as u64);
        let life = async {
            self.proposes().await;
            self.crank(3).await;
            self.author_decides().await;
        };
        let gone = async {
            tokio::time::sleep(later).await;
            memory.end_connections(Duration::from_millis(2800)).await
        };
        let (gone, ()) = tokio::join!(gone, life);
        gone
    }

    /// The bot dies at one await of one of its steps.
    pub(super) async fn dies(&mut self) -> anyhow::Result<()> {
        let (kind, moment) = (self.dice.throw(8), self.dice.throw(POLLS_MAX));
        let died = die(self.stage, moment, async move |app| {
            match kind {
                0 => inbox::step(&app).await,
                1..=2 => dispatch::step(&app).await,
                3 => letters::step(&app).await,
                4 => cards::step(&app).await,
                5 => progress::step(&app).await,
                6 => tidy::step(&app).await,
                _ => worker::work_once(&app).await,
            }
            .map(drop)
        })
        .await;
        self.died(died.is_ok()).await
    }

    /// After a death: the bot runs again, unless its step failed before it could be dropped.
    pub(super) async fn died(&mut self, runs_again: bool) -> anyhow::Result<()> {
        if runs_again {
            self.forgets();
            return Ok(());
        }
        self.starts_again().await
    }

    /// The machine dies between two steps and comes back.
    pub(super) async fn starts_again(&mut self) -> anyhow::Result<()> {
        self.stage.restart().await?;
        self.forgets();
        Ok(())
    }

    /// A bot that died does not remember that it was asked to slow down; only the batch that was refused still waits.
    fn forgets(&self) {
        self.tenant.with(|world| world.rates.throttled.clear());
    }

    /// A sender takes a batch and hangs before its call; its lease runs out, people decide, and then it goes on. What it
    /// learns is written by nobody.
    pub(super) async fn a_sender_is_late(&mut self) {
        for _ in 0..3 {
            self.approver_presses().await;
        }
        let app = Arc::clone(&self.stage.bot.app);
        let Ok(Some(taken)) = dispatch::next(&app).await else { return };
        self.tenant.later(LEASES_OVER).await;
        self.crank(6).await;
        for _ in 0..4 {
            self.author_decides().await;
        }
        let cranks = self.dice.throw(3);
        self.crank(cranks).await;
        // It would try to write for a while; then it is gone.
        let _lost = tokio::time::timeout(LATE, dispatch::send(&app, taken)).await;
    }

    /// Time passes: seconds to hours with the bot alive, or hours without it.
    pub(super) async fn time_passes(&mut self) -> anyhow::Result<()> {
        let minutes = Duration::from_secs(60);
        let how = self.dice.throw(5);
        match how {
            0..=3 => self.passes([minutes / 2, 5 * minutes, 40 * minutes, 150 * minutes][how]).await,
            _ => {
                self.tenant.connect("http://127.0.0.1:9");
                self.tenant.later(90 * minutes).await;
                self.starts_again().await?;
                self.crank(12).await;
            }
        }
        Ok(())
    }

    async fn passes(&mut self, time: Duration) {
        // What fails on the way is tried again later.
        let _failed = self.stage.later(time).await;
    }

    /// The clock is set: forward by minutes, or back by minutes.
    pub(super) fn clock_is_set(&mut self) {
        let mut by_ms = 60_000 * (3 + i64::try_from(self.dice.throw(12)).expect("small"));
        if self.dice.throw(2) == 0 {
            self.tenant.clock_offset().fetch_add(by_ms, Ordering::SeqCst);
            return;
        }
        // Where its last calls lie ahead by little, the bot waits for them, and that is time nobody moves by hand.
        let now = self.tenant.now_ms();
        let calls = self.tenant.calls();
        let ago = |call: &Call| now - call.at_ms;
        let paced = |call: &&Call| call.endpoint == "batch_send" || call.endpoint.starts_with("messages.");
        while calls.iter().filter(paced).map(ago).any(|ago| (0..WAITED_FOR_MS).contains(&(by_ms - ago))) {
            by_ms += 60_000;
            if by_ms > SET_BACK_MAX_MS {
                return;
            }
        }
        self.tenant.sets_clock_back(Duration::from_millis(by_ms.unsigned_abs()));
    }
}
