//! Two controls in the test's own process on one PostgreSQL, the first of which reaches it over a way that can be cut.
//!
//! ```text
//!   first ──► Way ──┐
//!   second ─────────┴──► PostgreSQL
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::Shared;
use crate::domain::session::Session;
use crate::doubt::Doubts;
use crate::support::postgres::Postgres;
use crate::support::{DEADLINE, data};
use crate::{Config, Control};

/// How long a link is listened to here: nearly as long as an agent waits for its welcome.
const PATIENCE: Duration = Duration::from_secs(8);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A control, and what it stands on.
pub(crate) struct Half {
    pub app: Shared,
    /// Where agents dial it.
    pub address: String,
    pub folder: TempDir,
    _stop: DropGuard,
}

pub(crate) struct Pair {
    pub first: Half,
    pub second: Half,
    pub server: Postgres,
    pub way: Way,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        let server = Postgres::start();
        let way = Way::to(server.socket()).await;
        let first = Half::start(tempfile::tempdir().unwrap(), way.url.clone()).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(data(folder.path())).unwrap();
        for name in ["authority.pem", "authority.key"] {
            let from = data(first.folder.path()).join(name);
            std::fs::copy(from, data(folder.path()).join(name)).unwrap();
        }
        let second = Half::start(folder, server.url()).await;
        Self {
            first,
            second,
            server,
            way,
        }
    }

    /// Where an agent dials both, the first one first.
    pub(crate) fn addresses(&self) -> String {
        format!("{},{}", self.first.address, self.second.address)
    }
}

impl Half {
    async fn start(folder: TempDir, database: String) -> Self {
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            data: data(folder.path()),
            database: Some(database),
            read_timeout: crate::support::READ_TIMEOUT,
            public_url: None,
            proxies: crate::proxies::Proxies::default(),
            join_token_file: Some(folder.path().join("join-token")),
        };
        let stop = CancellationToken::new();
        let mut control = Control::open(config, stop.clone()).await.unwrap();
        let app = Arc::get_mut(&mut control.app).expect("nobody has it yet");
        app.replica.doubts = Doubts::patient(PATIENCE, PATIENCE + Duration::from_secs(1));
        let address = control.address().unwrap().to_string();
        let app = control.app.clone();
        tokio::spawn(control.serve());
        Self {
            app,
            address,
            folder,
            _stop: stop.drop_guard(),
        }
    }

    /// Waits until this one has seen that it is not alone.
    pub(crate) async fn knows_others(&self) {
        until(async || self.app.replica.sight.knows_others()).await;
    }

    /// Waits until this one has as many links.
    pub(crate) async fn has_links(&self, many: usize) {
        until(async || self.app.hosts.here().len() == many).await;
    }

    /// Waits until a lease is as asked for.
    pub(crate) async fn lease_is(&self, session: &Session, wanted: impl Fn(&Session) -> bool) {
        until(async || {
            let read = self.app.store.session(session.id).await;
            read.ok().flatten().is_some_and(|session| wanted(&session))
        })
        .await;
    }
}

/// Looks until something is so.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let looks = async {
        while !is_so().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(DEADLINE, looks)
        .await
        .expect("it never is so");
}

/// The way to a server: what a network is.
pub(crate) struct Way {
    pub url: String,
    /// How often it was cut and mended: it stands when that is even.
    turns: watch::Sender<u32>,
}

impl Way {
    async fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (turns, turned) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut turned = turned.clone();
                if *turned.borrow_and_update() % 2 == 0 {
                    tokio::spawn(carry(client, socket.clone(), turned));
                }
            }
        });
        let url = format!("postgres://farglass@127.0.0.1:{port}/postgres?sslmode=disable");
        Self { url, turns }
    }

    /// Breaks every connection; a new one is closed at once.
    pub(crate) fn cut(&self) {
        self.turns.send_modify(|turns| *turns += 1);
    }

    pub(crate) fn mend(&self) {
        self.turns.send_modify(|turns| *turns += 1);
    }
}

async fn carry(mut client: TcpStream, socket: PathBuf, mut turned: watch::Receiver<u32>) {
    let Ok(mut server) = UnixStream::connect(socket).await else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = turned.changed() => {}
    }
}
