//! What a connection decides, without any I/O: streams, their ids and windows, and the bytes to send next.
//!
//! It does not know sockets or tasks: packets come in as values, bytes to send pile up in `out`, and whoever waits
//! for a change leaves a `Waker`. `connection` feeds it, `stream` reads and writes through it.
//!
//! ```text
//!   open() ──► Opening ──OKAY──► Open ──CLSE──► Finished(ByPeer)    (CLSE is answered with CLSE; what came before
//!                 │  └──CLSE──► Finished(Refused)                    it can still be read)
//!                 └─close()──► Abandoned ──OKAY──► CLSE, forgotten
//!   accept() ─────────────────► Open ──close()──► CLSE, forgotten   (packets for forgotten ids are ignored)
//! ```
//!
//! Windows, per stream and direction. Classic: one WRTE, then none until its OKAY. Delayed ack (both banners list
//! it): a signed credit in bytes; WRTE while it is above zero, each OKAY carries an i32 of bytes consumed.

mod fuzzing;

use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use crate::connection::{End, OpenError, ProtocolError};
use crate::packet::{self, Command, MAX_PAYLOAD, Packet, Sum};
use crate::slot::{Finish, LocalId, Phase, RemoteId, SendWindow, Slot};
use crate::window::Window;

#[doc(hidden)]
pub use fuzzing::fuzz;

/// Streams open at once on one connection. Reached: our own open fails with `TooManyStreams`, the peer's is refused.
pub(crate) const MAX_STREAMS: usize = 256;
/// Peer's OPENs that wait for an answer. Reached: the next one is refused at once.
pub(crate) const MAX_PENDING_OPENS: usize = 64;
/// Unsent bytes from which on writers wait and the socket is not read: a peer that does not read stops us.
pub(crate) const MAX_UNSENT: usize = 1024 * 1024;

/// What both sides agreed on in the handshake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agreement {
    /// Largest WRTE in bytes that the peer takes; ≥ 1.
    pub(crate) max_payload: usize,
    pub(crate) delayed_ack: bool,
    /// What we let the peer send, with delayed ack.
    pub(crate) window: Window,
    pub(crate) sum: Sum,
}

/// An OPEN of the peer that waits for our answer.
#[derive(Debug, Clone)]
pub(crate) struct PendingOpen {
    pub(crate) remote: RemoteId,
    pub(crate) service: Bytes,
    window: i64,
}

/// Whether OPENs of the peer are taken at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerOpens {
    Queued,
    Refused,
}

pub(crate) struct Machine {
    agreement: Agreement,
    slots: HashMap<LocalId, Slot>,
    last_id: u32,
    pending: VecDeque<PendingOpen>,
    /// Handed to the application and not yet answered, so that a CLSE in between withdraws them.
    asked: HashMap<RemoteId, PendingOpen>,
    pub(crate) peer_opens: PeerOpens,
    accepter: Option<Waker>,
    out: BytesMut,
    resets: u64,
    end: Option<End>,
}

impl Machine {
    pub(crate) fn new(agreement: Agreement, peer_opens: PeerOpens) -> Self {
        Self {
            agreement,
            slots: HashMap::new(),
            last_id: 0,
            pending: VecDeque::new(),
            asked: HashMap::new(),
            peer_opens,
            accepter: None,
            out: BytesMut::new(),
            resets: 0,
            end: None,
        }
    }

    /// Takes one packet of the peer. An error ends the connection.
    pub(crate) fn handle(&mut self, packet: Packet) -> Result<(), ProtocolError> {
        let Packet {
            command,
            arg0,
            arg1,
            payload,
        } = packet;
        let (remote, local) = (RemoteId(arg0), LocalId(arg1));
        match command {
            Command::Open => self.on_open(remote, arg1, &payload),
            Command::Okay => self.on_okay(remote, local, &payload),
            Command::Wrte => self.on_wrte(remote, local, payload),
            Command::Clse => {
                self.on_clse(remote, local);
                Ok(())
            }
            Command::Cnxn | Command::Stls | Command::Auth => Err(ProtocolError::Unexpected(command)),
        }
    }

