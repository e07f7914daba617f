//! `farglass agent --record` and `farglass device --replay` as a person runs them: programs, with files between them.
//!
//! ```text
//!   farglass device ══ tap ══ farglass agent --record ──► trial/TIME.wire
//!                                                            │
//!   farglass device --replay ◄───────────────────────────────┘
//!          └══ tap ══ farglass agent --record ──► a recording of the play
//! ```
//!
//! What is compared are the pictures on the two wires, read by the [`tap`] alone, with their times, and the films of the
//! two files. No control is needed: an agent films its devices from the moment it reaches them, and asks for control for
//! as long as it takes; here it asks a socket that never answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../running/mod.rs"]
mod running;
mod shot;
mod tap;

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use device::replay::Film;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;

use running::{DEADLINE, Device, farglass};
use shot::{Shot, recorded};
use tap::Tap;

/// Pictures before and after the device is turned.
const PICTURES: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_recorded_of_a_live_device_another_device_shows_again_picture_by_picture_at_its_times()
{
    let folder = tempfile::tempdir().unwrap();
    let control = UdpSocket::bind("127.0.0.1:0").unwrap();
    let recording = |name: &str| Recording {
        folder: folder.path().join(name),
        control: control.local_addr().unwrap(),
    };

    let live = Device::start(&[]).await;
    let tap = Tap::before(live.address).await;
    let first = recording("live");
    let began = Instant::now();
    let agent = first.begin(tap.address);
    tap.until("the device is filmed", |shots| !shots.is_empty()).await;
    move_and_turn(&live, &tap).await;
    end(agent).await;
    let lived = began.elapsed();
    let shot = tap.shots();
    let file = first.only_file();
    let film = Film::open(&file).unwrap();
    drop((live, tap));

    let player = Device::start(&["--replay", file.to_str().unwrap()]).await;
    let tap = Tap::before(player.address).await;
    let second = recording("played");
    let agent = second.begin(tap.address);
    let whole = film.pictures().len();
    tap.until("the whole recording is played", |shots| shots.len() >= whole)
        .await;
    end(agent).await;
    let played = tap.shots();

    assert_eq!(played.len(), whole, "a recording is played once");
    // The agent was told to end while pictures were on their way: the last of them are on the wire alone, which may be
    // many of those of the turned device on a machine that is busy.
    assert_eq!(difference(&played, &shot), None);
    assert!(of_size(&played, UPRIGHT) >= PICTURES && of_size(&played, TURNED) > 0);
    let times = recorded(&file);
    assert_eq!(difference(&played, &times), None);
    assert_eq!(untimely(&times, &shot, lived), None);
    assert_eq!(too_early(&played, &times), None);
    // So it is with the second agent and the last pictures of the play.
    let again = Film::open(&second.only_file()).unwrap();
    let again = again.pictures();
    assert!(film.pictures().starts_with(again) && again.len() >= PICTURES);
}

const UPRIGHT: (u32, u32) = (360, 640);
const TURNED: (u32, u32) = (640, 360);

fn of_size(shots: &[Shot], size: (u32, u32)) -> usize {
    shots.iter().filter(|shot| shot.size == size).count()
}

/// Something moves on the device, and then the device is turned, until there are enough pictures of both.
async fn move_and_turn(device: &Device, tap: &Tap) {
    let hand = adb::Host::connect(device.address).await.unwrap();
    hand.shell("am start -n dev.farglass.motion/.MainActivity")
        .await
        .unwrap();
    tap.until("it moves", |shots| of_size(shots, UPRIGHT) >= PICTURES)
        .await;
    hand.shell("wm user-rotation lock 1").await.unwrap();
    tap.until("it moves, turned", |shots| of_size(shots, TURNED) >= PICTURES)
        .await;
}

/// Where the first picture differs that was played, and both.
fn difference(played: &[Shot], shot: &[Shot]) -> Option<String> {
    let differs = |at: &usize| shot.get(*at).is_none_or(|shot| !shot.shows(&played[*at]));
    let at = (0..played.len()).find(differs)?;
    Some(format!("{at}: {:?} and not {:?}", played[at], shot.get(at)))
}

/// The first picture that is said to have been recorded before it came through the wire, or when the agent was no more.
/// A recorder's clock begins within its agent's life and before the agent connects, which is where that of the wire
/// begins; how long a picture takes from there is the machine's matter.
fn untimely(times: &[Shot], shot: &[Shot], lived: Duration) -> Option<String> {
    let mut pairs = times.iter().zip(shot).enumerate();
    // A recording counts whole microseconds.
    let untimely = |at: Duration, came: Duration| at.as_micros() < came.as_micros() || at > lived;
    let (at, (time, shot)) = pairs.find(|(_, (time, shot))| untimely(time.at, shot.at))?;
    Some(format!(
        "{at}: {:?}, came at {:?}, the agent lived for {lived:?}",
        time.at, shot.at
    ))
}

/// The first picture that was played before its time. The player's clock cannot have begun before
/// its agent connected, which is where that of the wire begins; how late a picture may be is the machine's matter.
fn too_early(played: &[Shot], times: &[Shot]) -> Option<String> {
    let first = times.first().expect("something was recorded").at;
    let due = |at: usize| times[at].at.saturating_sub(first);
    let last = due(played.len() - 1);
    assert!(last > Duration::ZERO, "the recording took no time");
    let at = (0..played.len()).find(|&at| played[at].at < due(at))?;
    Some(format!("{at}: {:?}, due at {:?}", played[at], due(at)))
}

/// A folder of an agent that records.
struct Recording {
    folder: PathBuf,
    control: SocketAddr,
}

impl Recording {
    /// `farglass agent --record`, for one device.
    fn begin(&self, device: SocketAddr) -> Child {
        let path = |name: &str| self.folder.join(name);
        std::fs::create_dir(&self.folder).unwrap();
        std::fs::write(path("server"), device::stand_in_server("4.1")).unwrap();
        // Of the right form; nobody looks at it.
        std::fs::write(path("token"), format!("{}.{}", "A".repeat(43), "0".repeat(64))).unwrap();
        farglass("agent")
            .args(["--control", &self.control.to_string(), "--media", "127.0.0.1:0"])
            .args(["--device", &format!("trial={device}"), "--scrcpy-version", "4.1"])
            .arg("--join-token-file")
            .arg(path("token"))
            .arg("--scrcpy-server")
            .arg(path("server"))
            .arg("--data")
            .arg(path("data"))
            .arg("--record")
            .arg(path("recordings"))
            .stderr(std::fs::File::create(path("log")).unwrap())
            .spawn()
            .unwrap()
    }

    /// The one recording, whole under its name.
    fn only_file(&self) -> PathBuf {
        let names = |folder: &Path| -> Vec<PathBuf> {
            let entries = std::fs::read_dir(folder).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        let devices = names(&self.folder.join("recordings"));
        assert_eq!(devices, [self.folder.join("recordings/trial")]);
        let files = names(&devices[0]);
        let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        assert_eq!(files.len(), 1, "{files:?}\n{}", log());
        assert_eq!(files[0].extension().unwrap(), "wire");
        files[0].clone()
    }
}

/// Ends an agent as a service manager does.
async fn end(mut agent: Child) {
    let id = i32::try_from(agent.id().expect("the agent runs")).unwrap();
    kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
    let ended = tokio::time::timeout(DEADLINE, agent.wait()).await;
    let status = ended.expect("the agent does not end").unwrap();
    assert!(status.success(), "{status}");
}
