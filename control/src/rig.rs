//! The rig of tests that move the clock: an app on a real database, a host that said Hello once and is
//! out of reach, one device. What outlives a request is called by hand, with any `now`.
//!
//! A test is a function of a [`Rig`], and [`on_both!`] runs it on both databases.

pub(crate) mod linked;
pub(crate) mod pair;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use protocol::agent::{
    ConnectionEvent, ConnectionState, DeviceFact, DeviceHealth, Hello, LiveConnection, PROTOCOL, Role,
};
use protocol::{CloseReason, DeviceId, Epoch, HostId, LinkId};
use signaling::link::token::Fingerprint;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::app::{App, Shared};
use crate::domain::link::{Link, State, Target};
use crate::domain::policy::Policy;
use crate::domain::session::Session;
use crate::domain::time::{Moment, Steady, UnixMs};
use crate::hosts::Hosts;
use crate::jobs::duty::Duties;
use crate::jobs::sweep;
use crate::limits::Limits;
use crate::postgres_child::Postgres as Server;
use crate::replica::Replica;
use crate::secret::{Hash, Seal};
use crate::store::Store;
use crate::store::address::Address;
use crate::store::audit::Actor;
use crate::store::claims::{Claim, Claimed};
use crate::store::connections::Owner;
use crate::store::hosts::NewHost;
use crate::watch::Watches;

/// When control started.
pub(crate) const START: UnixMs = UnixMs(1_800_000_000_000);

pub(crate) struct Rig {
    pub app: Shared,
    pub host: HostId,
    pub device: DeviceId,
    _folder: TempDir,
    server: Option<Server>,
}

/// Lists functions of a [`Rig`] as two tests each.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        $(
            mod $name {
                #[tokio::test]
                async fn sqlite() {
                    super::$name($crate::rig::Rig::new().await).await;
                }

                #[tokio::test]
                async fn postgres() {
                    super::$name($crate::rig::Rig::on_postgres().await).await;
                }
            }
        )+
    };
}
pub(crate) use on_both;

