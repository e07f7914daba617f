//! A holder over the death of everything that is not in his picture's way, and what remains of those whose lease is over.
//!
//! ```text
//!   link ─► picture ─► touch arrives ─┬─ SIGKILL controls, database ─► frames, touches ─┬─ started again ─► frames, same lease
//!                                     └────────────── no packet is missing for good ───┘
//!   revoked, cleaned: every fence is above every lease ─► all who were ever connected tap on ─► no device takes it in
//! ```
//!
//! Everything is waited for, and nothing has to be fast; but a picture that stands still for many seconds while the machine
//! does not (`rhythm.rs`) is one that noticed. Packets are counted by a peer on a socket (`viewer.rs`), touches by the
//! devices' own logs through stock adb.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use super::adb::{Adb, Event};
use super::client::{Answer, Client, Said};
use super::house::{House, Kind, READY_LIMIT};
use super::load::{Link, Scene};
use super::peer::{Seen, place};
use super::rhythm::Witness;
use super::viewer::Viewer;

/// The caller who watches; people and crowds have numbers below.
const WATCHER: u16 = 900;
/// What moves in the picture.
const MOVING: &str = "dev.farglass.motion";
/// Frames that are waited for each time: a second of them.
const FRAMES: usize = 60;
/// Touches that each ended holder tries while devices are looked at: a second of them.
const LATE_TAPS: u64 = 20;
/// Between two looks at something that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Of a hundred packets so many may be missing for good: the kernel throws away what a socket cannot hold while its reader
/// gets no processor, and what is gone for longer than the gateway keeps it is not sent again. A picture that begins anew
/// leaves a hole of thousands.
const LOST_MAX_PERCENT: u64 = 1;
/// How long a moving picture may stand still beyond what the machine itself did: hundreds of frames. Two cores on which a
/// database recovers and every control starts keep an encoder waiting for a second now and then.
const STILL_MAX: Duration = Duration::from_secs(10);

/// What one holder saw. The picture went on, or there is a violation.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Crossing {
    /// Whole frames that came while every control and the database were dead.
    pub dead: usize,
    /// Whole frames in all.
    pub frames: usize,
    /// Packets that came.
    pub packets: u64,
    /// Packets between the first and the last that never came.
    pub missing: u64,
    /// Touches that the device took in while every control and the database were dead.
    pub touches: usize,
    /// The longest wait for a frame from the death until the picture had gone on after it, milliseconds.
    pub longest_wait_ms: u64,
    /// How long a thread that sleeps for 50 ms at a time slept at most meanwhile, milliseconds.
    pub longest_sleep_ms: u64,
}

impl Crossing {
    /// Whether a hole is in the sequence.
    fn is_torn(&self) -> bool {
        self.missing * 100 > self.packets * LOST_MAX_PERCENT
    }

    /// Whether the picture stood still, and not the machine.
    fn stood_still(&self) -> bool {
        let own = self.longest_wait_ms.saturating_sub(self.longest_sleep_ms);
        Duration::from_millis(own) > STILL_MAX
    }
}

impl fmt::Display for Crossing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "connected: {} frames, {} of them and {} touches without control; {} packets, {} missing; {} ms between \
             frames at most, where a sleep of 50 took {}",
            self.frames,
            self.dead,
            self.touches,
            self.packets,
            self.missing,
            self.longest_wait_ms,
            self.longest_sleep_ms
        )
    }
}

/// A holder with a picture.
struct Holder {
    client: Client,
    session: String,
    epoch: u64,
    cookie: (String, String),
    viewer: Arc<Viewer>,
}

