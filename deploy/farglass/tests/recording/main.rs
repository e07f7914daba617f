//! `farglass agent --record` and `farglass device --replay` as a person runs them: programs, with files between them.
//!
//! ```text
//!   farglass device ══ tap ══ farglass agent --record ──► trial/TIME.wire
//!                                                            │
//!   farglass device --replay ◄───────────────────────────────┘
//!          └══ tap ══ farglass agent --record ──► a recording of the play
//! ```
//!
//! What is compared are the pictures on the two wires, read by the [`tap`] alone, and the films of the two files. No
//! control is needed: an agent films its devices from the moment it reaches them, and asks for control for as long as
//! it takes; here it asks a socket that never answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod tap;

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use device::replay::Film;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use tap::{DEADLINE, Shot, Tap};

/// Pictures before and after the device is turned.
const PICTURES: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_recorded_of_a_live_device_another_device_shows_again_picture_by_picture() {
    let folder = tempfile::tempdir().unwrap();
    let control = UdpSocket::bind("127.0.0.1:0").unwrap();
    let recording = |name: &str| Recording {
        folder: folder.path().join(name),
        control: control.local_addr().unwrap(),
    };

    let live = Device::start(&[]).await;
    let tap = Tap::before(live.address).await;
    let first = recording("live");
    let agent = first.begin(tap.address);
    tap.until("the device is filmed", |shots| !shots.is_empty()).await;
    move_and_turn(&live, &tap).await;
    end(agent).await;
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
fn difference(played: &[Shot], shot: &[Shot]) -> Option<(usize, Shot, Option<Shot>)> {
    let at = (0..played.len()).find(|&at| shot.get(at) != Some(&played[at]))?;
    Some((at, played[at].clone(), shot.get(at).cloned()))
}

fn farglass(word: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farglass"));
    command
        .arg(word)
        .env("RUST_LOG", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    command
}

/// `farglass device`.
struct Device {
    address: SocketAddr,
    _process: Child,
}

impl Device {
    /// On a port that the kernel chose, which it tells when it is ready.
    async fn start(over: &[&str]) -> Self {
        let mut process = farglass("device")
            .args(["--adb-port", "0", "--size", "360x640", "--fps", "30"])
            .args(over)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let ready = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the device ended");
                if let Some((_, address)) = line.split_once("adb.address=Some(") {
                    return address.trim_end_matches(')').parse().unwrap();
                }
            }
        };
        let address = tokio::time::timeout(DEADLINE, ready).await.expect("no device");
        // Whatever else it says has to be read by somebody.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            address,
            _process: process,
        }
    }
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
