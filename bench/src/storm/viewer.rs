//! A person's connection in a storm: WHEP, a socket, and a thread that carries datagrams and taps for as long as it lives.
//!
//! ```text
//!   offer ── POST /whep/{session} ──► 201 answer ──► thread:  socket ⇄ peer, a tap every 50 ms
//!                                                            │ goes on after the end of its lease: an ended one's touch
//!                                                            ▼ must not arrive
//!                                                         dropped: ends without a word
//! ```
//!
//! It has a thread of its own so that what it counts does not wait behind the storm's requests. It does not know who may
//! connect, nor what a device's log says (`watch.rs`).

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::client::{Client, Said};
use super::peer::{Peer, Seen};
use super::rhythm::Rhythm;

/// Between two touches of a finger that taps: down, up, down …
const TAP_EVERY: Duration = Duration::from_millis(50);
/// The longest that a thread sleeps: so soon it sees that it is to end, and its peer that time passes.
const SLEEP_MAX: Duration = Duration::from_millis(10);
/// A datagram of WebRTC is shorter.
const DATAGRAM_MAX: usize = 2_048;

/// A connection. Dropping it ends it without a word, as a browser that crashed.
pub(crate) struct Viewer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    peer: Mutex<Peer>,
    taps: AtomicU64,
    is_over: AtomicBool,
}

impl Viewer {
    /// Asks for a session's picture, as the one who has its cookie. What control said, and the connection if it is one.
    pub(crate) async fn open(
        client: &Client,
        session: &str,
        epoch: u64,
        cookie: &(String, String),
    ) -> anyhow::Result<(Said, Option<Self>)> {
        let socket = UdpSocket::bind("127.0.0.1:0").context("a socket for a viewer")?;
        let (mut peer, offer) = Peer::new(socket.local_addr()?, epoch, Instant::now())?;
        let said = client.offer(&format!("/whep/{session}"), offer, cookie).await;
        let Said::Answer(answer) = &said else {
            return Ok((said, None));
        };
        if !answer.is_success() {
            return Ok((said, None));
        }
        peer.accept(answer.plain.clone(), Instant::now())?;
        let shared = Arc::new(Shared {
            peer: Mutex::new(peer),
            taps: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("viewer".to_owned());
        let thread = thread.spawn(move || own.carry(&socket))?;
        let viewer = Self {
            shared,
            thread: Some(thread),
        };
        Ok((said, Some(viewer)))
    }

    /// Reads what came.
    pub(crate) fn seen<T>(&self, read: impl FnOnce(&Seen) -> T) -> T {
        read(&self.shared.peer().seen)
    }

    /// Waits for frames are counted anew.
    pub(crate) fn watch(&self) {
        self.shared.peer().seen.rhythm = Rhythm::begun(Instant::now());
    }

    /// Touches that were tried, whatever became of them.
    pub(crate) fn taps(&self) -> u64 {
        self.shared.taps.load(Ordering::Relaxed)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It sleeps for milliseconds at most; that it panicked has been said on stderr.
            drop(thread.join());
        }
    }
}

impl Shared {
    fn peer(&self) -> std::sync::MutexGuard<'_, Peer> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carry(&self, socket: &UdpSocket) {
        let mut buffer = [0; DATAGRAM_MAX];
        let mut tap = Instant::now();
        while !self.is_over.load(Ordering::Relaxed) {
            let now = Instant::now();
            let (out, due) = {
                let mut peer = self.peer();
                if tap <= now {
                    tap = now + TAP_EVERY;
                    self.taps.fetch_add(u64::from(peer.tap(now)), Ordering::Relaxed);
                }
                (peer.pump(now), peer.due())
            };
            for (to, data) in out {
                // A gateway that was killed refuses it.
                let _ = socket.send_to(&data, to);
            }
            let sleep = due.map_or(SLEEP_MAX, |due| due.saturating_duration_since(now));
            let sleep = sleep.clamp(Duration::from_micros(100), SLEEP_MAX);
            if socket.set_read_timeout(Some(sleep)).is_err() {
                return;
            }
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                self.peer().receive(from, &buffer[..length], Instant::now());
            }
        }
    }
}
