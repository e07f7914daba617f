//! How many grants a second are durable, and how long one takes:
//!
//! ```text
//!   cargo run --release -p control --example grants -- postgres rate 400     a link is due every 2.5 ms, however it stands
//!   cargo run --release -p control --example grants -- postgres clients 32   each opens a link as soon as its last is open
//!
//!   clients ── POST /api/v1/launch ──► control ── commits ──► SQLite │ PostgreSQL, both waiting for the disk
//!                                         └── Prepare ──► one agent with DEVICES devices, which does not answer
//! ```
//!
//! Each link is to a device of its own. A grant is counted when it was answered, and it is answered when it is on the
//! disk. At a rate its time counts from when it was due, not from when somebody was free to ask: nothing is left out
//! because the measured was slow. Control has the runtime that the product gives it; clients and the agent, which are
//! other machines, have threads and runtimes of their own, on the same cores. Beside it stands what this disk's sync takes
//! in the same seconds, and what the commits consisted of, as `store/batch.rs` tells it. It measures; it promises nothing.

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

#[path = "grants/client.rs"]
mod client;
#[path = "grants/parts.rs"]
mod parts;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use client::Client;
use parts::Parts;
use protocol::agent::{DeviceFact, DeviceHealth, Hello, PROTOCOL};
use protocol::{DeviceId, Epoch};
use serde_json::{Value, json};
use signaling::link::client::{self as link, Event, Incoming};
use support::browser::Browser;
use support::postgres::Postgres;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Devices, links and grants: some seconds of them. A Hello has to fit into its megabyte.
const DEVICES: usize = 3000;
/// Links that one address opens before it is held back.
const PER_ADDRESS: usize = 100;
/// Between two syncs of the disk: fifty a second burden it little beside the commits.
const SYNC_EVERY: Duration = Duration::from_millis(20);
/// Clients that share the links that are due. So many wait at most; who comes then waits for one of them, and that counts.
const SHARING: usize = 64;
/// So long connections, statements and the database's files are new, and are told apart: a service has that once.
const FRESH: Duration = Duration::from_millis(500);
/// Links that are made at the same time.
const MAKERS: usize = 8;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, how, count] = arguments.try_into().expect("sqlite|postgres clients|rate N");
    let count: usize = count.parse().unwrap();
    let parts = Parts::listen();
    let server = (database == "postgres").then(|| Postgres::start_as(true));
    // As `farglass control` has it.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let config = control::Config {
        listen: ([127, 0, 0, 1], 0).into(),
        data: support::data(folder.path()),
        database: server.as_ref().map(Postgres::url),
        read_timeout: control::READ_TIMEOUT,
        public_url: None,
        proxies: control::proxies::Proxies::default(),
        join_token_file: Some(folder.path().join("join-token")),
    };
    let control = runtime
        .block_on(control::Control::open(config, stop.clone()))
        .unwrap();
    let address = control.address().unwrap();
    let served = runtime.spawn(control.serve());
    let house = runtime.block_on(House::furnish(address, folder.path()));

    parts.forget();
    let done = Arc::new(AtomicBool::new(false));
    let disk = std::thread::spawn({
        let (done, folder) = (done.clone(), folder.path().to_owned());
        move || syncs(&folder, &done)
    });
    let opened = match how.as_str() {
        "clients" => apart("clients", house.grants(address, count)),
        "rate" => apart("clients", house.due(address, count)),
        other => panic!("{other} is neither clients nor rate"),
    };
    let (claims, took) = opened.join().unwrap();
    done.store(true, Ordering::Relaxed);
    let disk = disk.join().unwrap();
    let (fresh, settled): (Vec<Claim>, Vec<Claim>) =
        claims.into_iter().partition(|claim| claim.since < FRESH);
    say(&format!(
        "{database}, {how} {count}: {:.0} grants a second\n  claim                      {}\n  … in the first {FRESH:?}    {}\n  \
         sync of 4 KiB beside it    {}\n",
        (fresh.len() + settled.len()) as f64 / took.as_secs_f64(),
        spread(settled.iter().map(|claim| claim.took).collect()),
        spread(fresh.iter().map(|claim| claim.took).collect()),
        spread(disk),
    ));
    say(&parts.told());
    stop.cancel();
    runtime.block_on(served).unwrap().unwrap();
}

