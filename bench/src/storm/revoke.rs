//! `farglass bench revoke`: how long after an admin's revocation a device still takes input.
//!
//! ```text
//!   finger in real Chromium ── move, move, move, move … ──────────────► the page says "revoked"
//!   admin                              ├─ POST /links/{id}/revoke ─► 200
//!   device's own log      move move move move │                        the last down or move that it took in
//!                                      └──────┘  the figure for input
//!   browser's network     packet packet packet packet │                the last RTP packet that it received
//!                                      └──────────────┘  the figure for media
//! ```
//!
//! Both ends are Unix times of one machine. The lift that follows is the product's own and does not count: it takes
//! the finger off the screen. A revocation after which nothing more was accepted, or no packet came, counts as 0. The page
//! is kept from closing its connection: what ends the media is the product, not its page. The house is started for it
//! (`house.rs`); the device's log is read through stock adb.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::adb::Adb;
use super::client::Said;
use super::dice::Dice;
use super::house::House;
use super::{DatabaseKind, StormConfig};
use crate::browser::{self, Browser, Window};
use crate::histogram::{Durations, Spread};

/// From opening a link to a picture, a cleaned device included.
pub(crate) const PICTURE_LIMIT: Duration = Duration::from_secs(60);
/// From a revocation to a page that says so, and from there to a free device.
const CUT_LIMIT: Duration = Duration::from_secs(30);
/// How often a page or a device is asked.
const POLL: Duration = Duration::from_millis(20);
/// Between two moves of the finger: more often than the 60 Hz at which pages send them.
const MOVE_EVERY: Duration = Duration::from_millis(8);
/// Two frames of a page, which sends moves once a frame: a revocation comes at any moment in between.
const PHASE: Duration = Duration::from_micros(33_333);
/// Moves that a device must have taken in before anything is revoked.
const MOVES_BEFORE: usize = 5;
pub(crate) const WINDOW: Window = Window {
    width: 820,
    height: 1000,
};

/// What to run.
#[derive(Debug, Clone)]
pub struct RevokeConfig {
    /// The `farglass` binary.
    pub binary: PathBuf,
    /// How many sessions to revoke; 100 give a 99th percentile.
    pub revokes: u32,
    /// Decides how long each finger moves before.
    pub seed: u64,
    /// Under control.
    pub database: DatabaseKind,
}

/// What was measured. All times in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct RevokeReport {
    /// Revocation sent → last input that the device accepted.
    pub last_input: Spread,
    /// Revocation sent → last RTP packet that the page's connection received.
    pub last_packet: Spread,
    /// Revocation sent → answered.
    pub answered: Spread,
    /// Revocation sent → the page shows that it is over.
    pub shown: Spread,
}

/// Runs it.
///
/// # Errors
/// When Chromium or adb is missing, or the product does not do its part.
pub async fn revoke(config: &RevokeConfig) -> anyhow::Result<RevokeReport> {
    let chromium = browser::find(None)?;
    let house = House::start(&StormConfig {
        binary: config.binary.clone(),
        seconds: 0,
        seed: config.seed,
        database: config.database,
        agents: 1,
        devices: 1,
        controls: 1,
        media: false,
        keep: false,
    })
    .await?;
    let mut browser = Browser::launch(&chromium, WINDOW, &[STAYS_CONNECTED]).await?;
    let adb = Adb::start()?;
    adb.connect(&house.adb[0])?;
    let mut dice = Dice::new(config.seed);
    let (mut last_input, mut last_packet) = (Durations::default(), Durations::default());
    let (mut answered, mut shown) = (Durations::default(), Durations::default());
    for _ in 0..config.revokes {
        let plan = Plan {
            swipe: dice.ms(100, 400),
            phase: PHASE.mul_f64(f64::from(u16::try_from(dice.below(1_000))?) / 1e3),
        };
        let cut = one(&house, &mut browser, &adb, &plan).await?;
        last_input.record_us(cut.last_input);
        last_packet.record_us(cut.last_packet);
        answered.record_us(cut.answered);
        shown.record_us(cut.shown);
    }
    browser.close().await?;
    let spread = |durations: Durations| durations.spread().context("nothing was revoked");
    Ok(RevokeReport {
        last_input: spread(last_input)?,
        last_packet: spread(last_packet)?,
        answered: spread(answered)?,
        shown: spread(shown)?,
    })
}

