//! Control: who may use which device, for how long, and how it is told.
//!
//! ```text
//!            HTTP (http.rs, router.rs, routes/)              QUIC (agents.rs over signaling::link)
//!                        │                                          │
//!                        ▼                                          ▼
//!   domain/ (pure rules) ◄── store/ (SQLite, PostgreSQL) ──► app.rs: what a change sets off
//!                                                             │            │
//!                                                     jobs/ (prepare,   watch.rs (SSE)
//!                                                      release, sweep)      ▲
//!                                                                     replica.rs ◄── other controls on PostgreSQL
//! ```
//!
//! Invariant: media and input never pass through here. If control dies, running sessions go on; when it
//! is back, the agents' Hellos and its own rows are all it needs.
//! Invariant: a device is granted only by the conditional UPDATE of `store::claims`, and is free again
//! only after its agent acknowledged a cleaning for its newest epoch.
//! Invariant: tokens are kept as hashes and never logged.
//!
//! It does not know RTP, adb, or Docker.

mod agents;
mod app;
mod boot;
pub mod domain;
mod doubt;
mod headers;
mod hosts;
mod http;
mod jobs;
mod limits;
mod line;
mod linkage;
mod others;
pub mod proxies;
mod replica;
#[cfg(test)]
mod rig;
mod router;
mod routes;
mod secret;
mod sight;
#[cfg(test)]
#[path = "../sim/mod.rs"]
mod sim;
mod store;
#[cfg(test)]
#[allow(
    dead_code,
    unreachable_pub,
    unused_macros,
    reason = "the tests from outside use the rest of it"
)]
#[path = "../tests/control/support/mod.rs"]
mod support;
mod vital;
mod watch;

/// The rig of the tests from outside names it so.
#[cfg(test)]
extern crate self as control;
#[cfg(test)]
use support::postgres as postgres_child;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use signaling::link::server::Server as LinkServer;
use signaling::origin::Origin;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::agents::Agents;
use crate::app::{App, Shared};
use crate::hosts::Hosts;
use crate::jobs::duty::Duties;
use crate::jobs::sweep;
use crate::limits::Limits;
use crate::proxies::Proxies;
use crate::replica::Words;
use crate::store::Store;
use crate::store::address::Address;
use crate::watch::Watches;

/// How long jobs may take to end when control stops; what is cut short starts again at the next Hello.
const FAREWELL: Duration = Duration::from_secs(5);

pub use crate::store::READ_TIMEOUT;

/// Where control listens and what it keeps.
#[derive(Debug, Clone)]
pub struct Config {
    /// HTTP listens here on TCP, the agents' link on UDP with the same port. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Folder for the database, the certificate authority and `admin.json`; made if it is missing.
    pub data: PathBuf,
    /// Where the database is: `sqlite:FILE` or `postgres://…`. None means `control.db` in the data folder. It may hold
    /// a password, so it is never logged.
    pub database: Option<String>,
    /// How long a request waits for a connection to read from PostgreSQL before it is told to come again. The product has
    /// [`READ_TIMEOUT`]; the tests, which share a busy machine, wait for longer.
    pub read_timeout: Duration,
    /// How browsers reach this control, like `https://farglass.example.org`. None means
    /// `http://localhost:PORT`, which only a browser on this machine
    /// reaches: the cookies are `__Host-` ones, so every other browser needs https.
    pub public_url: Option<String>,
    /// The proxies in front, whose word about a person's address counts.
    pub proxies: Proxies,
    /// Where to write a fresh one-use join token when no enrolled host can come back by itself.
    pub join_token_file: Option<PathBuf>,
}

/// A control whose sockets are bound and whose database is open.
pub struct Control {
    app: Shared,
    listener: tokio::net::TcpListener,
    link: LinkServer,
    words: Words,
    proxies: Proxies,
}

/// Runs control until cancelled.
///
/// # Errors
/// When the data folder, the database or the address cannot be used; the text says what to do.
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    Control::open(config, stop).await?.serve().await
}