/// Watches the first device, which has to be free, over the death of every control and the database. What must not be
/// is said in sentences.
pub(crate) async fn cross(house: &mut House, scene: &Scene) -> anyhow::Result<(Crossing, Vec<String>)> {
    let mut found = Vec::new();
    let link = scene.make_link(0, None, Some(MOVING)).await;
    let link = link.context("control makes a link at a quiet moment")?;
    let holder = hold(house, scene, &link).await?;
    let (devices, touched) = (house.adb.clone(), Some(place(holder.epoch)));
    let logs = Logs::open(house, &devices)?;
    let begun =
        comes(|| Ok(holder.frames() >= FRAMES && logs.touches(&vec![0; devices.len()], touched)? > 0));
    if !begun.await? {
        found.push(format!("no picture or no touch within {READY_LIMIT:?}"));
        return Ok((Crossing::default(), found));
    }

    let kinds = house.kinds();
    let brains = |kind: &Kind| matches!(kind, Kind::Postgres | Kind::Control);
    let struck: Vec<usize> = (0..kinds.len()).filter(|part| brains(&kinds[*part])).collect();
    let before = house.seen().await.context("control shows its devices")?;
    let witness = Witness::start().context("a thread")?;
    holder.viewer.watch();
    struck.iter().for_each(|part| house.kill(*part));
    let (frames, newest) = (holder.frames(), logs.newest()?);
    let mut touches = 0;
    let goes_on = comes(|| {
        touches = logs.touches(&newest, touched)?;
        Ok(holder.frames() >= frames + FRAMES && touches > 0)
    });
    if !goes_on.await? {
        found.push("a running picture, or its touches, stopped with control".to_owned());
    }
    let dead = holder.frames() - frames;
    for part in &struck {
        house.start_part(*part).await?;
    }
    if !house.recovered(&before).await? {
        found.push(format!("not ready within {READY_LIMIT:?} after a watched death"));
    }
    let frames = holder.frames();
    if !comes(|| Ok(holder.frames() >= frames + FRAMES)).await? {
        found.push("a running picture stopped when control came back".to_owned());
    }
    let waits = (holder.longest_wait(), witness.longest());
    found.extend(holder.lost_his_lease().await);
    // What is on its way again is not missing for good.
    let is_whole = comes(|| Ok(!holder.crossing(dead, touches, waits).is_torn())).await?;
    let crossing = holder.crossing(dead, touches, waits);
    if !is_whole {
        found.push(format!("a running picture was torn: {crossing}"));
    }
    if crossing.stood_still() {
        found.push(format!("a running picture stood still: {crossing}"));
    }
    Ok((crossing, found))
}

/// Touches of people whose lease is over that a device took in. Every device has to be at rest.
pub(crate) async fn late_touches(house: &House, scene: &Scene) -> anyhow::Result<Option<String>> {
    let logs = Logs::open(house, &house.adb)?;
    let newest = logs.newest()?;
    let viewers = scene.viewers();
    let tapped: Vec<u64> = viewers.iter().map(|viewer| viewer.taps()).collect();
    let all_tap = comes(|| {
        let mut pairs = viewers.iter().zip(&tapped);
        // Who never had a channel cannot try.
        Ok(pairs.all(|(viewer, before)| *before == 0 || viewer.taps() >= before + LATE_TAPS))
    });
    anyhow::ensure!(all_tap.await?, "a viewer's thread taps no more");
    let late = logs.touches(&newest, None)?;
    Ok((late > 0).then(|| format!("{late} touches of ended leases were accepted under a fence above them")))
}

async fn hold(house: &House, scene: &Scene, link: &Link) -> anyhow::Result<Holder> {
    let client = Client::new(&house.urls, WATCHER)?;
    let body = json!({ "token": link.token() });
    let launched = called(&client, "/api/v1/launch", &body, None).await?;
    let cookie = launched.cookie.clone().context("a grant sets a cookie")?;
    scene.keep_secret(cookie.1.clone());
    let session = launched.text("session_id").to_owned();
    let epoch = launched.body["epoch"].as_u64().context("a grant has an epoch")?;
    let (said, viewer) = Viewer::open(&client, &session, epoch, &cookie).await?;
    let viewer = viewer.with_context(|| format!("control said {said:?} to an offer"))?;
    Ok(Holder {
        client,
        session,
        epoch,
        cookie,
        viewer: scene.connected(viewer),
    })
}

async fn called(
    client: &Client,
    path: &str,
    body: &serde_json::Value,
    cookie: Option<&(String, String)>,
) -> anyhow::Result<Answer> {
    match client.call(Method::POST, path, Some(body), cookie).await {
        Said::Answer(answer) if answer.is_success() => Ok(answer),
        other => anyhow::bail!("control said {other:?} to {path}"),
    }
}

impl Holder {
    fn frames(&self) -> usize {
        self.viewer.seen(Seen::frames)
    }

