//! The hand on one device: the task that owns the writing half of a capture's control socket.
//!
//! ```text
//!   agent ── Order (bounded) ──► ┌──────┐
//!   fence ── epoch, open ──────► │ hand │ ── input.rs ── scrcpy::control ──► control socket
//!   size, acknowledgements ────► └──────┘
//! ```
//!
//! Everything that reaches the device through scrcpy passes here, one thing after the other, and each is
//! checked against the fence right before it becomes bytes: a person's operation needs the fence's epoch and
//! an open gate, an effect of the agent itself needs the epoch. When the fence moves on or the gate closes,
//! every finger and key goes up first. What waited becomes one write.
//!
//! It does not know adb's connection, leases or viewers; it ends when its socket or its orders end.

use std::time::Instant;

use adb::Writer;
use adb::stream::WriteError;
use bytes::BytesMut;
use protocol::input::InputOp;
use protocol::{ConnectionId, Epoch};
use scrcpy::{ControlMsg, ServerVersion, control};
use tokio::sync::{mpsc, oneshot, watch};

use crate::custody::Pass;
use crate::fingers::PictureSize;
use crate::input::Input;

/// Orders that wait for the socket: half a second of two busy hands. At the limit moves are dropped, for the
/// next one says more; anything else means that the device does not take its input, and the capture is
/// started anew.
pub(crate) const ORDERS_MAX: usize = 256;
/// Orders that become one write at most, so that the fence is looked at in between.
const BATCH_MAX: usize = 64;
/// Clipboard acknowledgements that somebody waits for; one more waits in vain.
const AWAITED_MAX: usize = 8;
/// Clipboard acknowledgements on their way to the hand; one more is lost, as if the device had not sent it.
pub(crate) const ACKS_MAX: usize = 16;

/// The picture's size, and how often it has changed: a size that changed twice may be the same again, but
/// what was sent in between is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Frame {
    pub(crate) size: Option<PictureSize>,
    pub(crate) changes: u64,
}

/// What the hand is to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// A person did something.
    Op {
        connection: ConnectionId,
        epoch: Epoch,
        /// The size of the picture that it was aimed at.
        aimed_at: Option<PictureSize>,
        op: InputOp,
    },
    /// A person is gone.
    Left { connection: ConnectionId },
    /// The agent itself does something under an epoch. `done` says true once it is written, false when the
    /// epoch is over.
    Effect {
        epoch: Epoch,
        messages: Vec<ControlMsg>,
        done: oneshot::Sender<bool>,
    },
    /// Empties the clipboard under an epoch. `done` says true once the device acknowledged it.
    ClearClipboard {
        epoch: Epoch,
        done: oneshot::Sender<bool>,
    },
    /// Somebody waits for a key frame; no effect that a person could tell.
    ResetVideo,
}

/// Everything a hand listens to.
pub(crate) struct Senses {
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) acks: mpsc::Receiver<u64>,
    pub(crate) frame: watch::Receiver<Frame>,
    pub(crate) pass: watch::Receiver<Pass>,
}

/// One capture's hand.
pub(crate) struct Hand {
    version: ServerVersion,
    writer: Writer,
    senses: Senses,
    input: Input,
    /// What the fence said when it was last looked at.
    pass: Pass,
    changes: u64,
    messages: Vec<ControlMsg>,
    /// Told once the messages before them are written.
    written: Vec<oneshot::Sender<bool>>,
    awaited: Vec<(u64, oneshot::Sender<bool>)>,
}

impl Hand {
    pub(crate) fn new(version: ServerVersion, writer: Writer, mut senses: Senses) -> Self {
        let pass = *senses.pass.borrow_and_update();
        // The first size is still to be told to the input.
        senses.frame.mark_changed();
        Self {
            version,
            writer,
            senses,
            input: Input::new(version),
            pass,
            changes: 0,
            messages: Vec::new(),
            written: Vec::new(),
            awaited: Vec::new(),
        }
    }

    /// Works until the socket breaks, or until nobody can give orders any more.
    pub(crate) async fn run(mut self) -> Result<(), WriteError> {
        loop {
            let wake = self.input.next_wake();
            tokio::select! {
                biased;
                changed = self.senses.pass.changed() => if changed.is_err() { return Ok(()) },
                changed = self.senses.frame.changed() => if changed.is_err() { return Ok(()) },
                Some(sequence) = self.senses.acks.recv() => self.acknowledged(sequence),
                order = self.senses.orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => return Ok(()),
                },
                () = sleep_until(wake) => self.input.wake(now(), &mut self.messages),
            }
            self.look();
            for _ in 1..BATCH_MAX {
                let Ok(order) = self.senses.orders.try_recv() else {
                    break;
                };
                self.obey(order);
            }
            self.flush().await?;
        }
    }

    /// Takes up what the fence and the picture have become.
    fn look(&mut self) {
        let pass = *self.senses.pass.borrow_and_update();
        if pass != self.pass {
            if pass.epoch != self.pass.epoch || !pass.open {
                self.input.cut(now(), &mut self.messages);
            }
            self.pass = pass;
        }
        let frame = *self.senses.frame.borrow_and_update();
        if let Some(size) = frame.size
            && frame.changes != self.changes
        {
            self.changes = frame.changes;
            self.input.resized(now(), size, &mut self.messages);
        }
    }

    fn obey(&mut self, order: Order) {
        self.look();
        match order {
            Order::Op {
                connection,
                epoch,
                aimed_at,
                op,
            } => {
                if self.pass.lets_act(epoch) {
                    self.input
                        .apply(now(), connection, aimed_at, op, &mut self.messages);
                }
            }
            Order::Left { connection } => self.input.leave(now(), connection, &mut self.messages),
            Order::Effect {
                epoch,
                messages,
                done,
            } => {
                if self.pass.admits(epoch) {
                    self.messages.extend(messages);
                    self.written.push(done);
                } else {
                    answer(done, false);
                }
            }
            Order::ClearClipboard { epoch, done } => {
                if self.pass.admits(epoch) && self.awaited.len() < AWAITED_MAX {
                    let sequence = self.input.clear_clipboard(&mut self.messages);
                    self.awaited.push((sequence, done));
                } else {
                    answer(done, false);
                }
            }
            Order::ResetVideo => self.messages.push(ControlMsg::ResetVideo),
        }
    }

    fn acknowledged(&mut self, sequence: u64) {
        self.input.acknowledged(now(), sequence, &mut self.messages);
        if let Some(at) = self.awaited.iter().position(|(awaited, _)| *awaited == sequence) {
            answer(self.awaited.swap_remove(at).1, true);
        }
        self.awaited.retain(|(_, done)| !done.is_closed());
    }

    async fn flush(&mut self) -> Result<(), WriteError> {
        let mut bytes = BytesMut::new();
        for message in self.messages.drain(..) {
            if let Err(error) = control::encode(self.version, &message, &mut bytes) {
                tracing::warn!(%error, "a control message was left out");
            }
        }
        if !bytes.is_empty() {
            self.writer.send(&bytes).await?;
        }
        for done in self.written.drain(..) {
            answer(done, true);
        }
        Ok(())
    }
}

/// Whoever asked may have given up; then there is nobody to tell.
fn answer(done: oneshot::Sender<bool>, value: bool) {
    let _ = done.send(value);
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "hand_tests.rs"]
mod tests;
