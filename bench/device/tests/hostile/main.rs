//! A million wrong packets from a device against the host's side of adb and scrcpy: nothing panics, nothing hangs, and it
//! costs no more than a bounded amount of memory.
//!
//! ```text
//!   real session ── tape ──► attacker ══ wire ══ Host ─┬─ shell, pull, push, list, stat
//!                            (mutates)                 ├─ video: demuxer       what an agent runs
//!                                                      ├─ control: messages
//!                                                      └─ OPENs of the device: refused, or taken and read
//! ```
//!
//! The mutations are seeded. Each connection ends when the host has had enough, or when the attacker hangs up.

#![expect(clippy::unwrap_used, reason = "tests: a broken rig may panic")]

mod attacker;
mod tape;

use std::time::Duration;

use adb::Host;
use adb::transfer::{Links, Target};
use bytes::BytesMut;
use scrcpy::demux::Demuxer;
use scrcpy::device_msg;

use attacker::{Dice, attack};

/// Wrong packets in all.
const PACKETS: usize = 1_000_000;
/// What they may cost, in bytes of resident memory.
const MEMORY_MAX: u64 = 64 * 1024 * 1024;
/// Longer than a host's own timeouts: a connection that is over and does not end is a bug.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_million_wrong_packets_cost_bounded_memory_and_nothing_else() {
    let tape = tape::record().await;
    for kind in ["shell", "sync", "video", "control"] {
        assert!(tape.payloads.contains_key(kind), "{kind} is missing on the tape");
    }
    let mut dice = Dice(1);
    // What the first connections set up stays; it is not what an attack costs.
    let mut sent = round(&tape, &mut dice).await;
    let before = resident("VmRSS:");
    forget_peak();
    let (mut connections, mut pictures) = (1, 0);
    while sent < PACKETS {
        let (host, wire) = tokio::io::duplex(1 << 16);
        let working = async {
            match Host::connect_over(host).await {
                Ok(host) => work(host).await,
                // A hello that was wrong.
                Err(_) => 0,
            }
        };
        let both = async { tokio::join!(attack(wire, &tape, &mut dice), working) };
        let (more, seen) = tokio::time::timeout(DEADLINE, Box::pin(both))
            .await
            .expect("the host hangs");
        sent += more;
        pictures += seen;
        connections += 1;
    }
    let cost = resident("VmHWM:").saturating_sub(before);
    println!("{sent} packets on {connections} connections, {pictures} pictures, {cost} bytes");
    assert!(cost <= MEMORY_MAX, "{cost} bytes");
    // An attack that ends each connection at its first packet would test nothing behind it.
    assert!(
        connections * 20 < sent && pictures > 1_000,
        "{connections} connections, {pictures} pictures"
    );
}

async fn round(tape: &tape::Tape, dice: &mut Dice) -> usize {
    let (host, wire) = tokio::io::duplex(1 << 16);
    let working = async {
        if let Ok(host) = Host::connect_over(host).await {
            work(host).await;
        }
    };
    tokio::join!(attack(wire, tape, dice), working).0
}

/// What an agent does with a device, all at once; how many pictures it took for good.
async fn work(host: Host) -> usize {
    let incoming = host.incoming();
    let welcome = async {
        let Some(mut incoming) = incoming else { return };
        while let Some(open) = incoming.next().await {
            // As a reverse tunnel does with names that it knows.
            if open.service().len() % 2 == 0
                && let Ok(mut stream) = open.accept()
            {
                let _ = stream.read_chunk().await;
            }
        }
    };
    let target = Target {
        path: "/sdcard/x",
        permissions: 0o644,
        mtime_s: 1,
    };
    // Every failure is as good as any other: that there is an end is what counts.
    let errands = async {
        let _ = tokio::join!(
            host.shell("getprop"),
            host.pull("/sdcard/x", 1 << 20),
            host.push(&target, &[1; 1_000]),
            host.list("/"),
            host.stat2("/", Links::Follow),
        );
    };
    let (pictures, ..) = tokio::join!(video(&host), control(&host), errands, async {
        tokio::select! {
            () = welcome => {}
            () = ended(&host) => {}
        }
    });
    pictures
}

/// Waits for the end of the connection, by a stream that lives as long as it does.
async fn ended(host: &Host) {
    if let Ok(mut stream) = host.open("localabstract:quiet").await {
        while let Ok(Some(_)) = stream.read_chunk().await {}
    }
}

async fn video(host: &Host) -> usize {
    let mut pictures = 0;
    let start = tape::options().video_start(tape::version());
    // The agent opens it anew when a stream cannot be followed.
    for _ in 0..20 {
        let Ok(mut stream) = host.open("localabstract:video").await else {
            return pictures;
        };
        let mut demuxer = Demuxer::new(start);
        'stream: while let Ok(Some(chunk)) = stream.read_chunk().await {
            demuxer.push(chunk);
            loop {
                match demuxer.poll() {
                    Ok(Some(_)) => pictures += 1,
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
        }
    }
    pictures
}

async fn control(host: &Host) {
    for _ in 0..20 {
        let Ok(mut stream) = host.open("localabstract:control").await else {
            return;
        };
        let mut bytes = BytesMut::new();
        'stream: while let Ok(Some(chunk)) = stream.read_chunk().await {
            bytes.extend_from_slice(&chunk);
            loop {
                match device_msg::decode(&bytes) {
                    Ok(Some((_, length))) => drop(bytes.split_to(length)),
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
        }
    }
}

/// A line of this process's status, in bytes.
fn resident(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// The peak is counted from here.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}
