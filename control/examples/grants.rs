//! How many grants a second are durable, and how long one takes: `cargo run -p control --example grants -- postgres 32`.
//!
//! ```text
//!   clients ── POST /api/v1/launch ──► control ── commits ──► SQLite │ PostgreSQL, both waiting for the disk
//!                                         └── Prepare, Release ──► one agent with DEVICES devices that answers at once
//! ```
//!
//! A client opens one link after the other, each to a device of its own, and waits for the answer: a grant is counted
//! when it was answered, and it is answered when it is on the disk. Beside it stands what this disk's sync takes, so
//! that figures of two machines can be compared. It measures; it promises nothing.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot set itself up has failed"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use protocol::agent::{DeviceFact, DeviceHealth, Hello, PROTOCOL, Reply, Request};
use protocol::{DeviceId, Epoch};
use serde_json::{Value, json};
use signaling::link::client::{self, Event, Incoming};
use support::browser::Browser;
use support::postgres::Postgres;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Devices, links and grants: some seconds of them. A Hello has to fit into its megabyte.
const DEVICES: usize = 1500;
/// Links that one address opens before it is held back.
const PER_ADDRESS: usize = 100;
/// Links that are revoked, one after the other.
const REVOKED: usize = 200;
/// Syncs of the disk.
const SYNCS: usize = 300;
/// Clients, if none are asked for.
const CLIENTS: usize = 16;
/// Links that are made at the same time.
const MAKERS: usize = 8;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let database = arguments.next().unwrap_or_else(|| "sqlite".to_owned());
    let clients = arguments.next().map_or(CLIENTS, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let server = (database == "postgres").then(Postgres::start_durable);
    let stop = CancellationToken::new();
    let config = control::Config {
        listen: ([127, 0, 0, 1], 0).into(),
        data: support::data(folder.path()),
        database: server.as_ref().map(Postgres::url),
        public_url: None,
        join_token_file: Some(folder.path().join("join-token")),
    };
    let control = control::Control::open(config, stop.clone()).await.unwrap();
    let address = control.address().unwrap();
    let served = tokio::spawn(control.serve());
    let mut house = House::furnish(address, folder.path()).await;

    let before = syncs(folder.path());
    let (claims, took) = house.grants(address, clients).await;
    let after = syncs(folder.path());
    house.prepared().await;
    let revokes = house.revokes().await;
    say(&format!(
        "{database}, {clients} clients: {:.0} grants a second\n  claim           {}\n  revoke → Release {}\n  sync before     {}\n  sync after      {}\n",
        claims.len() as f64 / took.as_secs_f64(),
        spread(claims),
        spread(revokes),
        spread(before),
        spread(after),
    ));
    stop.cancel();
    served.await.unwrap().unwrap();
}

/// An agent with many devices, an admin, and a link to each device.
struct House {
    admin: Browser,
    links: Vec<(String, String)>,
    asked: Arc<AtomicUsize>,
    go: Arc<Notify>,
    released: mpsc::Receiver<Instant>,
}

impl House {
    async fn furnish(address: SocketAddr, folder: &Path) -> Self {
        let devices: Vec<_> = (0..DEVICES)
            .map(|_| DeviceId::from_uuid(Uuid::now_v7()))
            .collect();
        let (asked, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (tell, released) = mpsc::channel(REVOKED);
        host(address, folder, devices.clone(), asked.clone(), go.clone(), tell);
        let login = std::fs::read(support::data(folder).join("admin.json")).unwrap();
        let login: Value = serde_json::from_slice(&login).unwrap();
        let mut admin = Browser::new(address);
        let answer = admin.post("/api/v1/auth/login", &login).await;
        admin.bearer = Some(answer.json()["token"].as_str().unwrap().to_owned());
        while admin.get("/api/v1/health").await.status != 200 {}
        let mut makers = JoinSet::new();
        for part in devices.chunks(DEVICES.div_ceil(MAKERS)) {
            let (mut admin, part) = (admin.clone(), part.to_vec());
            makers.spawn(async move {
                let mut links = Vec::new();
                for device in part {
                    let body = json!({ "device_id": device.to_string() });
                    let made = admin.post("/api/v1/links", &body).await.json();
                    let (_, token) = made["url"].as_str().unwrap().split_once('#').unwrap();
                    links.push((made["id"].as_str().unwrap().to_owned(), token.to_owned()));
                }
                links
            });
        }
        let links = makers.join_all().await.concat();
        Self {
            admin,
            links,
            asked,
            go,
            released,
        }
    }

    /// Opens every link; how long each took, and all together.
    async fn grants(&self, address: SocketAddr, clients: usize) -> (Vec<Duration>, Duration) {
        let tokens: Arc<Vec<String>> = Arc::new(self.links.iter().map(|(_, token)| token.clone()).collect());
        let next = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        let mut everybody = JoinSet::new();
        for at in 0..clients {
            let (tokens, next) = (tokens.clone(), next.clone());
            everybody.spawn(async move {
                let mut took = Vec::new();
                let from = |turn: usize| Ipv4Addr::new(127, 1, turn as u8, at as u8 + 1);
                let mut browser = Browser::from(address, from(0).into());
                while let Some(token) = tokens.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // A new person each time: a browser would bring the cookies of all links along.
                    browser.cookies.clear();
                    if took.len() % PER_ADDRESS == PER_ADDRESS - 1 {
                        browser = Browser::from(address, from(took.len() / PER_ADDRESS + 1).into());
                    }
                    let since = Instant::now();
                    let answer = browser.launch(token).await;
                    took.push(since.elapsed());
                    assert_eq!(answer.status, 202, "{}", answer.body);
                }
                took
            });
        }
        let took = everybody.join_all().await.concat();
        (took, start.elapsed())
    }

