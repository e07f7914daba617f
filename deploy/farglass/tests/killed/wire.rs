//! A wire to a device on which everything stands still at a chosen moment of what the agent has the device do.
//!
//! ```text
//!   agent ──OPEN "shell,v2,raw:COMMAND"──► ┆ Before: held here   ──► device
//!         ◄───────────────────────────────┆ After:  held here ◄──WRTE "…, exit code"──
//!                                          ▲
//!                              one counts from `count` on; a command that is only asked again is the same one
//! ```
//!
//! Who kills the agent while a wire is held kills it at that step for certain, however busy the machine is. The wire reads
//! adb's packets (24 bytes of header, little-endian: command, sender's stream, receiver's stream, length, …) by itself. It
//! does not know what the commands are for.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::running::DEADLINE;

const HEADER: usize = 24;
/// The agent asks whether its device is alive by this, at any time.
const PULSE: &str = "echo";
/// The id of the frame that ends what a command prints.
const EXIT: u8 = 3;

/// Where the wire is held; commands are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The device has not heard of this command.
    Before(usize),
    /// It has done it, and the agent has not heard of that.
    After(usize),
}

/// The wire. Dropping it cuts it.
pub(crate) struct Wire {
    /// Where an agent finds the device.
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _carrying: AbortOnDropHandle<()>,
}

struct State {
    ear: Mutex<Ear>,
    /// Whether it is held.
    held: watch::Sender<bool>,
    /// Rises with each cut.
    cuts: watch::Sender<u64>,
}

#[derive(Default)]
struct Ear {
    counts: bool,
    commands: Vec<String>,
    moment: Option<Moment>,
    /// The agent's stream of the command that is to be held afterwards, and what came on it.
    until: Option<(u32, Vec<u8>)>,
}

impl Wire {
    pub(crate) async fn before(device: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            ear: Mutex::default(),
            held: watch::Sender::new(false),
            cuts: watch::Sender::new(0),
        });
        let carrying = carry_all(listener, device, Arc::clone(&state));
        Self {
            address,
            state,
            _carrying: AbortOnDropHandle::new(tokio::spawn(carrying)),
        }
    }

    /// Counts commands from now on, to be held at this moment, if at any.
    pub(crate) fn count(&self, moment: Option<Moment>) {
        *self.state.ear.lock().unwrap() = Ear {
            counts: true,
            moment,
            ..Ear::default()
        };
    }

    /// The commands since then, in their order.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.state.ear.lock().unwrap().commands.clone()
    }

    /// Waits until it is held.
    pub(crate) async fn held(&self) {
        let mut held = self.state.held.subscribe();
        let held = tokio::time::timeout(DEADLINE, held.wait_for(|held| *held)).await;
        if held.is_err() {
            let ear = self.state.ear.lock().unwrap();
            panic!("the agent never came to {:?}: {:#?}", ear.moment, ear.commands);
        }
    }

    /// Cuts whoever is connected, and holds nothing any more.
    pub(crate) fn cut(&self) {
        *self.state.ear.lock().unwrap() = Ear::default();
        self.state.held.send_replace(false);
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn carry_all(listener: TcpListener, device: SocketAddr, state: Arc<State>) {
    let mut carried = JoinSet::new();
    while let Ok((agent, _)) = listener.accept().await {
        let (state, mut cuts) = (Arc::clone(&state), state.cuts.subscribe());
        carried.spawn(async move {
            let Ok(device) = TcpStream::connect(device).await else {
                return;
            };
            agent.set_nodelay(true).unwrap();
            device.set_nodelay(true).unwrap();
            let (from_agent, to_agent) = agent.into_split();
            let (from_device, to_device) = device.into_split();
            tokio::select! {
                () = carry(from_agent, to_device, |packet| state.asked(packet)) => {}
                () = carry(from_device, to_agent, |packet| state.answered(packet)) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

/// Carries packets until one is to be held, which lasts until the wire is cut.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, passes: impl Fn(&Packet) -> bool) {
    while let Some(packet) = Packet::read(&mut from).await {
        if !passes(&packet) {
            return std::future::pending().await;
        }
        if to.write_all(&packet.0).await.is_err() {
            return;
        }
    }
}

impl State {
    /// Whether a packet of the agent goes on.
    fn asked(&self, packet: &Packet) -> bool {
        let mut ear = self.ear.lock().unwrap();
        let Some(command) = packet.command().filter(|command| ear.counts && *command != PULSE) else {
            return true;
        };
        if ear.commands.last().is_some_and(|last| last == command) {
            return true;
        }
        let number = ear.commands.len();
        ear.commands.push(command.to_owned());
        if ear.moment == Some(Moment::After(number)) {
            ear.until = Some((packet.word(1), Vec::new()));
        }
        let held = ear.moment == Some(Moment::Before(number));
        if held {
            self.held.send_replace(true);
        }
        !held
    }

    /// Whether a packet of the device goes on.
    fn answered(&self, packet: &Packet) -> bool {
        let mut ear = self.ear.lock().unwrap();
        let Some((_, printed)) = ear.until.as_mut().filter(|(stream, _)| *stream == packet.word(2)) else {
            return true;
        };
        let ends = match packet.name() {
            b"WRTE" => {
                printed.extend_from_slice(packet.payload());
                has_exit(printed)
            }
            name => name == b"CLSE",
        };
        if ends {
            self.held.send_replace(true);
        }
        !ends
    }
}

/// Whether an exit code is among these frames: id u8 · length u32 · content.
fn has_exit(mut frames: &[u8]) -> bool {
    while let [id, a, b, c, d, rest @ ..] = frames {
        if *id == EXIT {
            return true;
        }
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let Some(rest) = rest.get(length..) else {
            return false;
        };
        frames = rest;
    }
    false
}

/// A packet of adb, as it is on the wire.
struct Packet(Vec<u8>);

impl Packet {
    async fn read(from: &mut OwnedReadHalf) -> Option<Self> {
        let mut packet = Self(vec![0; HEADER]);
        from.read_exact(&mut packet.0).await.ok()?;
        let length = packet.word(3) as usize;
        packet.0.resize(HEADER + length, 0);
        from.read_exact(&mut packet.0[HEADER..]).await.ok()?;
        Some(packet)
    }

    fn name(&self) -> &[u8] {
        &self.0[..4]
    }

    fn word(&self, at: usize) -> u32 {
        let bytes = self.0[4 * at..4 * at + 4].try_into();
        u32::from_le_bytes(bytes.expect("a word has four bytes"))
    }

    fn payload(&self) -> &[u8] {
        &self.0[HEADER..]
    }

    /// The command for the device's shell that it opens a stream for.
    fn command(&self) -> Option<&str> {
        let service = std::str::from_utf8(self.payload())
            .ok()
            .filter(|_| self.name() == b"OPEN")?;
        let (_, command) = service.strip_prefix("shell")?.split_once(':')?;
        Some(command.trim_end_matches('\0'))
    }
}