    /// Sends OPEN for a service; [`Self::poll_opened`] tells the answer.
    pub(crate) fn open(&mut self, service: &str) -> Result<LocalId, OpenError> {
        if let Some(end) = &self.end {
            return Err(OpenError::Ended(end.clone()));
        }
        // adb counts the NUL that ends a service's name.
        if service.len() + 1 > self.agreement.max_payload || service.contains('\0') {
            return Err(OpenError::BadService);
        }
        let local = self
            .insert(Slot::new(Phase::Opening))
            .ok_or(OpenError::TooManyStreams)?;
        let window = if self.agreement.delayed_ack {
            self.agreement.window.bytes()
        } else {
            0
        };
        let mut name = BytesMut::from(service);
        name.extend_from_slice(&[0]);
        self.send(Command::Open, (local.0, window), &name);
        Ok(local)
    }

    pub(crate) fn poll_opened(
        &mut self,
        local: LocalId,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), OpenError>> {
        if let Some(end) = &self.end {
            return Poll::Ready(Err(OpenError::Ended(end.clone())));
        }
        let Some(slot) = self.slots.get_mut(&local) else {
            return Poll::Ready(Err(OpenError::Refused));
        };
        match slot.phase {
            Phase::Open { .. } | Phase::Finished(Finish::ByPeer) => Poll::Ready(Ok(())),
            Phase::Finished(Finish::Refused) => Poll::Ready(Err(OpenError::Refused)),
            Phase::Opening | Phase::Abandoned => {
                slot.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The next OPEN of the peer; `None` when the connection ended.
    pub(crate) fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<Option<PendingOpen>> {
        if let Some(open) = self.pending.pop_front() {
            self.asked.insert(open.remote, open.clone());
            return Poll::Ready(Some(open));
        }
        if self.end.is_some() {
            return Poll::Ready(None);
        }
        self.accepter = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Confirms an OPEN of the peer.
    pub(crate) fn accept(&mut self, remote: RemoteId) -> Result<LocalId, OpenError> {
        if let Some(end) = &self.end {
            return Err(OpenError::Ended(end.clone()));
        }
        let open = self.asked.remove(&remote).ok_or(OpenError::Withdrawn)?;
        let window = if self.agreement.delayed_ack {
            SendWindow::Credit(open.window)
        } else {
            SendWindow::Classic { ready: true }
        };
        let Some(local) = self.insert(Slot::new(Phase::Open { remote, window })) else {
            self.send(Command::Clse, (0, remote.0), b"");
            return Err(OpenError::TooManyStreams);
        };
        self.acknowledge(local, remote, self.agreement.window.bytes());
        Ok(local)
    }

    /// Refuses an OPEN of the peer.
    pub(crate) fn refuse(&mut self, remote: RemoteId) {
        if self.asked.remove(&remote).is_some() {
            self.send(Command::Clse, (0, remote.0), b"");
        }
    }

    /// The next data of a stream; `None` after the peer's CLSE. Taking it is what acknowledges it.
    pub(crate) fn poll_chunk(
        &mut self,
        local: LocalId,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, End>> {
        let Some(slot) = self.slots.get_mut(&local) else {
            return Poll::Ready(Ok(None));
        };
        if let Some(chunk) = slot.unread.pop_front() {
            slot.unread_bytes -= chunk.len();
            if let Phase::Open { remote, .. } = slot.phase {
                let consumed = u32::try_from(chunk.len()).expect("a payload is at most 1 MiB");
                self.acknowledge(local, remote, consumed);
            }
            return Poll::Ready(Ok(Some(chunk)));
        }
        if matches!(slot.phase, Phase::Finished(_)) {
            return Poll::Ready(Ok(None));
        }
        if let Some(end) = &self.end {
            return Poll::Ready(Err(end.clone()));
        }
        slot.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Sends as much of `data` as one packet takes, once the window is open; `None` when the stream is closed.
    pub(crate) fn poll_write(
        &mut self,
        local: LocalId,
        data: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<usize>, End>> {
        if let Some(end) = &self.end {
            return Poll::Ready(Err(end.clone()));
        }
        let full = self.out.len() >= MAX_UNSENT;
        let Some(slot) = self.slots.get_mut(&local) else {
            return Poll::Ready(Ok(None));
        };
        match &mut slot.phase {
            Phase::Finished(_) | Phase::Abandoned => Poll::Ready(Ok(None)),
            Phase::Open { remote, window } if window.is_open() && !full => {
                let length = data.len().min(self.agreement.max_payload);
                let remote = *remote;
                if length > 0 {
                    window.spend(length);
                    self.send(Command::Wrte, (local.0, remote.0), &data[..length]);
                }
                Poll::Ready(Ok(Some(length)))
            }
            Phase::Opening | Phase::Open { .. } => {
                slot.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Ready when nothing that we wrote waits for its OKAY in classic mode; then closing cuts nothing off.
    /// With delayed ack a peer reads on after CLSE, so there is nothing to wait for.
    pub(crate) fn poll_settled(&mut self, local: LocalId, cx: &mut Context<'_>) -> Poll<()> {
        if self.end.is_some() {
            return Poll::Ready(());
        }
        match self.slots.get_mut(&local) {
            Some(Slot {
                phase:
                    Phase::Open {
                        window: SendWindow::Classic { ready: false },
                        ..
                    },
                writer,
                ..
            }) => {
                *writer = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Closes a stream from our side and forgets what is unread. Closing twice changes nothing.
    pub(crate) fn close(&mut self, local: LocalId) {
        let Some(mut slot) = self.slots.remove(&local) else {
            return;
        };
        slot.wake();
        match slot.phase {
            Phase::Open { remote, .. } => self.send(Command::Clse, (local.0, remote.0), b""),
            Phase::Opening => {
                self.slots.insert(local, Slot::new(Phase::Abandoned));
            }
            Phase::Abandoned | Phase::Finished(_) => {}
        }
    }

    /// The peer begins anew and has forgotten all streams: they end as if it had closed each, and what was not sent
    /// to it yet is for nobody.
    pub(crate) fn reset(&mut self) {
        self.resets += 1;
        self.out.clear();
        self.pending.clear();
        self.asked.clear();
        self.slots.retain(|_, slot| {
            slot.wake();
            slot.phase = match slot.phase {
                Phase::Abandoned => return false,
                Phase::Opening => Phase::Finished(Finish::Refused),
                Phase::Open { .. } => Phase::Finished(Finish::ByPeer),
                Phase::Finished(finish) => Phase::Finished(finish),
            };
            true
        });
    }

    /// Sets what is agreed on after a reset.
    pub(crate) fn agree(&mut self, agreement: Agreement) {
        self.agreement = agreement;
    }

    pub(crate) fn resets(&self) -> u64 {
        self.resets
    }

    /// Ends everything: waiting readers drain what came, then learn `end`. The first end is the one that is told.
    pub(crate) fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.slots.values_mut().for_each(Slot::wake);
        if let Some(waker) = self.accepter.take() {
            waker.wake();
        }
    }

    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The bytes to send now, in order. Wakes writers that waited for room.
    pub(crate) fn take_output(&mut self) -> BytesMut {
        if self.out.len() >= MAX_UNSENT {
            self.slots
                .values_mut()
                .filter_map(|slot| slot.writer.take())
                .for_each(Waker::wake);
        }
        self.out.split()
    }

    /// Whether so much waits to be sent that nothing more should be read from the peer.
    pub(crate) fn is_full(&self) -> bool {
        self.out.len() >= MAX_UNSENT
    }

    fn on_open(&mut self, remote: RemoteId, window: u32, payload: &Bytes) -> Result<(), ProtocolError> {
        if remote.0 == 0 {
            return Err(ProtocolError::ZeroId);
        }
        let name_len = payload.len() - payload.iter().rev().take_while(|byte| **byte == 0).count();
        let windows_agree = (window != 0) == self.agreement.delayed_ack;
        if self.peer_opens == PeerOpens::Refused || !windows_agree || self.pending.len() >= MAX_PENDING_OPENS
        {
            self.send(Command::Clse, (0, remote.0), b"");
            return Ok(());
        }
        self.pending.push_back(PendingOpen {
            remote,
            service: payload.slice(..name_len),
            window: i64::from(window),
        });
        if let Some(waker) = self.accepter.take() {
            waker.wake();
        }
        Ok(())
    }

    fn on_okay(&mut self, remote: RemoteId, local: LocalId, payload: &[u8]) -> Result<(), ProtocolError> {
        let bytes = match (self.agreement.delayed_ack, payload) {
            (false, []) => 0,
            (true, [a, b, c, d]) => i64::from(i32::from_le_bytes([*a, *b, *c, *d])),
            _ => return Err(ProtocolError::OkayPayload(payload.len())),
        };
        let delayed_ack = self.agreement.delayed_ack;
        let Some(slot) = self.slots.get_mut(&local) else {
            return Ok(());
        };
        match &mut slot.phase {
            Phase::Opening => {
                let window = if delayed_ack {
                    SendWindow::Credit(bytes)
                } else {
                    SendWindow::Classic { ready: true }
                };
                slot.phase = Phase::Open { remote, window };
            }
            Phase::Abandoned => {
                self.slots.remove(&local);
                self.send(Command::Clse, (local.0, remote.0), b"");
                return Ok(());
            }
            Phase::Open {
                remote: known,
                window,
            } if *known == remote => match window {
                SendWindow::Classic { ready } => *ready = true,
                SendWindow::Credit(credit) => *credit = credit.saturating_add(bytes),
            },
            Phase::Open { .. } | Phase::Finished(_) => return Ok(()),
        }
        if let Some(waker) = slot.writer.take() {
            waker.wake();
        }
        Ok(())
    }

    fn on_wrte(&mut self, remote: RemoteId, local: LocalId, payload: Bytes) -> Result<(), ProtocolError> {
        let Some(slot) = self.slots.get_mut(&local) else {
            return Ok(());
        };
        if !matches!(slot.phase, Phase::Open { remote: known, .. } if known == remote) {
            return Ok(());
        }
        if payload.is_empty() {
            self.acknowledge(local, remote, 0);
            return Ok(());
        }
        slot.unread_bytes += payload.len();
        // The window, and the packet that may overdraw it.
        if slot.unread_bytes > self.agreement.window.bytes() as usize + MAX_PAYLOAD {
            return Err(ProtocolError::WindowOverrun);
        }
        slot.unread.push_back(payload);
        if let Some(waker) = slot.reader.take() {
            waker.wake();
        }
        Ok(())
    }

    fn on_clse(&mut self, remote: RemoteId, local: LocalId) {
        if local.0 == 0 {
            // The peer gave up an OPEN before it knew our id.
            self.pending.retain(|open| open.remote != remote);
            self.asked.remove(&remote);
            return;
        }
        let Some(slot) = self.slots.get_mut(&local) else {
            return;
        };
        match slot.phase {
            Phase::Opening => slot.phase = Phase::Finished(Finish::Refused),
            Phase::Abandoned => {
                self.slots.remove(&local);
                return;
            }
            Phase::Open { remote: known, .. } if known == remote || remote.0 == 0 => {
                slot.phase = Phase::Finished(Finish::ByPeer);
                slot.wake();
                self.send(Command::Clse, (local.0, known.0), b"");
                return;
            }
            Phase::Open { .. } | Phase::Finished(_) => return,
        }
        slot.wake();
    }

    fn insert(&mut self, slot: Slot) -> Option<LocalId> {
        if self.slots.len() >= MAX_STREAMS {
            return None;
        }
        // Ids only repeat after 2^32 streams, and never while one is in use; 0 means "none" on the wire.
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            let local = LocalId(self.last_id);
            if local.0 != 0 && !self.slots.contains_key(&local) {
                self.slots.insert(local, slot);
                return Some(local);
            }
        }
    }

    fn acknowledge(&mut self, local: LocalId, remote: RemoteId, bytes: u32) {
        let payload = bytes.to_le_bytes();
        let payload: &[u8] = if self.agreement.delayed_ack { &payload } else { &[] };
        self.send(Command::Okay, (local.0, remote.0), payload);
    }

    fn send(&mut self, command: Command, args: (u32, u32), payload: &[u8]) {
        packet::encode(&mut self.out, command, args, payload, self.agreement.sum);
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