/// Runs something on a thread and a runtime of its own, which go on for as long as it does.
fn apart<F>(name: &str, what: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let thread = std::thread::Builder::new().name(name.to_owned());
    let run = move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(what)
    };
    thread.spawn(run).unwrap()
}

/// One claim that was granted.
#[derive(Debug, Clone, Copy)]
struct Claim {
    /// When it was due, from the start.
    since: Duration,
    /// How long after that it was answered.
    took: Duration,
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
    async fn grants(self, address: SocketAddr, clients: usize) -> (Vec<Claim>, Duration) {
        let next = Arc::new(AtomicUsize::new(0));
        let start = Instant::now();
        let mut everybody = JoinSet::new();
        for at in 0..clients {
            let (tokens, next) = (self.tokens.clone(), next.clone());
            everybody.spawn(async move {
                let mut took = Vec::new();
                let from = |turn: usize| Ipv4Addr::new(127, 1, turn as u8, at as u8 + 1);
                let mut client = Client::from(address, from(0).into()).await;
                while let Some(token) = tokens.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if took.len() % PER_ADDRESS == PER_ADDRESS - 1 {
                        let turn = took.len() / PER_ADDRESS + 1;
                        client = Client::from(address, from(turn).into()).await;
                    }
                    let since = Instant::now();
                    client.launch(token).await;
                    took.push((since, since.elapsed()));
                }
                took
            });
        }
        let took = everybody.join_all().await.concat();
        (claims(start, took), start.elapsed())
    }

    /// Opens `rate` links a second, and no slower; how long after it was due each was answered.
    async fn due(self, address: SocketAddr, rate: usize) -> (Vec<Claim>, Duration) {
        let (send, due) = mpsc::channel::<(String, Instant)>(DEVICES);
        let due = Arc::new(Mutex::new(due));
        let mut everybody = JoinSet::new();
        for at in 0..SHARING {
            let due = due.clone();
            let from = Ipv4Addr::new(127, 2, 0, u8::try_from(at + 1).unwrap());
            let mut client = Client::from(address, from.into()).await;
            everybody.spawn(async move {
                let mut took = Vec::new();
                loop {
                    let next = due.lock().await.recv().await;
                    let Some((token, since)) = next else { break };
                    client.launch(&token).await;
                    took.push((since, since.elapsed()));
                }
                took
            });
        }
        let start = Instant::now();
        std::thread::spawn(move || {
            for (at, token) in self.tokens.iter().enumerate() {
                let since = start + Duration::from_secs_f64(at as f64 / rate as f64);
                std::thread::sleep(since.saturating_duration_since(Instant::now()));
                send.blocking_send((token.clone(), since)).unwrap();
            }
        });
        let took = everybody.join_all().await.concat();
        (claims(start, took), start.elapsed())
    }
}

fn claims(start: Instant, took: Vec<(Instant, Duration)>) -> Vec<Claim> {
    let claim = |(since, took): (Instant, Duration)| Claim {
        since: since - start,
        took,
    };
    took.into_iter().map(claim).collect()
}

/// The agent: leaves preparations unanswered, so that claims are all that is committed.
fn host(address: SocketAddr, folder: &Path, devices: Vec<DeviceId>) {
    let token = std::fs::read_to_string(folder.join("join-token")).unwrap();
    let config = link::Config {
        control: address.to_string(),
        identity: folder.join("agent"),
        join: Some(token.parse().unwrap()),
        name: "host".to_owned(),
    };
    apart("agent", async move {
        let (link, mut events, driver) = link::link(config);
        tokio::spawn(driver.run(CancellationToken::new()));
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

/// What the disk under the database takes to keep 4 KiB, again and again.
fn syncs(folder: &Path, done: &AtomicBool) -> Vec<Duration> {
    let file = std::fs::File::create(folder.join("sync")).unwrap();
    let mut took = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let since = Instant::now();
        file.write_all_at(&[1; 4096], took.len() as u64 * 4096).unwrap();
        file.sync_data().unwrap();
        took.push(since.elapsed());
        std::thread::sleep(SYNC_EVERY);
    }
    took
}

fn spread(mut all: Vec<Duration>) -> String {
    all.sort_unstable();
    let at = |percent: usize| all[(all.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    format!(
        "p50 {:>6.2}   p90 {:>6.2}   p99 {:>6.2}   longest {:>6.2} ms   ({} times)",
        at(50),
        at(90),
        at(99),
        at(100),
        all.len()
    )
}

fn say(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).unwrap();
}