/// When to revoke.
struct Plan {
    /// How long the finger moves before.
    swipe: Duration,
    /// How long after one of its moves.
    phase: Duration,
}

/// Microseconds from the sending of one revocation.
struct Cut {
    last_input: u64,
    last_packet: u64,
    answered: u64,
    shown: u64,
}

async fn one(house: &House, browser: &mut Browser, adb: &Adb, plan: &Plan) -> anyhow::Result<Cut> {
    let wish = json!({ "name": "revoke", "device_id": house.devices[0], "app": { "package": "dev.farglass.motion" } });
    let link = success(house.admin.post("/api/v1/links", &wish).await)?;
    let (id, url) = (text(&link, "id")?, text(&link, "url")?);
    browser.navigate(&url).await?;
    until(browser, "the picture", PLAYS, PICTURE_LIMIT).await?;
    let device = &house.adb[0];
    let before = newest(adb, device)?;
    let mut finger = Finger::down(browser).await?;
    let begun = Instant::now();
    while begun.elapsed() < plan.swipe || accepted(adb, device, before)?.len() < MOVES_BEFORE {
        ensure!(begun.elapsed() < CUT_LIMIT, "the device takes no touches");
        finger.moves(browser).await?;
    }

    let path = format!("/api/v1/links/{id}/revoke");
    let (client, phase) = (house.admin.clone(), plan.phase);
    let asked = tokio::spawn(async move {
        tokio::time::sleep(phase).await;
        let sent = unix_us();
        (sent, client.post(&path, &json!({})).await, unix_us())
    });
    // The finger does not know, and goes on.
    let since = Instant::now();
    while !browser.evaluate::<bool>(STOPPED, Duration::ZERO).await? {
        ensure!(
            since.elapsed() < CUT_LIMIT,
            "the page does not show that its link is revoked"
        );
        finger.moves(browser).await?;
    }
    let shown = unix_us()?;
    let (sent, said, answered) = asked.await?;
    let sent = sent?;
    success(said)?;
    free(house).await?;
    browser.finger_up().await?;
    let last_packet_ms: f64 = browser.evaluate(LAST_PACKET, Duration::ZERO).await?;
    let last_packet = u64::try_from(Duration::try_from_secs_f64(last_packet_ms / 1e3)?.as_micros())?;
    // It was playing when it was revoked: a packet of long before would be one of another clock.
    ensure!(
        Duration::from_micros(sent.saturating_sub(last_packet)) < CUT_LIMIT,
        "the page received its last packet at {last_packet_ms} ms, long before {sent} µs"
    );
    let accepted = accepted(adb, device, before)?;
    let last = accepted.into_iter().max().context("the device took no touches")?;
    Ok(Cut {
        last_input: last.saturating_sub(sent),
        last_packet: last_packet.saturating_sub(sent),
        answered: answered?.saturating_sub(sent),
        shown: shown.saturating_sub(sent),
    })
}

pub(crate) const PLAYS: &str = "document.querySelector('video[data-ready]') !== null";
const STOPPED: &str = "document.querySelector('main')?.dataset.state === 'stopped'";
/// Before the page's own scripts: its connections are kept, and closing them from the page's side does nothing.
const STAYS_CONNECTED: &str = "window.farglassPeers = []; RTCPeerConnection.prototype.close = () => undefined; \
     window.RTCPeerConnection = class extends RTCPeerConnection { \
       constructor(...how) { super(...how); window.farglassPeers.push(this); } };";
