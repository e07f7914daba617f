//! A wire between adb's server and the device that breaks after so many bytes, as one that somebody pulls does, or stands
//! still there.
//!
//! ```text
//!   Whole ── cut_after(direction, bytes) ───► Armed ── that many have passed ──► Broken ── mend ──► Whole
//!     │                                                                            nobody gets through
//!     └───── hold_after(direction, bytes) ──► Armed ── that many have passed ──► Held ── go_on ──► Whole
//!                                                                                  that direction stands still
//! ```
//!
//! Bytes are counted over all connections, and the last one that passes is exactly the one that was asked for. A broken
//! wire stays broken, however often adb's server tries by itself, until it is mended. It does not know adb.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::rig::{DEADLINE, Rig};

/// Where bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToDevice,
    ToHost,
}

/// The wire. Dropping it breaks it.
pub(crate) struct Wire {
    state: Arc<State>,
    _relay: AbortOnDropHandle<()>,
}

struct State {
    counts: Mutex<Counts>,
    broken: watch::Sender<bool>,
    held: watch::Sender<bool>,
}

#[derive(Default)]
struct Counts {
    to_device: usize,
    to_host: usize,
    armed: Option<Armed>,
}

/// Something happens when so many more bytes have passed in one direction.
struct Armed {
    direction: Direction,
    left: usize,
    then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Break,
    Hold,
}

impl Wire {
    /// Puts a wire between the rig's adb server and its device, to which nobody is connected yet.
    pub(crate) async fn before(rig: &mut Rig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let device = std::mem::replace(&mut rig.serial, listener.local_addr().unwrap().to_string());
        let state = Arc::new(State {
            counts: Mutex::default(),
            broken: watch::Sender::new(false),
            held: watch::Sender::new(false),
        });
        let relaying = Arc::clone(&state);
        let relay = tokio::spawn(async move {
            while let Ok((host, _)) = listener.accept().await {
                if !*relaying.broken.borrow()
                    && let Ok(device) = TcpStream::connect(&device).await
                {
                    tokio::spawn(relay(host, device, Arc::clone(&relaying)));
                }
            }
        });
        Self {
            state,
            _relay: AbortOnDropHandle::new(relay),
        }
    }

    /// Breaks the wire when so many more bytes have passed, at least one.
    pub(crate) fn cut_after(&self, direction: Direction, bytes: usize) {
        self.arm(direction, bytes, Then::Break);
    }

    /// Lets nothing more pass in this direction when so many more bytes have, at least one, until it may go on.
    pub(crate) fn hold_after(&self, direction: Direction, bytes: usize) {
        self.state.held.send_replace(true);
        self.arm(direction, bytes, Then::Hold);
    }

    fn arm(&self, direction: Direction, left: usize, then: Then) {
        self.state.counts.lock().unwrap().armed = Some(Armed {
            direction,
            left,
            then,
        });
    }

    /// What was held passes.
    pub(crate) fn go_on(&self) {
        self.state.held.send_replace(false);
    }

    /// Waits until it is broken.
    pub(crate) async fn broken(&self) {
        let mut broken = self.state.broken.subscribe();
        let waiting = broken.wait_for(|broken| *broken);
        let found = tokio::time::timeout(DEADLINE, waiting).await;
        drop(found.expect("so many bytes never pass").unwrap());
    }

    /// New connections get through again.
    pub(crate) fn mend(&self) {
        self.state.broken.send_replace(false);
    }

    /// Bytes that have passed so far.
    pub(crate) fn passed(&self, direction: Direction) -> usize {
        *self.state.counts.lock().unwrap().of(direction)
    }
}

impl Counts {
    fn of(&mut self, direction: Direction) -> &mut usize {
        match direction {
            Direction::ToDevice => &mut self.to_device,
            Direction::ToHost => &mut self.to_host,
        }
    }
}

impl State {
    /// How many of these may pass, and what happens then.
    fn pass(&self, direction: Direction, wanted: usize) -> (usize, Option<Then>) {
        let mut counts = self.counts.lock().unwrap();
        let (passes, then) = match &mut counts.armed {
            Some(armed) if armed.direction == direction => {
                let passes = wanted.min(armed.left);
                armed.left -= passes;
                (passes, (armed.left == 0).then_some(armed.then))
            }
            _ => (wanted, None),
        };
        if then.is_some() {
            counts.armed = None;
        }
        *counts.of(direction) += passes;
        (passes, then)
    }
}

async fn relay(host: TcpStream, device: TcpStream, state: Arc<State>) {
    host.set_nodelay(true).unwrap();
    device.set_nodelay(true).unwrap();
    let (from_host, to_host) = host.into_split();
    let (from_device, to_device) = device.into_split();
    let mut broken = state.broken.subscribe();
    tokio::select! {
        () = carry(from_host, to_device, Direction::ToDevice, &state) => {}
        () = carry(from_device, to_host, Direction::ToHost, &state) => {}
        _ = broken.wait_for(|broken| *broken) => {}
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, direction: Direction, state: &State) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let (passes, then) = state.pass(direction, length);
        let mut written = to.write_all(&chunk[..passes]).await;
        match then {
            None => {}
            Some(Then::Break) => {
                state.broken.send_replace(true);
                return;
            }
            Some(Then::Hold) => {
                let mut held = state.held.subscribe();
                if held.wait_for(|held| !held).await.is_err() {
                    return;
                }
                written = written.and(to.write_all(&chunk[passes..length]).await);
            }
        }
        if written.is_err() {
            return;
        }
    }
}
