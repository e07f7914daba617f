//! A wire to a device that somebody listens on: a relay, and what the device's scrcpy servers send as video through it.
//!
//! ```text
//!   agent ◄──────────────── relay ◄──────────────── device
//!                             └► WRTE by stream ─► 00 · name[64] · "h264" · packets… ─► Shot
//! ```
//!
//! It reads adb's packets (24 bytes of header, little-endian: command, sender's stream, …, length) and scrcpy's video of
//! 4.x by itself, so that it can disagree with the crates that the product reads and writes them with. It knows nothing
//! of recordings. A stream that it cannot read is none of its business: most are no video.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// The longest that any fact may take to become true on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// `WRTE`, as it stands in a header.
const WRTE: &[u8] = b"WRTE";
const ADB_HEADER: usize = 24;
/// What the first socket of a server begins with: the dummy byte and the device's name.
const PREAMBLE: usize = 1 + 64;
const VIDEO_HEADER: usize = 12;

/// One picture as it was sent.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Shot {
    /// Width and height of the encoding session that it is part of.
    pub(crate) size: (u32, u32),
    pub(crate) key: bool,
    /// The parameter sets that came right in front of it; empty if there were none.
    pub(crate) sets: Vec<u8>,
    pub(crate) unit: Vec<u8>,
}

impl fmt::Debug for Shot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            size,
            key,
            sets,
            unit,
        } = self;
        write!(f, "{size:?} key={key} {}+{} bytes", sets.len(), unit.len())
    }
}

/// The relay. Dropping it cuts the wire.
pub(crate) struct Tap {
    /// Where an agent finds the device.
    pub(crate) address: SocketAddr,
    shots: watch::Receiver<Vec<Shot>>,
    _relay: AbortOnDropHandle<()>,
}

impl Tap {
    pub(crate) async fn before(device: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, shots) = watch::channel(Vec::new());
        let relay = tokio::spawn(async move {
            // One connection after the other, which is how an agent keeps them.
            while let Ok((agent, _)) = listener.accept().await {
                if let Ok(device) = TcpStream::connect(device).await {
                    relay(agent, device, &seen).await;
                }
            }
        });
        Self {
            address,
            shots,
            _relay: AbortOnDropHandle::new(relay),
        }
    }

    /// All pictures so far.
    pub(crate) fn shots(&self) -> Vec<Shot> {
        self.shots.borrow().clone()
    }

    /// Waits for this to be true of the pictures.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&[Shot]) -> bool) {
        let mut shots = self.shots.clone();
        let waiting = shots.wait_for(|shots| holds(shots));
        match tokio::time::timeout(DEADLINE, waiting).await {
            Ok(found) => drop(found.unwrap()),
            Err(_) => panic!("never: {what}; {} pictures came", self.shots.borrow().len()),
        }
    }
}

async fn relay(agent: TcpStream, device: TcpStream, seen: &watch::Sender<Vec<Shot>>) {
    agent.set_nodelay(true).unwrap();
    device.set_nodelay(true).unwrap();
    let (from_agent, to_agent) = agent.into_split();
    let (from_device, to_device) = device.into_split();
    let mut ear = Ear::default();
    tokio::select! {
        () = carry(from_agent, to_device, |_| {}) => {}
        () = carry(from_device, to_agent, |bytes| {
            let shots = ear.hear(bytes);
            if !shots.is_empty() {
                seen.send_modify(|seen| seen.extend(shots));
            }
        }) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut heard: impl FnMut(&[u8])) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
        // What is known of it is on its way to the other side.
        heard(&chunk[..length]);
    }
}

/// What comes from a device over one connection.
#[derive(Default)]
struct Ear {
    bytes: Vec<u8>,
    streams: HashMap<u32, Video>,
}

impl Ear {
    fn hear(&mut self, more: &[u8]) -> Vec<Shot> {
        self.bytes.extend_from_slice(more);
        let mut shots = Vec::new();
        let mut at = 0;
        while let Some(header) = self.bytes.get(at..at + ADB_HEADER) {
            let length = word(&header[12..], u32::from_le_bytes) as usize;
            let (is_data, stream) = (&header[..4] == WRTE, word(&header[4..], u32::from_le_bytes));
            let Some(payload) = self.bytes.get(at + ADB_HEADER..at + ADB_HEADER + length) else {
                break;
            };
            if is_data {
                let video = self.streams.entry(stream).or_default();
                video.bytes.extend_from_slice(payload);
                video.read(&mut shots);
            }
            at += ADB_HEADER + length;
        }
        self.bytes.drain(..at);
        shots
    }
}

/// A stream that may be a video socket.
#[derive(Default)]
struct Video {
    bytes: Vec<u8>,
    begun: bool,
    size: (u32, u32),
    sets: Vec<u8>,
}

impl Video {
    fn read(&mut self, shots: &mut Vec<Shot>) {
        if !self.begun {
            let begins =
                self.bytes.first() == Some(&0) && self.bytes.get(PREAMBLE..PREAMBLE + 4) == Some(b"h264");
            if !begins {
                return;
            }
            self.begun = true;
            self.bytes.drain(..PREAMBLE + 4);
        }
        while let Some(header) = self.bytes.get(..VIDEO_HEADER) {
            let (flags, middle) = (header[0], word(&header[4..], u32::from_be_bytes));
            let last = word(&header[8..], u32::from_be_bytes);
            if flags & 0x80 != 0 {
                self.size = (middle, last);
                self.bytes.drain(..VIDEO_HEADER);
                continue;
            }
            let end = VIDEO_HEADER + last as usize;
            let Some(unit) = self.bytes.get(VIDEO_HEADER..end).map(<[u8]>::to_vec) else {
                return;
            };
            self.bytes.drain(..end);
            if flags & 0x40 != 0 {
                self.sets = unit;
            } else {
                shots.push(Shot {
                    size: self.size,
                    key: flags & 0x20 != 0,
                    sets: std::mem::take(&mut self.sets),
                    unit,
                });
            }
        }
    }
}

fn word(bytes: &[u8], read: fn([u8; 4]) -> u32) -> u32 {
    read([bytes[0], bytes[1], bytes[2], bytes[3]])
}
