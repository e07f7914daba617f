//! What worlds stand on, one after the other: a database in memory with a host, its devices and their links, and a
//! folder for the agent's fences.
//!
//! It is made once for many worlds; each begins with the rows as they were (`base`). What happens in a world is
//! `world`.

use std::collections::BTreeMap;

use protocol::agent::{DeviceFact, DeviceHealth, Hello, PROTOCOL};
use protocol::{DeviceId, Epoch, HostId, LinkId};
use signaling::link::token::Fingerprint;
use tempfile::TempDir;
use uuid::Uuid;

use crate::domain::labels::{Labels, Selector};
use crate::domain::link::{Link, State, Target};
use crate::domain::policy::{OnExpiry, Policy};
use crate::domain::time::UnixMs;
use crate::secret::Hash;
use crate::store::Store;
use crate::store::audit::Actor;
use crate::store::hosts::NewHost;

/// Links of a world: three to the first device, two to the second, one to whichever is free, one to whichever is free
/// and has a label.
pub(super) const LINKS: usize = 7;
/// The link to the second device.
pub(super) const SECOND: usize = 3;
/// The link to whichever is free.
const EITHER: usize = 4;
/// The link to the second device that may be used so often.
const COUNTED: usize = 5;
const USES_MAX: u32 = 1;
/// The link to whichever is free of those with this label, which begins a while after the world.
const CHOOSING: usize = 6;
const LABEL: (&str, &str) = ("room", "two");
const BEGINS: i64 = BEGIN + 8_000;
/// Devices of the one host.
pub(super) const DEVICES: usize = 2;
/// When every world begins.
pub(super) const BEGIN: i64 = 1_800_000_000_000;
/// When the third and the fourth link expire.
const EXPIRY: i64 = BEGIN + 150_000;
/// Everything that a backup keeps, parents first.
pub(super) const TABLES: [&str; 15] = [
    "users",
    "hosts",
    "join_tokens",
    "replicas",
    "host_links",
    "calls",
    "generation",
    "devices",
    "links",
    "leases",
    "sessions",
    "viewer_tokens",
    "connections",
    "audit_log",
    "answers",
];

/// What worlds stand on, one after the other: a database in memory, folders for fences.
pub(super) struct Ground {
    pub(super) store: Store,
    pub(super) host: HostId,
    pub(super) devices: Vec<DeviceId>,
    pub(super) links: Vec<LinkId>,
    pub(super) tokens: Vec<Hash>,
    pub(super) folder: TempDir,
}

impl Ground {
    pub(super) async fn new() -> Self {
        let store = Store::in_memory().await.unwrap();
        let begin = UnixMs(BEGIN);
        store.add_first_admin("admin", "", begin).await.unwrap();
        let (token, key) = (Hash([1; 32]), Fingerprint::of(b"key"));
        store.add_join_token(token, &Actor::SYSTEM, begin).await.unwrap();
        let host = NewHost {
            token,
            key,
            name: "host",
            certificate_ends: UnixMs(i64::MAX),
        };
        let host = store.join(host, &Actor::SYSTEM, begin).await.unwrap().unwrap();
        let shm = std::path::Path::new("/dev/shm");
        let folder = if shm.is_dir() {
            TempDir::new_in(shm)
        } else {
            TempDir::new()
        }
        .unwrap();
        let devices: Vec<_> = (0..DEVICES)
            .map(|_| DeviceId::from_uuid(Uuid::now_v7()))
            .collect();
        let mut ground = Self {
            store,
            host,
            devices,
            links: Vec::new(),
            tokens: Vec::new(),
            folder,
        };
        ground.furnish(begin).await;
        ground
    }

    async fn furnish(&mut self, begin: UnixMs) {
        let fact = |(at, id): (usize, &DeviceId)| DeviceFact {
            id: *id,
            name: format!("device {at}"),
            serial: format!("serial {at}"),
            model: String::new(),
            width: 720,
            height: 1280,
            health: DeviceHealth::Healthy,
            fence: Epoch(0),
            labels: labels_of(at),
        };
        let hello = Hello {
            protocol: vec![PROTOCOL],
            agent_version: String::new(),
            name: "host".to_owned(),
            devices: self.devices.iter().enumerate().map(fact).collect(),
            connections: vec![],
        };
        self.store.adopt(self.host, &hello, begin).await.unwrap();
        let (admin, _) = self.store.user_by_login("admin").await.unwrap().unwrap();
        for at in 0..LINKS {
            let link = Link {
                id: LinkId::from_uuid(Uuid::now_v7()),
                name: String::new(),
                token_hint: String::new(),
                target: match at {
                    EITHER => Target::Any(Selector::default()),
                    CHOOSING => {
                        let labels = [(LABEL.0.to_owned(), LABEL.1.to_owned())];
                        Target::Any(Selector::of(Labels::parse(labels.into()).expect("a label")))
                    }
                    _ => Target::Device(self.devices[usize::from(matches!(at, SECOND | COUNTED))]),
                },
                app: None,
                state: State::Active,
                not_before: (at == CHOOSING).then_some(UnixMs(BEGINS)),
                expires_at: matches!(at, 2 | SECOND).then_some(UnixMs(EXPIRY)),
                max_uses: (at == COUNTED).then_some(USES_MAX),
                uses: 0,
                max_connections: 2,
                policy: policy_of(at),
                created_at: begin,
            };
            let token = Hash([at as u8; 32]);
            self.store
                .add_link(&link, token, admin.id, &Actor::SYSTEM)
                .await
                .unwrap();
            self.links.push(link.id);
            self.tokens.push(token);
        }
        let mut sql = "ATTACH ':memory:' AS base; ATTACH ':memory:' AS kept;".to_owned();
        for table in TABLES {
            sql += &format!("CREATE TABLE base.{table} AS SELECT * FROM main.{table};");
            sql += &format!("CREATE TABLE kept.{table} AS SELECT * FROM main.{table};");
        }
        self.store.run(sql).await.unwrap();
    }

    /// The devices that a link may take.
    pub(super) fn devices_of(&self, link: usize) -> &[DeviceId] {
        match link {
            EITHER | CHOOSING => &self.devices,
            SECOND | COUNTED => &self.devices[1..],
            _ => &self.devices[..1],
        }
    }
}

/// The labels that the agent's config gives to a device.
pub(super) fn labels_of(at: usize) -> BTreeMap<String, String> {
    let room = if at == 0 { "one" } else { LABEL.1 };
    [(LABEL.0.to_owned(), room.to_owned())].into()
}

/// What an admin may say of a device instead, or nothing.
pub(super) fn own_labels(moved: bool) -> Labels {
    let label = moved.then(|| (LABEL.0.to_owned(), "three".to_owned()));
    Labels::parse(label.into_iter().collect()).expect("a label")
}

/// What each link says about the length of its sessions, so that every end comes within a world's time.
fn policy_of(link: usize) -> Policy {
    let seconds = |idle, max, on_expiry| Policy::parse(Some(idle), max, on_expiry).expect("within bounds");
    match link {
        0 => seconds(10, None, OnExpiry::Cut),
        1 => seconds(300, Some(40), OnExpiry::Cut),
        SECOND => seconds(6, Some(90), OnExpiry::Finish),
        _ => seconds(300, None, OnExpiry::Cut),
    }
}