impl Control {
    /// Opens everything, so that whoever fails here fails before anybody is served.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn open(config: Config, stop: CancellationToken) -> anyhow::Result<Self> {
        let now = SystemTime::now();
        boot::make_folder(&config.data)?;
        let (authority, seal) = boot::authority(&config.data, now)?;
        let authority = Arc::new(authority);
        let address = match &config.database {
            Some(text) => text.parse()?,
            None => Address::in_folder(&config.data),
        };
        let id = Uuid::now_v7();
        let store = Store::open(address.clone(), id, config.read_timeout)
            .await
            .with_context(|| format!("the database ({address}) cannot be opened"))?;
        let (replica, words) = boot::among_others(&store, id, authority.fingerprint(), now.into()).await?;
        store.settle_devices(now.into()).await?;
        boot::first_admin(&store, &config.data, now.into()).await?;
        let (listener, socket) = boot::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let origins = own_origins(config.public_url.as_deref(), address)?;
        let link = LinkServer::new(socket, authority.clone(), now)?;
        if let Some(file) = &config.join_token_file {
            boot::join_token(&store, &authority, file, now.into()).await?;
        }
        let app = Arc::new(App {
            store,
            hosts: Hosts::default(),
            watches: Watches::default(),
            limits: Limits::new(Instant::now()),
            origins,
            authority: authority.fingerprint(),
            started: Instant::now(),
            seal,
            deadlines: Mutex::default(),
            duties: Duties::default(),
            replica,
            jobs: TaskTracker::new(),
            stop,
        });
        Ok(Self {
            app,
            listener,
            link,
            words,
            proxies: config.proxies,
        })
    }

    /// Where HTTP listens, and on UDP with the same port the agents' link.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until cancelled, then says goodbye to browsers and agents and closes the database.
    ///
    /// # Errors
    /// When the agents' link cannot go on.
    pub async fn serve(self) -> anyhow::Result<()> {
        let Self {
            app,
            listener,
            link,
            words,
            proxies,
        } = self;
        let stop = app.stop.clone();
        let router = router::router(&app);
        tracing::info!(address = %listener.local_addr()?, url = %app.origins[0], "control serves");
        let sweep = vital::spawn(&stop, sweep::run(app.clone()));
        let replica = vital::spawn(&stop, replica::run(app.clone(), words));
        let sight = vital::spawn(&stop, sight::run(app.clone()));
        let agents = vital::spawn(&stop, link.run(Arc::new(Agents(app.clone())), stop.clone()));
        http::serve(listener, router, proxies, stop.clone()).await;
        // HTTP ended because control stops; if it did not, the rest must not go on alone.
        stop.cancel();
        let agents = agents.await.context("the agents' link panicked")?;
        replica.await.context("the look at other replicas panicked")?;
        sight.await.context("the watch over the look panicked")?;
        sweep.await.context("the sweep panicked")?;
        app.jobs.close();
        if tokio::time::timeout(FAREWELL, app.jobs.wait()).await.is_err() {
            tracing::info!(
                jobs = app.jobs.len(),
                "jobs were cut short; what the rows still ask for starts again"
            );
        }
        app.store.close().await;
        Ok(agents?)
    }
}

/// The origins of our own pages; links are made with the first.
fn own_origins(public_url: Option<&str>, listen: SocketAddr) -> anyhow::Result<Vec<Origin>> {
    let port = listen.port();
    let mut texts: Vec<String> = public_url.map(str::to_owned).into_iter().collect();
    // Browsers on this machine reach a loopback or wildcard listener under these names.
    if listen.ip().is_loopback() || listen.ip().is_unspecified() {
        let names = ["localhost", "127.0.0.1", "[::1]"];
        texts.extend(names.map(|name| format!("http://{name}:{port}")));
    } else if texts.is_empty() {
        texts.push(format!("http://{listen}"));
    }
    texts.iter().map(|text| Ok(text.parse()?)).collect()
}

/// Entry point for fuzzing: any bytes as the headers that strangers send.
#[doc(hidden)]
pub fn fuzz_headers(bytes: &[u8]) {
    routes::request::fuzz(bytes);
}
