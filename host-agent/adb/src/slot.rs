//! One stream inside the machine: its phase, its send window, its unread data, and who waits for it.
//!
//! ```text
//!   ids      LocalId (ours) ◄─► RemoteId (the peer's)
//!   sending  Classic: one packet, then wait for OKAY      Credit: bytes that the peer still takes
//!   reading  queue of payloads, acknowledged when they are taken
//! ```
//!
//! It does not know packets; `machine` draws the phases and moves between them.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;

/// A stream's id on our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LocalId(pub(crate) u32);

/// A stream's id on the peer's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RemoteId(pub(crate) u32);

pub(crate) enum SendWindow {
    Classic { ready: bool },
    Credit(i64),
}

impl SendWindow {
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Classic { ready } => *ready,
            Self::Credit(credit) => *credit > 0,
        }
    }

    pub(crate) fn spend(&mut self, bytes: usize) {
        match self {
            Self::Classic { ready } => *ready = false,
            Self::Credit(credit) => *credit -= i64::try_from(bytes).expect("a payload is at most 1 MiB"),
        }
    }
}

pub(crate) enum Phase {
    Opening,
    Abandoned,
    Open { remote: RemoteId, window: SendWindow },
    Finished(Finish),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    Refused,
    ByPeer,
}

pub(crate) struct Slot {
    pub(crate) phase: Phase,
    pub(crate) unread: VecDeque<Bytes>,
    pub(crate) unread_bytes: usize,
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
}

impl Slot {
    pub(crate) fn new(phase: Phase) -> Self {
        Self {
            phase,
            unread: VecDeque::new(),
            unread_bytes: 0,
            reader: None,
            writer: None,
        }
    }

    pub(crate) fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}