/// This long after control started.
pub(crate) fn after(seconds: u64) -> UnixMs {
    START.plus(Duration::from_secs(seconds))
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::in_folder(folder.path());
        Self::on(address, folder, None).await
    }

    /// The same on a PostgreSQL of its own.
    pub(crate) async fn on_postgres() -> Self {
        let server = Server::start();
        let address = server.url().parse().unwrap();
        Self::on(address, tempfile::tempdir().unwrap(), Some(server)).await
    }

    async fn on(address: Address, folder: TempDir, server: Option<Server>) -> Self {
        let store = Store::open(address, Uuid::nil(), crate::support::READ_TIMEOUT)
            .await
            .unwrap();
        store.add_first_admin("admin", "", START).await.unwrap();
        let token = Hash::of("join");
        store.add_join_token(token, &Actor::SYSTEM, START).await.unwrap();
        let key = Fingerprint::of(b"key");
        let host = NewHost {
            token,
            key,
            name: "host",
            certificate_ends: after(86_400),
        };
        let host = store.join(host, &Actor::SYSTEM, START).await.unwrap().unwrap();
        let app = Arc::new(App {
            store,
            hosts: Hosts::default(),
            watches: Watches::default(),
            limits: Limits::new(Instant::now()),
            origins: vec!["http://localhost:3000".parse().unwrap()],
            authority: key,
            started: Instant::now(),
            seal: Seal::of("key"),
            deadlines: Mutex::default(),
            duties: Duties::default(),
            replica: Replica::new(Uuid::nil(), false).0,
            jobs: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let rig = Self {
            app,
            host,
            device: DeviceId::from_uuid(Uuid::now_v7()),
            _folder: folder,
            server,
        };
        rig.hello(Epoch(0), START).await;
        rig
    }

    /// The host says Hello with this fence and no connections.
    pub(crate) async fn hello(&self, fence: Epoch, now: UnixMs) -> Vec<Session> {
        self.hello_with(fence, vec![], now).await
    }

    /// The same, with connections.
    pub(crate) async fn hello_with(
        &self,
        fence: Epoch,
        connections: Vec<LiveConnection>,
        now: UnixMs,
    ) -> Vec<Session> {
        let hello = Hello {
            protocol: vec![PROTOCOL],
            agent_version: String::new(),
            name: "host".to_owned(),
            devices: vec![fact(self.device, "one", fence)],
            connections,
        };
        self.app.store.adopt(self.host, &hello, now).await.unwrap().live
    }

    /// The host says Hello with so many new devices in the place of its own: which.
    pub(crate) async fn fleet(&self, size: usize, now: UnixMs) -> Vec<DeviceId> {
        let ids: Vec<_> = (0..size).map(|_| DeviceId::from_uuid(Uuid::now_v7())).collect();
        let facts = ids
            .iter()
            .enumerate()
            .map(|(at, id)| fact(*id, &format!("device {at}"), Epoch(0)));
        let hello = Hello {
            protocol: vec![PROTOCOL],
            agent_version: String::new(),
            name: "host".to_owned(),
            devices: facts.collect(),
            connections: vec![],
        };
        self.app.store.adopt(self.host, &hello, now).await.unwrap();
        ids
    }

    /// A link with this token.
    pub(crate) async fn link(&self, token: &str, expires_at: Option<UnixMs>, max_uses: Option<u32>) -> Link {
        let link = Link {
            expires_at,
            max_uses,
            ..link_to(Target::Device(self.device))
        };
        self.keep(token, link).await
    }

    /// A link with this token to somewhere else.
    pub(crate) async fn link_to(&self, token: &str, target: Target) -> Link {
        self.keep(token, link_to(target)).await
    }

    async fn keep(&self, token: &str, link: Link) -> Link {
        let (admin, _) = self.app.store.user_by_login("admin").await.unwrap().unwrap();
        self.app
            .store
            .add_link(&link, Hash::of(token), admin.id, &Actor::SYSTEM)
            .await
            .unwrap();
        link
    }

    /// A browser that holds `cookie` opens a link.
    pub(crate) async fn claim(&self, token: &str, cookie: &str, now: UnixMs) -> Claimed {
        let cookie = Hash::of(cookie);
        let claim = Claim {
            token: Hash::of(token),
            presented: Some(cookie),
            fresh: cookie,
            repeatable: false,
            actor: &Actor::SYSTEM,
        };
        self.app.store.claim(claim, now).await.unwrap()
    }

    /// The same, where it must be granted.
    pub(crate) async fn granted(&self, token: &str, cookie: &str, now: UnixMs) -> Session {
        match self.claim(token, cookie, now).await {
            Claimed::Granted(session) => session,
            other => panic!("not granted: {other:?}"),
        }
    }

    /// A viewer of the session connects, or its connection breaks at once.
    pub(crate) async fn view(&self, session: &Session, breaks: bool, now: UnixMs) {
        let owner = Owner {
            lease: session.lease,
            hash: Hash(session.binding),
            role: Role::Controller,
            operator: None,
        };
        let opened = self
            .app
            .store
            .open_connection(owner, 1, &Actor::SYSTEM, now)
            .await
            .unwrap()
            .unwrap();
        let closed = ConnectionState::Closed {
            reason: CloseReason::IceFailed,
        };
        let states = [Some(ConnectionState::Connected), breaks.then_some(closed)];
        for state in states.into_iter().flatten() {
            let event = ConnectionEvent {
                connection: opened.id,
                device: self.device,
                epoch: session.epoch,
                state,
            };
            self.app
                .store
                .connection_changed(self.host, &event, now)
                .await
                .unwrap();
        }
    }

    /// What the sweep does at this time, if no clock jumped since the start.
    pub(crate) async fn sweep(&self, now: UnixMs) {
        let held = self.app.store.held().await.unwrap();
        let moment = Moment {
            steady: Steady(START.until(now)),
            wall: now,
        };
        let look = self.app.deadlines().look(&held, moment);
        for ended in sweep::end_due(&self.app.store, &look, now).await {
            ended.unwrap();
        }
    }

    /// The PostgreSQL that this stands on.
    pub(crate) fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("the test is on PostgreSQL")
    }

    /// The session as it is kept.
    pub(crate) async fn now(&self, session: &Session) -> Session {
        self.app.store.session(session.id).await.unwrap().unwrap()
    }
}

fn fact(id: DeviceId, name: &str, fence: Epoch) -> DeviceFact {
    DeviceFact {
        id,
        name: name.to_owned(),
        serial: name.to_owned(),
        model: String::new(),
        width: 720,
        height: 1280,
        health: DeviceHealth::Healthy,
        fence,
        labels: std::collections::BTreeMap::new(),
    }
}

fn link_to(target: Target) -> Link {
    Link {
        id: LinkId::from_uuid(Uuid::now_v7()),
        name: String::new(),
        token_hint: String::new(),
        target,
        app: None,
        state: State::Active,
        not_before: None,
        expires_at: None,
        max_uses: None,
        uses: 0,
        max_connections: 1,
        policy: Policy::default(),
        created_at: START,
    }
}
