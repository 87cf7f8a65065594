//! The handle a story holds: opens the tenant's two origins, moves its clock, arms faults, and tells what happened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::net::TcpSocket;
use serde::Serialize;

use super::batch::Task;
use super::faults::{Fault, Switches};
use super::http;
use super::http::rates::Rates;
use super::people::{Company, Group};
use super::person::{ChatMessage, Person};
use super::push::pusher;
use super::record::{Call, Push};
use super::view::view;
use super::world::{App, World};

/// Tries to take over the port of a server that was stopped, 10 ms apart.
const KEEP_TRIES_MAX: usize = 200;

/// A running tenant. Clones share it.
#[derive(Clone)]
pub struct Tenant {
    world: Arc<Mutex<World>>,
    servers: Arc<Mutex<Vec<ServerHandle>>>,
    /// Keeps the Open API's port while nobody listens there.
    kept: Arc<Mutex<Option<TcpSocket>>>,
    pusher: reqwest::Client,
    open_url: String,
    accounts_url: String,
}

/// One department of the tree, with what batch messages did there.
#[derive(Clone, Debug, Serialize)]
pub struct TreeNode {
    pub open_department_id: String,
    pub department_id: String,
    /// `0` under the root.
    pub parent: String,
    pub name: String,
    pub path: String,
    /// 0 at the top level.
    pub depth: usize,
    /// People in the sub-tree.
    pub headcount: usize,
    /// Names of those directly in it.
    pub people: Vec<String>,
    /// People of the sub-tree that a batch message reached.
    pub reached: usize,
    /// Batch messages that arrived in the sub-tree.
    pub delivered: usize,
}

impl Tenant {
    /// Opens a tenant on two loopback ports. Must be called inside a tokio runtime.
    pub fn open(company: Company) -> Tenant {
        Tenant::open_seeded(company, 20_261_201)
    }

    /// Like [`Tenant::open`]; `seed` decides which optional fields pushes omit.
    pub fn open_seeded(company: Company, seed: u64) -> Tenant {
        let world = Arc::new(Mutex::new(World::new(company, seed)));
        let (open, accounts) = (http::listen(), http::listen());
        let tenant = Tenant {
            world,
            servers: Arc::default(),
            kept: Arc::default(),
            pusher: pusher(),
            open_url: http::origin_of(&open),
            accounts_url: http::origin_of(&accounts),
        };
        tenant.with(|world| {
            world.open_origin.clone_from(&tenant.open_url);
            world.accounts_origin.clone_from(&tenant.accounts_url);
        });
        let handles = vec![
            http::serve(open, tenant.clone(), http::Origin::Open),
            http::serve(accounts, tenant.clone(), http::Origin::Accounts),
        ];
        *tenant.servers.lock().unwrap_or_else(PoisonError::into_inner) = handles;
        tenant
    }

    /// Stops both origins.
    pub async fn close(&self) {
        let handles = std::mem::take(&mut *self.servers.lock().unwrap_or_else(PoisonError::into_inner));
        for handle in handles {
            handle.stop(false).await;
        }
    }

