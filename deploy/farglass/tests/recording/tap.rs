//! A wire to a device that somebody listens on: a relay, and what the device's scrcpy servers send as video through it.
//!
//! ```text
//!   agent ◄──────────────── relay ◄──────────────── device
//!                             └► WRTE by stream ─► Video ─► Shot
//! ```
//!
//! It reads adb's packets (24 bytes of header, little-endian: command, sender's stream, …, length) by itself, as
//! [`Video`] does what is in them, so that it can disagree with the crates that the product reads and writes them with.
//! It knows nothing of recordings.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::running::DEADLINE;
use crate::shot::{Shot, Video, word};

/// `WRTE`, as it stands in a header.
const WRTE: &[u8] = b"WRTE";
const ADB_HEADER: usize = 24;

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
                // Before the device hears of it: what it shows there comes later.
                let began = Instant::now();
                if let Ok(device) = TcpStream::connect(device).await {
                    relay(agent, device, began, &seen).await;
                }
            }
        });
        Self {
            address,
            shots,
            _relay: AbortOnDropHandle::new(relay),
        }
    }

    /// All pictures so far, with the times since its agent connected.
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

async fn relay(agent: TcpStream, device: TcpStream, began: Instant, seen: &watch::Sender<Vec<Shot>>) {
    agent.set_nodelay(true).unwrap();
    device.set_nodelay(true).unwrap();
    let (from_agent, to_agent) = agent.into_split();
    let (from_device, to_device) = device.into_split();
    let mut ear = Ear::default();
    tokio::select! {
        () = carry(from_agent, to_device, |_, _| {}) => {}
        () = carry(from_device, to_agent, |came, bytes| {
            let shots = ear.hear(came.duration_since(began), bytes);
            if !shots.is_empty() {
                seen.send_modify(|seen| seen.extend(shots));
            }
        }) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut heard: impl FnMut(Instant, &[u8])) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        // The other side cannot have it earlier.
        let came = Instant::now();
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
        // What is known of it is on its way to the other side.
        heard(came, &chunk[..length]);
    }
}

/// What comes from a device over one connection.
#[derive(Default)]
struct Ear {
    bytes: Vec<u8>,
    streams: HashMap<u32, Video>,
}

impl Ear {
    fn hear(&mut self, at: Duration, more: &[u8]) -> Vec<Shot> {
        self.bytes.extend_from_slice(more);
        let mut shots = Vec::new();
        let mut read = 0;
        while let Some(header) = self.bytes.get(read..read + ADB_HEADER) {
            let length = word(&header[12..], u32::from_le_bytes) as usize;
            let (is_data, stream) = (&header[..4] == WRTE, word(&header[4..], u32::from_le_bytes));
            let Some(payload) = self.bytes.get(read + ADB_HEADER..read + ADB_HEADER + length) else {
                break;
            };
            if is_data {
                let video = self.streams.entry(stream).or_default();
                video.read(at, payload, &mut shots);
            }
            read += ADB_HEADER + length;
        }
        self.bytes.drain(..read);
        shots
    }
}