    /// Lets the agent answer, and waits until it was asked for every device.
    async fn prepared(&mut self) {
        while self.asked.load(Ordering::SeqCst) < DEVICES {
            self.go.notify_waiters();
            tokio::task::yield_now().await;
        }
        self.go.notify_waiters();
    }

    /// Revokes links, one after the other: how long until the agent was told to cut.
    async fn revokes(&mut self) -> Vec<Duration> {
        let mut took = Vec::new();
        for (id, _) in self.links.iter().rev().take(REVOKED) {
            let since = Instant::now();
            let path = format!("/api/v1/links/{id}/revoke");
            let mut admin = self.admin.clone();
            let revoke = tokio::spawn(async move { admin.post(&path, &json!({})).await.status });
            let told = self.released.recv().await.unwrap();
            took.push(told.duration_since(since));
            assert_eq!(revoke.await.unwrap(), 200);
        }
        took
    }
}

/// The agent: holds preparations back until it is let go, and answers everything else at once.
fn host(
    address: SocketAddr,
    folder: &Path,
    devices: Vec<DeviceId>,
    asked: Arc<AtomicUsize>,
    go: Arc<Notify>,
    released: mpsc::Sender<Instant>,
) {
    let token = std::fs::read_to_string(folder.join("join-token")).unwrap();
    let config = client::Config {
        control: address.to_string(),
        identity: folder.join("agent"),
        join: Some(token.parse().unwrap()),
        name: "host".to_owned(),
    };
    let (link, mut events, driver) = client::link(config);
    tokio::spawn(driver.run(CancellationToken::new()));
    tokio::spawn(async move {
        // Dropping it would end the link.
        let _link = link;
        while let Some(event) = events.recv().await {
            match event {
                Event::Up(greeting) => greeting.hello(hello(&devices)),
                Event::Request(incoming) => {
                    let (asked, go, released) = (asked.clone(), go.clone(), released.clone());
                    tokio::spawn(async move { answer(incoming, &asked, &go, &released).await });
                }
                Event::Down => {}
            }
        }
    });
}

async fn answer(incoming: Incoming, asked: &AtomicUsize, go: &Notify, released: &mpsc::Sender<Instant>) {
    let Incoming { request, responder } = incoming;
    let reply = match request {
        Request::Prepare(_) => {
            let held = go.notified();
            asked.fetch_add(1, Ordering::SeqCst);
            held.await;
            Reply::Prepared {
                width: 720,
                height: 1280,
            }
        }
        Request::Release(_) => {
            let _ = released.send(Instant::now()).await;
            Reply::Released
        }
        _ => Reply::Closed,
    };
    let _ = responder.reply(reply).await;
}

fn hello(devices: &[DeviceId]) -> Hello {
    let fact = |(at, id): (usize, &DeviceId)| DeviceFact {
        id: *id,
        name: format!("device {at}"),
        serial: format!("serial {at}"),
        model: String::new(),
        width: 720,
        height: 1280,
        health: DeviceHealth::Healthy,
        fence: Epoch(0),
        labels: BTreeMap::new(),
    };
    Hello {
        protocol: vec![PROTOCOL],
        agent_version: String::new(),
        name: "host".to_owned(),
        devices: devices.iter().enumerate().map(fact).collect(),
        connections: vec![],
    }
}

/// What the disk under the database takes to keep 4 KiB.
fn syncs(folder: &Path) -> Vec<Duration> {
    let file = std::fs::File::create(folder.join("sync")).unwrap();
    let took = (0..SYNCS).map(|at| {
        let since = Instant::now();
        file.write_all_at(&[1; 4096], at as u64 * 4096).unwrap();
        file.sync_data().unwrap();
        since.elapsed()
    });
    took.collect()
}

fn spread(mut all: Vec<Duration>) -> String {
    all.sort_unstable();
    let at = |percent: usize| all[(all.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    format!(
        "p50 {:.2} ms   p99 {:.2} ms   ({} times)",
        at(50),
        at(99),
        all.len()
    )
}

fn say(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).unwrap();
}
