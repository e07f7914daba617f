//! A million wrong packets of one device, while its neighbour on the same agent shows a film: the neighbour's viewer sees
//! the film go on, without a hole, until after the attack, and the agent grows by no more than a bounded amount.
//!
//! ```text
//!   film, 30 fps ═ device ═══════════════╗
//!   film ═ device ═ meddler (wrong) ═════╬═ agent ── gateway ══ WebRTC ══ viewer of the first
//! ```
//!
//! The neighbour's device leaves no picture of its film out, so the viewer has to see each, in order. In the first attack
//! packets are many and small, and everything is in this one process: what it grows by is more than what the agent does.
//! In the second they are as large as any, somebody watches that device too, and the agent is in a process of its own.

use std::time::Duration;

use device::replay::Film;
use device::{Mirroring, Traits};
use gateway::access_unit::{NalKind, nals};
use protocol::agent::DeviceHealth;

use crate::ffmpeg;
use crate::flood::{Flood, Mood};
use crate::meddler::Meddler;
use crate::network::Dice;
use crate::peer::Received;
use crate::phone::Phone;
use crate::rig::{Filming, PATIENCE, Rig};
use crate::show::Show;
use crate::viewer::Viewer;

/// Wrong packets in all.
const WRONG: usize = 1_000_000;
/// Those of them for streams that live or did a moment ago, at least.
const LIVELY: usize = 8_000;
/// On each connection; then the agent has to call again, and waits longer each time.
const EACH: usize = 200_000;
/// What they may cost, in bytes of resident memory.
const MEMORY_MAX: u64 = 64 * 1024 * 1024;
/// Longest that the attack may take.
const DEADLINE: Duration = Duration::from_secs(300);
/// Pictures of the film, in a loop. No two within it are the same.
const PICTURES: usize = 240;
/// Frames that have to come after the attack: what waited at its end is less.
const AFTERWARDS: usize = 60;
/// How long nothing came when pictures were dropped, and how often a machine may stand still for so long: a few times, or
/// once in a time.
const STOOD_STILL: Duration = Duration::from_millis(400);
const LEAPS_MAX: usize = 3;
const LEAPS_APART: Duration = Duration::from_secs(10);
/// Frames at the beginning that may be sent again to who joins, under times of their own.
const JOINING: usize = 60;

/// The neighbour's film.
const SMALL: &[&str] = &["-profile:v", "baseline", "-b:v", "1M", "-g", "60"];
/// The other device's pictures, all of them key frames.
const LARGE: (u16, u16) = (1_232, 1_232);
const LARGE_PICTURES: usize = 4;
const LARGE_FPS: u32 = 10;
/// Bytes of each.
const LARGE_MIN: usize = 3 << 20;
/// What the viewer of that device has to be sent before the attack and during it.
const WATCHED_BYTES: usize = 8 << 20;
/// Wrong packets of 1 MiB.
const LARGE_WRONG: usize = 150;
/// Between two looks at what was watched.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

