//! A whole control in the test's own process, with its sockets, its clock and its sweep, and an agent on the real link.
//!
//! A test reaches behind what people and agents see: it commits what nobody then follows, takes rows away as another
//! control would, lets the database take no writes. The agent is the one of the tests from outside.

use std::time::Duration;

use protocol::HostId;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::Rig;
use crate::domain::device::{Device, Health};
use crate::domain::lease::State;
use crate::domain::session::Session;
use crate::domain::time::UnixMs;
use crate::proxies::Proxies;
use crate::support::agent::FakeAgent;
use crate::support::postgres::Postgres;
use crate::support::{Base, DEADLINE, data};
use crate::{Config, Control};

/// Has a database refuse whatever writes an audit row: every change of a lease or a device's custody does.
const REFUSE: [&str; 2] = [
    "CREATE TRIGGER refused BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'refused'); END",
    "ALTER TABLE audit_log ADD CONSTRAINT refused CHECK (id < 0) NOT VALID",
];
const TAKE: [&str; 2] = [
    "DROP TRIGGER refused",
    "ALTER TABLE audit_log DROP CONSTRAINT refused",
];
/// Between two looks at rows.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(crate) struct Linked {
    pub rig: Rig,
    pub agent: FakeAgent,
    on: Base,
    _stop: DropGuard,
}

/// Lists functions of a [`Linked`] as two tests each.
macro_rules! on_both_linked {
    ($($name:ident),+ $(,)?) => {
        $(
            mod $name {
                use crate::rig::linked::Linked;
                use crate::support::Base;

                #[tokio::test]
                async fn sqlite() {
                    super::$name(Linked::start(Base::Sqlite).await).await;
                }

                #[tokio::test]
                async fn postgres() {
                    super::$name(Linked::start(Base::Postgres).await).await;
                }
            }
        )+
    };
}
pub(crate) use on_both_linked;

impl Linked {
    pub(crate) async fn start(on: Base) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = (on == Base::Postgres).then(Postgres::start);
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            data: data(folder.path()),
            database: server.as_ref().map(Postgres::url),
            read_timeout: crate::support::READ_TIMEOUT,
            public_url: None,
            proxies: Proxies::default(),
            join_token_file: Some(folder.path().join("join-token")),
        };
        let stop = CancellationToken::new();
        let control = Control::open(config, stop.clone()).await.unwrap();
        let (address, app) = (control.address().unwrap(), control.app.clone());
        tokio::spawn(control.serve());
        let agent = FakeAgent::join(address, folder.path()).await;
        let mut linked = Self {
            rig: Rig {
                app,
                host: HostId::from_uuid(Uuid::nil()),
                device: agent.device,
                _folder: folder,
                server,
            },
            agent,
            on,
            _stop: stop.drop_guard(),
        };
        let device = linked.device_is(|device| device.health == Health::Healthy).await;
        linked.rig.host = device.host;
        linked.rig.link("t", None, None).await;
        linked
    }

    async fn device(&self) -> Option<Device> {
        // The database may be away.
        self.rig.app.store.device(self.rig.device).await.ok().flatten()
    }

    /// Waits until the device's row is as asked for.
    pub(crate) async fn device_is(&self, wanted: impl Fn(&Device) -> bool) -> Device {
        let looks = async {
            loop {
                match self.device().await {
                    Some(device) if wanted(&device) => return device,
                    _ => tokio::time::sleep(LOOK_EVERY).await,
                }
            }
        };
        let found = tokio::time::timeout(DEADLINE, looks).await;
        match found {
            Ok(device) => device,
            Err(_) => panic!("the device stays as {:?}", self.device().await),
        }
    }

    /// Waits until the session's lease is as asked for.
    pub(crate) async fn lease_is(&self, session: &Session, wanted: impl Fn(State) -> bool) {
        // The database may be away.
        let state = async || {
            let read = self.rig.app.store.session(session.id).await;
            Some(read.ok()?.expect("sessions are kept").state)
        };
        let looks = async {
            while !state().await.is_some_and(&wanted) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(DEADLINE, looks).await.is_err() {
            panic!("the lease stays {:?}", state().await);
        }
    }

    /// A granted claim that nobody follows: its browser hung up.
    pub(crate) async fn claim_and_hang_up(&self) -> Session {
        self.rig.granted("t", "a", UnixMs::now()).await
    }

    /// Has the database refuse what is written, or take it again.
    pub(crate) async fn database_takes(&self, takes: bool) {
        let texts = if takes { TAKE } else { REFUSE };
        let text = texts[usize::from(self.on == Base::Postgres)];
        self.rig.app.store.run(text.to_owned()).await.unwrap();
    }

    /// The server, if the database is PostgreSQL.
    pub(crate) fn server(&mut self) -> Option<&mut Postgres> {
        self.rig.server.as_mut()
    }
}
