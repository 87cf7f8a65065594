//! The running bot: store, client, loops and listeners, put together from checked settings and stopped politely.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use futures_util::future::join_all;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::{AbortHandle, JoinHandle};

use crate::app::clock::Clock;
use crate::app::rules::RulesFile;
use crate::app::worker::Workers;
use crate::app::{App, Parts, authorize, rosters, tidy};
use crate::config::{Config, PolicyFile};
use crate::feishu::client::SetupError;
use crate::feishu::envelope::Door;
use crate::feishu::{Feishu, Settings};
use crate::store::{Store, StoreError};
use crate::web::{self, measures};

/// How long running steps may finish after a signal: well below the ten seconds after which containers are killed.
/// A batch whose call takes longer is in doubt at the next start, as after a crash.
const DRAIN: Duration = Duration::from_secs(7);

/// How long the store may take to close after that: a server that has gone silent never does.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Why the bot could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{setting}: cannot listen on {address} ({source}); is another program using the port?")]
    Listen { setting: &'static str, address: SocketAddr, source: std::io::Error },
    #[error("DATABASE_URL: {0}")]
    Store(#[from] StoreError),
    #[error("the HTTPS client could not be set up: {0}")]
    Client(String),
}

/// A bot that is taking events.
pub struct Bot {
    pub app: Arc<App>,
    address: SocketAddr,
    servers: Vec<(ServerHandle, JoinHandle<std::io::Result<()>>)>,
    workers: Option<Workers>,
    measuring: Option<AbortHandle>,
}

/// Whether the loops run by themselves or the caller cranks the steps by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loops {
    Running,
    ByHand,
}

impl Bot {
    /// Opens the store, binds the listeners and starts working. Events are answered from here on.
    ///
    /// # Errors
    /// A port in use, a store that cannot be opened or migrated.
    pub async fn start(
        config: Config,
        clock: Arc<dyn Clock>,
        metrics: Option<PrometheusHandle>,
        loops: Loops,
    ) -> Result<Self, StartError> {
        let listener = listen("LISTEN_ADDR", config.listen_addr)?;
        let address = listener.local_addr().map_err(|source| StartError::Listen {
            setting: "LISTEN_ADDR",
            address: config.listen_addr,
            source,
        })?;
        let metrics = match (config.metrics_addr, metrics) {
            (Some(address), Some(metrics)) => Some((listen("METRICS_ADDR", address)?, address, metrics)),
            _ => None,
        };
        // Beside the opening of the store: it reads every certificate that the machine trusts.
        let settings = feishu_settings(&config);
        let feishu = tokio::task::spawn_blocking(move || Feishu::new(settings));
        let door = door(&config);
        let store = Store::open(&config.database_url, config.chain).await?;
        let feishu = feishu.await.map_err(|error| StartError::Client(error.to_string()))?;
        let app = Arc::new(App::new(Parts {
            store,
            feishu: feishu.map_err(|error| StartError::Client(error.to_string()))?,
            clock,
            policy: config.policy,
            rules_file: config.policy_file.map(rules_file),
            secrets: config.secrets,
            door,
            public_url: config.public_url,
            zone: config.zone,
        }));
        if loops == Loops::Running {
            app.follow_clock().await?;
        }
        tidy::begin(&app).await?;
        authorize::seal_anew(&app).await?;
        rosters::begin(&app).await?;
        let server = web::serve(Arc::clone(&app), listener).map_err(|source| StartError::Listen {
            setting: "LISTEN_ADDR",
            address,
            source,
        })?;
        let mut servers = vec![(server.handle(), tokio::spawn(server))];
        let mut measuring = None;
        if let Some((listener, address, metrics)) = metrics {
            measuring = Some(tokio::spawn(measures::keep(metrics.clone())).abort_handle());
            let server = measures::serve(metrics, listener).map_err(|source| StartError::Listen {
                setting: "METRICS_ADDR",
                address,
                source,
            })?;
            servers.push((server.handle(), tokio::spawn(server)));
        }
        let mut workers = (loops == Loops::Running).then(|| Workers::start(&app));
        if let (Some(workers), true) = (&mut workers, measuring.is_some()) {
            workers.watch(&app);
        }
        Ok(Self { app, address, servers, workers, measuring })
    }

    /// Where the public routes listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends when somebody has been at the database for longer than `patience`: no answer will come any more, and whoever
    /// waits for it waits for ever. A start finds everything in the store as it was.
    pub async fn hung(&self, patience: Duration) {
        let mut looks = 0;
        // Twice: a machine that was suspended finds everything old when it wakes, and done a moment later.
        while looks < 2 {
            tokio::time::sleep(patience / 20).await;
            looks = if self.app.store.longest_use() < patience { 0 } else { looks + 1 };
        }
    }

    /// Takes no more events, lets what has begun finish, closes the store. Returns whether everything finished.
    pub async fn stop(&mut self) -> bool {
        // Side by side: what is still accepted while the loops drain is in the store, and goes on at the next start.
        let closing = join_all(self.servers.iter().map(|(handle, _)| web::stop(handle.clone())));
        let draining = async {
            match self.workers.take() {
                Some(workers) => workers.stop(DRAIN).await,
                None => true,
            }
        };
        let (_, drained) = tokio::join!(closing, draining);
        if let Some(measuring) = self.measuring.take() {
            measuring.abort();
        }
        let closed = tokio::time::timeout(CLOSE_MAX, self.app.store.close()).await;
        drained && closed.is_ok()
    }
}

/// The platform, as the app of these settings speaks to it.
///
/// # Errors
/// When this machine cannot do TLS.
pub fn feishu(config: &Config) -> Result<Feishu, SetupError> {
    Feishu::new(feishu_settings(config))
}

fn feishu_settings(config: &Config) -> Settings {
    Settings {
        open_url: config.open_url.clone(),
        accounts_url: config.accounts_url.clone(),
        app_id: config.app_id.clone(),
        app_secret: config.app_secret.clone(),
    }
}

/// With which the platform's pushes are let in.
pub fn door(config: &Config) -> Door {
    Door {
        app_id: config.app_id.clone(),
        verification_token: config.verification_token.clone(),
        encrypt_key: config.encrypt_key.clone(),
    }
}

fn rules_file(file: PolicyFile) -> RulesFile {
    let (path, text) = (file.path.clone(), file.text.clone());
    RulesFile { path, text, read: Box::new(move |text| file.apply(text)) }
}

fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| StartError::Listen { setting, address, source })
}