fn traits(film: &Film) -> Traits {
    Traits {
        mirroring: Mirroring {
            film: Some(film.clone()),
            ..Mirroring::default()
        },
        ..Traits::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_million_wrong_packets_of_a_device_cost_its_neighbour_no_frame_and_the_agent_little_memory() {
    let film = ffmpeg::x264((320, 640), PICTURES, SMALL);
    let film = Film::parse(&film.into()).unwrap();
    let well = Phone::sized((320, 640), 30, traits(&film)).await;
    let ill = Phone::sized((320, 640), 30, traits(&film)).await;
    let mut meddler = Meddler::before(ill.address, EACH, 7).await;
    let rig = Rig::beside(well, &[("hostile", meddler.address)], &Filming::default()).await;
    let mut show = Show::on(rig).await;
    show.prepare("dev.farglass.paint").await;
    let mut viewer = show.viewer().await;
    viewer
        .until("the neighbour is seen", |peer| peer.packets.len() > JOINING)
        .await;
    let ill = async {
        show.rig
            .control
            .named("hostile", |fact| fact.health == DeviceHealth::Healthy)
            .await
    };
    tokio::time::timeout(PATIENCE, ill)
        .await
        .expect("the attack never gets as far as the film");

    let before = resident("VmRSS:");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let seen_before = viewer.pictures().len();
    let tally = *meddler.tally.borrow();
    let (enough, lively) = (tally.wrong + WRONG, tally.lively + LIVELY);
    let attack = meddler
        .tally
        .wait_for(|tally| tally.wrong >= enough && tally.lively >= lively);
    let attack = matches!(tokio::time::timeout(DEADLINE, attack).await, Ok(Ok(_)));
    let cost = resident("VmHWM:").saturating_sub(before);
    let tally = *meddler.tally.borrow();
    assert!(attack, "only {tally:?}");

    let seen = viewer.pictures().len();
    let frames = goes_on(&mut viewer, seen).await;
    let late = lateness(&frames[JOINING..]);
    println!(
        "{tally:?}, {cost} bytes, {} frames of {}, late {:?} p50, {:?} p99, {:?} max",
        seen - seen_before,
        frames.len(),
        late[late.len() / 2],
        late[late.len() * 99 / 100],
        late[late.len() - 1]
    );
    assert!(cost <= MEMORY_MAX, "{cost} bytes");
    check_order(&frames, &film);
    show.rig.stop_agent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_largest_pictures_and_packets_of_a_device_that_is_watched_cost_its_neighbour_no_frame() {
    let film = ffmpeg::x264((320, 640), PICTURES, SMALL);
    let film = Film::parse(&film.into()).unwrap();
    let mut dice = Dice::new(11);
    let large = ffmpeg::x264_of_noise(LARGE, LARGE_PICTURES, &["-g", "1", "-qp", "1"], || {
        dice.roll(256) as u8
    });
    let large = Film::parse(&large.into()).unwrap();
    let sizes = large.pictures().iter().map(|picture| picture.unit.len());
    assert!(sizes.min().unwrap() > LARGE_MIN && large.pictures().iter().all(|picture| picture.key));
    let well = Phone::sized((320, 640), 30, traits(&film)).await;
    let ill = Phone::sized(LARGE, LARGE_FPS, traits(&large)).await;
    let mut flood = Flood::before(ill.address, 7).await;
    let rig = Rig::apart(well, &[("hostile", flood.address)]).await;
    let agent = rig.agent_pid.unwrap().to_string();
    let mut show = Show::on(rig).await;
    show.prepare("dev.farglass.paint").await;
    let mut viewer = show.viewer().await;
    viewer
        .until("the neighbour is seen", |peer| peer.packets.len() > JOINING)
        .await;

    let before = resident_of(&agent, "VmRSS:");
    std::fs::write(format!("/proc/{agent}/clear_refs"), "5").unwrap();
    flood.becomes(Mood::Honest);
    let watcher = show.viewer_of("hostile").await;
    let mut watched = Vec::new();
    for mood in [Mood::Honest, Mood::Wild] {
        watched.push(endure(&mut flood, mood, &watcher).await);
        println!(
            "{mood:?}: {} bytes more",
            resident_of(&agent, "VmHWM:").saturating_sub(before)
        );
    }
    let cost = resident_of(&agent, "VmHWM:").saturating_sub(before);
    let tally = *flood.tally.borrow();

    let seen = viewer.pictures().len();
    let frames = goes_on(&mut viewer, seen).await;
    println!(
        "{tally:?}, {cost} bytes, {} frames, {watched:?} bytes watched",
        frames.len()
    );
    check_order(&frames, &film);
    assert!(cost <= MEMORY_MAX, "{cost} bytes");
    show.rig.stop_agent().await;
}

/// The film of a viewer that has seen so many pictures when the attack was over, and sees more.
async fn goes_on(viewer: &mut Viewer, seen: usize) -> Vec<Received> {
    viewer
        .until("the film goes on after the attack", |peer| {
            let ends = peer.packets.values().filter(|(_, packet)| packet.header.marker);
            ends.count() >= seen + AFTERWARDS
        })
        .await;
    viewer.pictures()
}

/// Waits until enough was sent to the watcher, and in a wild mood enough that is wrong to the agent; gives the watcher's bytes.
async fn endure(flood: &mut Flood, mood: Mood, watcher: &Viewer) -> usize {
    flood.becomes(mood);
    let (bytes, wrong) = (watcher.counted(), flood.tally.borrow().wrong);
    let least = if mood == Mood::Wild { LARGE_WRONG } else { 0 };
    let all = async {
        while watcher.counted() < bytes + WATCHED_BYTES
            || flood.tally.borrow_and_update().wrong < wrong + least
        {
            let _ = tokio::time::timeout(LOOK_AGAIN, flood.tally.changed()).await;
        }
    };
    let all = tokio::time::timeout(DEADLINE, all).await;
    let watched = watcher.counted() - bytes;
    assert!(all.is_ok(), "only {:?}, {watched} watched", flood.tally.borrow());
    watched
}

/// Every picture of the film, again and again, none missing and none twice. But for leaps of a machine that stood still:
/// the gateway drops what waited for half a second, and goes on with a key frame.
fn check_order(frames: &[Received], film: &Film) {
    let slices = |unit: &[u8]| -> Vec<Vec<u8>> {
        nals(unit)
            .filter(|nal| is_slice(nal))
            .map(<[u8]>::to_vec)
            .collect()
    };
    let film: Vec<Vec<Vec<u8>>> = film
        .pictures()
        .iter()
        .map(|picture| slices(&picture.unit))
        .collect();
    let lasted = frames[frames.len() - 1].at.duration_since(frames[0].at);
    let leaps_max = LEAPS_MAX.max((lasted.as_secs() / LEAPS_APART.as_secs()) as usize);
    let (mut before, mut leaps): (Option<(usize, &Received)>, usize) = (None, 0);
    for (number, frame) in frames.iter().enumerate() {
        let seen: Vec<Vec<u8>> = frame.nals.iter().filter(|nal| is_slice(nal)).cloned().collect();
        let at = film.iter().position(|picture| *picture == seen);
        let at = at.unwrap_or_else(|| panic!("frame {number} is none of the film's"));
        if let Some((last, earlier)) = before
            && (last + 1) % film.len() != at
        {
            let is_key = seen.iter().all(|nal| NalKind::of(nal[0]) == NalKind::IdrSlice);
            let silent = frame.at.duration_since(earlier.at);
            leaps += 1;
            assert!(
                is_key && silent >= STOOD_STILL && leaps <= leaps_max,
                "frame {number} is {at} of the film and comes {silent:?} after {last}"
            );
        }
        before = Some((at, frame));
    }
}

fn is_slice(nal: &[u8]) -> bool {
    matches!(NalKind::of(nal[0]), NalKind::Slice | NalKind::IdrSlice)
}

/// How much longer than the quickest each was on its way, by the device's clock in its time stamp; sorted.
fn lateness(frames: &[Received]) -> Vec<Duration> {
    let first = &frames[0];
    let travelled = frames.iter().map(|frame| {
        let drawn = f64::from(frame.rtp.wrapping_sub(first.rtp)) / 90_000.0;
        frame.at.duration_since(first.at).as_secs_f64() - drawn
    });
    let mut travelled: Vec<f64> = travelled.collect();
    travelled.sort_by(f64::total_cmp);
    let quickest = travelled[0];
    travelled
        .iter()
        .map(|time| Duration::from_secs_f64(time - quickest))
        .collect()
}

/// A line of this process's status, in bytes.
fn resident(line: &str) -> u64 {
    resident_of("self", line)
}

/// The same of another one.
fn resident_of(process: &str, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}