    /// Nobody listens at the Open API's address any more: what is open breaks off, what is new is refused. The port stays
    /// ours, so that no other program of this machine gets the bot's calls.
    pub async fn shut(&self) {
        let open = self.servers.lock().unwrap_or_else(PoisonError::into_inner).first().cloned();
        if self.is_shut() {
            return;
        }
        if let Some(open) = open {
            open.stop(false).await;
        }
        let address = self.open_url.trim_start_matches("http://").parse().expect("the origin is an address");
        for _ in 0..KEEP_TRIES_MAX {
            let socket = TcpSocket::new_v4().expect("a socket can be had");
            socket.set_reuseaddr(true).expect("a fresh socket takes the option");
            if socket.bind(address).is_ok() {
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
                return;
            }
            // The listener that was stopped is still on its way out.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the port of the Open API is not let go");
    }

    /// Whether connections to the Open API are refused.
    pub fn is_shut(&self) -> bool {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Somebody listens again, at the same address.
    pub fn reopen(&self) {
        let Some(socket) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let listener =
            socket.listen(1024).and_then(|listener| listener.into_std()).expect("a bound port can be listened on");
        let handle = http::serve(listener, self.clone(), http::Origin::Open);
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)[0] = handle;
    }

    /// Looks at or changes the world. The lock is held for as long as `look` runs, so it must not call the tenant.
    pub fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        // A story that panicked while holding the lock has failed already; the rest may still look around.
        look(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn pusher(&self) -> &reqwest::Client {
        &self.pusher
    }

    /// Origin of the Open API, for `FEISHU_OPEN_URL`.
    pub fn open_url(&self) -> &str {
        &self.open_url
    }

    /// Origin of the consent page, for `FEISHU_ACCOUNTS_URL`.
    pub fn accounts_url(&self) -> &str {
        &self.accounts_url
    }

    /// The settings a bot needs to serve this tenant, by the names of its environment. `PUBLIC_URL` is not among them.
    pub fn settings(&self) -> Vec<(String, String)> {
        self.with(|world| {
            let open_ids = |wanted: fn(&super::Employee) -> bool| {
                let people = world.company.people.iter().filter(|p| wanted(p));
                people.map(|p| p.open_id.clone()).collect::<Vec<_>>().join(",")
            };
            let mut settings = vec![
                ("FEISHU_APP_ID".to_owned(), world.app.app_id.clone()),
                ("FEISHU_APP_SECRET".to_owned(), world.app.app_secret.clone()),
                ("FEISHU_VERIFICATION_TOKEN".to_owned(), world.app.verification_token.clone()),
                ("FEISHU_OPEN_URL".to_owned(), world.open_origin.clone()),
                ("FEISHU_ACCOUNTS_URL".to_owned(), world.accounts_origin.clone()),
                ("BROADCAST_ADMINS".to_owned(), open_ids(|p| p.admin)),
                ("BROADCAST_APPROVERS".to_owned(), open_ids(|p| p.approver)),
            ];
            if let Some(key) = &world.app.encrypt_key {
                settings.push(("FEISHU_ENCRYPT_KEY".to_owned(), key.clone()));
            }
            settings
        })
    }

    /// Where pushes go from now on: an origin such as `http://127.0.0.1:8080`.
    pub fn connect(&self, bot_url: &str) {
        self.with(|world| bot_url.trim_end_matches('/').clone_into(&mut world.bot_url));
    }

    /// Enters an address into the console's list of redirect URLs.
    pub fn allow_redirect(&self, uri: &str) {
        self.with(|world| world.app.redirect_uris.push(uri.to_owned()));
    }

    /// The tenant's time in ms since 1970.
    pub fn now_ms(&self) -> i64 {
        self.with(|world| world.now())
    }

    /// How far the tenant's clock is ahead of the machine's, in ms; the bot's clock may follow it.
    pub fn clock_offset(&self) -> Arc<AtomicI64> {
        self.with(|world| world.offset_ms.clone())
    }

    /// Moves the clock forward to a moment; never back.
    pub(super) fn advance_to(&self, at_ms: i64) {
        self.with(|world| {
            let missing = at_ms - world.now();
            if missing > 0 {
                world.offset_ms.fetch_add(missing, Ordering::SeqCst);
            }
            world.settle();
        });
    }

    /// The clock that tenant and bot share is set back. The platform's counters are not the machine's: they begin anew
    /// instead of counting the same minutes twice.
    pub fn sets_clock_back(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).expect("nobody sets a clock back by millions of years");
        self.with(|world| {
            world.offset_ms.fetch_sub(by_ms, Ordering::SeqCst);
            world.rates = Rates::default();
        });
    }

    /// Lets time pass: pushes that are due again go out, each at its moment, and batches are delivered.
    pub async fn later(&self, by: Duration) {
        let goal = self.now_ms() + i64::try_from(by.as_millis()).expect("a test does not wait for millions of years");
        self.push_due(goal).await;
        self.advance_to(goal);
    }

    /// Moves the clock to the moment when every accepted batch has been delivered.
    pub async fn work_until_quiet(&self) {
        let end = self.with(|world| world.tasks.iter().map(|task| task.ends_ms).max());
        if let Some(end) = end {
            self.push_due(end).await;
            self.advance_to(end);
        }
    }

    /// Keeps pushing what is owed as real time passes, until the runtime ends. For the playground.
    pub fn live(&self) -> tokio::task::JoinHandle<()> {
        let tenant = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let now = tenant.now_ms();
                tenant.push_due(now).await;
                tenant.with(World::settle);
            }
        })
    }

    /// A person by name, who must exist.
    pub fn person(&self, name: &str) -> Person {
        let open_id = self.with(|world| world.company.named(name).open_id.clone());
        Person { tenant: self.clone(), name: name.into(), open_id }
    }

    /// A person by open_id.
    pub fn person_by_id(&self, open_id: &str) -> Option<Person> {
        let name = self.with(|world| world.company.by_open_id(open_id).map(|p| p.name.clone()))?;
        Some(Person { tenant: self.clone(), name, open_id: open_id.into() })
    }

    /// The company as it is now.
    pub fn company(&self) -> Company {
        self.with(|world| world.company.clone())
    }

    /// Changes the company: people move, departments go.
    pub fn reorganise(&self, change: impl FnOnce(&mut Company)) {
        self.with(|world| change(&mut world.company));
    }

    /// A group by name, which must exist.
    pub fn group(&self, name: &str) -> Group {
        self.with(|world| world.company.groups.iter().find(|g| g.name == name).cloned()).expect("no such group")
    }

    /// Any chat, oldest first, as it stands now.
    pub fn chat_messages(&self, chat_id: &str) -> Vec<ChatMessage> {
        self.with(|world| {
            let inside = world.messages.iter().filter(|m| m.chat_id == chat_id);
            inside.map(|message| view(world, message)).collect()
        })
    }

    /// The organisation chart, parents before children.
    pub fn tree(&self) -> Vec<TreeNode> {
        self.with(|world| {
            world.settle();
            let alive = world.company.departments.iter().filter(|d| !d.deleted);
            let mut nodes: Vec<TreeNode> = alive
                .map(|department| {
                    let id = &department.open_department_id;
                    let members = world.company.members(id);
                    let counts: Vec<usize> =
                        members.iter().map(|p| world.inboxes.get(&p.open_id).map_or(0, Vec::len)).collect();
                    TreeNode {
                        open_department_id: id.clone(),
                        department_id: department.department_id.clone(),
                        parent: department.parent.clone(),
                        name: department.name.clone(),
                        path: department.path.clone(),
                        depth: department.path.matches('/').count(),
                        headcount: members.len(),
                        people: members.iter().filter(|p| p.departments.contains(id)).map(|p| p.name.clone()).collect(),
                        reached: counts.iter().filter(|count| **count > 0).count(),
                        delivered: counts.iter().sum(),
                    }
                })
                .collect();
            nodes.sort_by_key(|node| world.company.departments.iter().position(|d| d.path == node.path));
            nodes
        })
    }

    /// Copies delivered: person's name to batch id to count.
    pub fn deliveries(&self) -> BTreeMap<String, BTreeMap<String, usize>> {
        self.with(|world| {
            world.settle();
            let mut counts: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
            for (open_id, inbox) in &world.inboxes {
                for message in inbox {
                    let name = world.employee(open_id).name.clone();
                    *counts.entry(name).or_default().entry(message.bm_id.clone()).or_default() += 1;
                }
            }
            counts
        })
    }

    /// Every batch that was accepted, oldest first.
    pub fn tasks(&self) -> Vec<Task> {
        self.with(|world| {
            world.settle();
            world.tasks.clone()
        })
    }

    /// Every request of the bot, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.with(|world| world.calls.clone())
    }

    /// The requests to one endpoint.
    pub fn calls_to(&self, endpoint: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.endpoint == endpoint).collect()
    }

    /// Log entries after a number, for a page that follows along.
    pub fn log_since(&self, number: u64) -> (Vec<Call>, Vec<Push>) {
        self.with(|world| {
            let calls = world.calls.iter().filter(|c| c.number > number).cloned().collect();
            (calls, world.pushes.iter().filter(|p| p.number > number).cloned().collect())
        })
    }

    /// Every request to the bot, oldest first.
    pub fn pushes(&self) -> Vec<Push> {
        self.with(|world| world.pushes.clone())
    }

    /// Everything the platform's contract forbids that has happened.
    pub fn violations(&self) -> Vec<String> {
        self.with(|world| world.violations.clone())
    }

    /// Forgets violations that contain `part`: what a story provoked on purpose.
    pub fn forgive(&self, part: &str) {
        self.with(|world| world.violations.retain(|what| !what.contains(part)));
    }

    /// Arms a fault.
    pub fn fault(&self, fault: Fault) {
        self.with(|world| world.faults.push(fault));
    }

    /// Faults that still lie in wait.
    pub fn faults(&self) -> Vec<Fault> {
        self.with(|world| world.faults.clone())
    }

    /// Disarms everything.
    pub fn clear_faults(&self) {
        self.with(|world| world.faults.clear());
    }

    /// Changes the lasting switches.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        self.with(|world| change(&mut world.switches));
    }

    /// Changes the app's console page.
    pub fn console(&self, change: impl FnOnce(&mut App)) {
        self.with(|world| change(&mut world.app));
    }

    /// Makes every token of the app invalid, without telling the bot.
    pub fn revoke_app_tokens(&self) {
        self.with(|world| world.tenant_tokens.iter_mut().for_each(|token| token.revoked = true));
    }

    /// Makes every token of a person invalid, without telling the bot.
    pub fn revoke_user_tokens(&self, name: &str) {
        let open_id = self.person(name).open_id;
        self.with(|world| {
            world.grants.iter_mut().filter(|g| g.open_id == open_id).for_each(|grant| grant.revoked = true);
        });
    }

    /// Whose browser it is that opens a consent page from now on.
    pub fn set_browser(&self, name: &str) {
        let open_id = self.person(name).open_id;
        self.with(|world| world.browser = Some(open_id));
    }

    /// A person opens the consent page and agrees; gives the address the browser is sent to.
    ///
    /// # Errors
    /// The page showed an error instead.
    pub fn consents(&self, authorize_url: &str, name: &str) -> Result<String, String> {
        http::consent::answered(self, authorize_url, name, true)
    }

    /// A person opens the consent page and refuses.
    ///
    /// # Errors
    /// The page showed an error instead.
    pub fn refuses(&self, authorize_url: &str, name: &str) -> Result<String, String> {
        http::consent::answered(self, authorize_url, name, false)
    }
}