/// When the newest RTP packet came, by Chromium's own account: Unix time in milliseconds.
const LAST_PACKET: &str = "(async () => { let last = 0; for (const peer of window.farglassPeers) \
     for (const each of (await peer.getStats()).values()) if (each.type === 'inbound-rtp') \
       last = Math.max(last, each.lastPacketReceivedTimestamp ?? 0); return last; })()";
const MIDDLE: &str = "(() => { const box = document.querySelector('video').getBoundingClientRect(); \
                      return [box.x + box.width / 2, box.y + box.height / 2]; })()";

/// A finger that goes up and down.
struct Finger {
    middle: (f64, f64),
    moves: u32,
    due: Instant,
}

impl Finger {
    async fn down(browser: &mut Browser) -> anyhow::Result<Self> {
        let middle: (f64, f64) = browser.evaluate(MIDDLE, Duration::ZERO).await?;
        browser.finger_down(middle.0, middle.1).await?;
        Ok(Self {
            middle,
            moves: 0,
            due: Instant::now(),
        })
    }

    async fn moves(&mut self, browser: &mut Browser) -> anyhow::Result<()> {
        self.due = Instant::now().max(self.due + MOVE_EVERY);
        tokio::time::sleep_until(self.due).await;
        self.moves += 1;
        let away = f64::from(self.moves % 40) * 4.0;
        browser.finger_move(self.middle.0, self.middle.1 + away).await
    }
}

pub(crate) async fn until(
    browser: &mut Browser,
    what: &str,
    fact: &str,
    limit: Duration,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    while !browser.evaluate::<bool>(fact, Duration::ZERO).await? {
        if Instant::now() > deadline {
            let words: String = browser
                .evaluate("document.body.innerText", Duration::ZERO)
                .await?;
            bail!("no {what} within {limit:?}; the page says {words:?}");
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn free(house: &House) -> anyhow::Result<()> {
    let deadline = Instant::now() + CUT_LIMIT;
    loop {
        let seen = house.seen().await.unwrap_or_default();
        if !seen.is_empty() && seen.iter().all(|device| device.occupancy == "free") {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "the device is not free within {CUT_LIMIT:?}: {seen:?}"
        );
        tokio::time::sleep(POLL).await;
    }
}

pub(crate) fn success(said: Said) -> anyhow::Result<Value> {
    match said {
        Said::Answer(answer) if answer.is_success() => Ok(answer.body),
        other => bail!("control said {other:?}"),
    }
}

pub(crate) fn text(body: &Value, field: &str) -> anyhow::Result<String> {
    let text = body[field].as_str();
    Ok(text.with_context(|| format!("no {field} in {body}"))?.to_owned())
}

fn unix_us() -> anyhow::Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::try_from(now.as_micros())?)
}

/// The number of the newest event.
fn newest(adb: &Adb, device: &str) -> anyhow::Result<u64> {
    Ok(adb.events(device)?.last().map_or(0, |event| event.seq))
}

/// When a person's touches after event `newest` were taken in: what goes down and what moves.
fn accepted(adb: &Adb, device: &str, newest: u64) -> anyhow::Result<Vec<u64>> {
    let events = adb.events(device)?.into_iter();
    let touches = events.filter(|event| event.seq > newest && event.is_touch());
    Ok(touches.map(|event| event.at_us).collect())
}

impl fmt::Display for RevokeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} sessions revoked with a finger moving; from the sending of the request:",
            self.last_input.n
        )?;
        for (name, spread) in [
            ("last input that the device accepted", self.last_input),
            ("last RTP packet that the page received", self.last_packet),
            ("answer to the admin", self.answered),
            ("page shows it", self.shown),
        ] {
            let Spread {
                p50, p95, p99, max, ..
            } = spread;
            writeln!(
                f,
                "  {name:<38} p50 {p50:>7.1} ms  p95 {p95:>7.1} ms  p99 {p99:>7.1} ms  longest {max:>7.1} ms"
            )?;
        }
        Ok(())
    }
}