    fn longest_wait(&self) -> Duration {
        self.viewer.seen(|seen| seen.rhythm.longest(Instant::now()))
    }

    /// `waits`: the longest one for a frame, and of the machine's witness.
    fn crossing(&self, dead: usize, touches: usize, waits: (Duration, Duration)) -> Crossing {
        let ms = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.viewer.seen(|seen| Crossing {
            dead,
            touches,
            longest_wait_ms: ms(waits.0),
            longest_sleep_ms: ms(waits.1),
            frames: seen.frames(),
            packets: seen.packets(),
            missing: seen.missing(),
        })
    }

    /// What is wrong if the lease that he had is not his any more.
    async fn lost_his_lease(&self) -> Option<String> {
        let body = json!({ "session_id": self.session });
        let again = called(&self.client, "/api/v1/launch", &body, Some(&self.cookie)).await;
        match again {
            Ok(answer) if answer.body["epoch"].as_u64() == Some(self.epoch) => None,
            other => Some(format!("control's death took a holder's lease: {other:?}")),
        }
    }
}

/// The devices' own logs.
struct Logs<'a> {
    adb: Adb,
    devices: &'a [String],
}

impl<'a> Logs<'a> {
    fn open(house: &House, devices: &'a [String]) -> anyhow::Result<Self> {
        let adb = Adb::start()?;
        for device in devices {
            adb.connect(device).context(house.last_words(Kind::Device))?;
        }
        Ok(Self { adb, devices })
    }

    /// The number of each device's newest event.
    fn newest(&self) -> anyhow::Result<Vec<u64>> {
        let newest = |device: &String| Ok(self.adb.events(device)?.last().map_or(0, |event| event.seq));
        self.devices.iter().map(newest).collect()
    }

    /// Touches that any device took in since then, at one place or at all.
    fn touches(&self, newest: &[u64], at: Option<(u16, u16)>) -> anyhow::Result<usize> {
        let mut touches = 0;
        for (device, newest) in self.devices.iter().zip(newest) {
            let events = self.adb.events(device)?;
            let since = events.iter().filter(|event| event.seq > *newest);
            touches += since.filter(|event| is_touch_at(event, at)).count();
        }
        Ok(touches)
    }
}

fn is_touch_at(event: &Event, at: Option<(u16, u16)>) -> bool {
    let here = at.is_none_or(|(x, y)| (event.x, event.y) == (x.into(), y.into()));
    event.is_touch() && here
}

/// Waits until something is so. Whether it came to be.
async fn comes(mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<bool> {
    let deadline = Instant::now() + READY_LIMIT;
    while Instant::now() < deadline {
        if is_so()? {
            return Ok(true);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, x: i64, y: i64) -> Event {
        Event {
            kind: kind.to_owned(),
            x,
            y,
            ..Event::default()
        }
    }

    #[test]
    fn a_touch_is_known_by_its_place_and_a_lift_is_none() {
        assert!(is_touch_at(&event("down", 3, 4), Some((3, 4))));
        assert!(is_touch_at(&event("move", 3, 4), None));
        assert!(!is_touch_at(&event("down", 3, 5), Some((3, 4))));
        assert!(!is_touch_at(&event("up", 3, 4), None));
    }

    #[test]
    fn a_few_packets_that_the_kernel_threw_away_are_no_hole_and_a_picture_that_began_anew_is() {
        let crossing = |packets, missing| Crossing {
            packets,
            missing,
            ..Crossing::default()
        };
        assert!(!crossing(2_000, 0).is_torn());
        assert!(!crossing(2_000, 20).is_torn());
        assert!(crossing(2_000, 21).is_torn());
    }
    #[test]
    fn a_picture_that_stands_still_alone_is_told_and_one_that_does_with_its_machine_is_not() {
        let stood_still = |longest_wait_ms, longest_sleep_ms| {
            let crossing = Crossing {
                longest_wait_ms,
                longest_sleep_ms,
                ..Crossing::default()
            };
            crossing.stood_still()
        };
        assert!(!stood_still(900, 51));
        assert!(stood_still(30_000, 51));
        assert!(!stood_still(30_000, 29_000), "nothing ran");
    }
}
