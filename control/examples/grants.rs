//! How many grants a second are durable, and how long one takes: `cargo run -p control --example grants -- postgres 32`.
//!
//! ```text
//!   clients ── POST /api/v1/launch ──► control ── commits ──► SQLite │ PostgreSQL, both waiting for the disk
//!                                         └── Prepare ──► one agent with DEVICES devices, which does not answer
//! ```
//!
//! A client opens one link after the other, each to a device of its own, and waits for the answer: a grant is counted
//! when it was answered, and it is answered when it is on the disk. Beside it stands what this disk's sync takes, so
//! that figures of two machines can be compared. It measures; it promises nothing.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot set itself up has failed"
)]

#[allow(
    dead_code,
    unreachable_pub,
    unused_macros,
    reason = "the tests use the rest of it"
)]
#[path = "../tests/control/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use protocol::agent::{DeviceFact, DeviceHealth, Hello, PROTOCOL};
use protocol::{DeviceId, Epoch};
use serde_json::{Value, json};
use signaling::link::client::{self, Event, Incoming};
use support::browser::Browser;
use support::postgres::Postgres;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Devices, links and grants: some seconds of them. A Hello has to fit into its megabyte.
const DEVICES: usize = 1500;
/// Links that one address opens before it is held back.
const PER_ADDRESS: usize = 100;
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
    let server = (database == "postgres").then(|| Postgres::start_as(true));
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
    let house = House::furnish(address, folder.path()).await;

    let before = syncs(folder.path());
    let (claims, took) = house.grants(address, clients).await;
    let after = syncs(folder.path());
    say(&format!(
        "{database}, {clients} clients: {:.0} grants a second\n  claim           {}\n  sync before     {}\n  sync after      {}\n",
        claims.len() as f64 / took.as_secs_f64(),
        spread(claims),
        spread(before),
        spread(after),
    ));
    stop.cancel();
    served.await.unwrap().unwrap();
}

/// An agent with many devices, and the token of a link to each.
struct House {
    tokens: Arc<Vec<String>>,
}

impl House {
    async fn furnish(address: SocketAddr, folder: &Path) -> Self {
        let devices: Vec<_> = (0..DEVICES)
            .map(|_| DeviceId::from_uuid(Uuid::now_v7()))
            .collect();
        host(address, folder, devices.clone());
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
                let mut tokens = Vec::new();
                for device in part {
                    let body = json!({ "device_id": device.to_string() });
                    let made = admin.post("/api/v1/links", &body).await.json();
                    let (_, token) = made["url"].as_str().unwrap().split_once('#').unwrap();
                    tokens.push(token.to_owned());
                }
                tokens
            });
        }
        let tokens = Arc::new(makers.join_all().await.concat());
        Self { tokens }
    }

    /// Opens every link; how long each took, and all together.
    async fn grants(&self, address: SocketAddr, clients: usize) -> (Vec<Duration>, Duration) {
        let next = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        let mut everybody = JoinSet::new();
        for at in 0..clients {
            let (tokens, next) = (self.tokens.clone(), next.clone());
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
}

/// The agent: leaves preparations unanswered, so that claims are all that is committed.
fn host(address: SocketAddr, folder: &Path, devices: Vec<DeviceId>) {
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
        let mut unanswered: Vec<Incoming> = Vec::new();
        while let Some(event) = events.recv().await {
            match event {
                Event::Up(greeting) => greeting.hello(hello(&devices)),
                // A dropped one would be a failed one.
                Event::Request(incoming) => unanswered.push(incoming),
                Event::Down => {}
            }
        }
    });
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
