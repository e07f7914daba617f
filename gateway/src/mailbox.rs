//! The only place where other threads meet the media thread.
//!
//! Writers (agent tasks, capture threads) leave commands, fences and pictures here; the driver takes
//! them out between two batches of datagrams. One std mutex with short methods, held for a few moves
//! of pointers, once per picture and never during a send, so it is not in the way of any packet.
//!
//! * commands: in order, bounded ([`COMMANDS_MAX`]); a caller is told when there is no room.
//! * fences: the newest per device, never lost, and taken after the commands of the same mail.
//! * pictures: one [`Latest`] per source: newest wins.
//!
//! It does not know what any of them mean.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::{CloseReason, ConnectionId, DeviceId, Epoch};
use tokio::sync::oneshot;

use crate::error::{OfferError, PatchError};
use crate::event::{Answer, Gate, Offer, SourceEvent};
use crate::latest::{Latest, Lost};
use crate::limits::COMMANDS_MAX;
use crate::stats::Snapshot;

/// What the agent asks for.
pub(crate) enum Command {
    Offer(Box<Offer>, oneshot::Sender<Result<Answer, OfferError>>),
    Patch {
        connection: ConnectionId,
        fragment: String,
        reply: oneshot::Sender<Result<(), PatchError>>,
    },
    Close(ConnectionId, CloseReason),
    Stats(oneshot::Sender<Snapshot>),
}

/// One thing that a source said.
pub(crate) enum Delivery {
    Started,
    Lost(Lost),
    Event(SourceEvent),
    Ended,
}

/// What the driver takes out at one go.
#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) fences: Vec<(DeviceId, Epoch, Gate)>,
    pub(crate) commands: Vec<Command>,
    pub(crate) deliveries: Vec<(DeviceId, Delivery)>,
    /// More waits: come again before sleeping.
    pub(crate) more: bool,
    /// The last handle is gone: say goodbye and end.
    pub(crate) stop: bool,
}

impl Mail {
    pub(crate) fn clear(&mut self) {
        self.fences.clear();
        self.commands.clear();
        self.deliveries.clear();
        (self.more, self.stop) = (false, false);
    }
}

#[derive(Default)]
pub(crate) struct Mailbox(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    commands: VecDeque<Command>,
    fences: HashMap<DeviceId, (Epoch, Gate)>,
    sources: HashMap<DeviceId, Slot>,
    serial: u64,
    stop: bool,
}

struct Slot {
    serial: u64,
    announced: bool,
    ended: bool,
    latest: Latest,
}

impl Mailbox {
    /// Leaves a command; gives it back when there is no room or the media thread has ended.
    pub(crate) fn command(&self, command: Command) -> Result<(), Command> {
        let mut inner = self.lock();
        // A close must not be refused because offers fill the room.
        let room = if matches!(command, Command::Close(..)) {
            2 * COMMANDS_MAX
        } else {
            COMMANDS_MAX
        };
        if inner.stop || inner.commands.len() >= room {
            return Err(command);
        }
        inner.commands.push_back(command);
        Ok(())
    }

    /// Raises or opens a fence; one that is below what already waits is forgotten.
    pub(crate) fn fence(&self, device: DeviceId, epoch: Epoch, gate: Gate) {
        let mut inner = self.lock();
        let fence = inner.fences.entry(device).or_insert((epoch, gate));
        if epoch >= fence.0 {
            *fence = (epoch, gate);
        }
    }

    /// Opens a source and returns its serial number; an older source of the device has ended.
    pub(crate) fn open_source(&self, device: DeviceId) -> u64 {
        let mut inner = self.lock();
        inner.serial += 1;
        let slot = Slot {
            serial: inner.serial,
            announced: false,
            ended: false,
            latest: Latest::default(),
        };
        inner.sources.insert(device, slot);
        inner.serial
    }

    /// Leaves what a source said; a source that has been replaced is not heard.
    pub(crate) fn push(&self, device: DeviceId, serial: u64, event: SourceEvent) {
        let mut inner = self.lock();
        if let Some(slot) = inner.sources.get_mut(&device)
            && slot.serial == serial
        {
            slot.latest.push(event);
        }
    }

    pub(crate) fn end_source(&self, device: DeviceId, serial: u64) {
        let mut inner = self.lock();
        if let Some(slot) = inner.sources.get_mut(&device)
            && slot.serial == serial
        {
            slot.ended = true;
        }
    }

    /// No handle is left, or the media thread ends: nothing more is taken in.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
    }

    /// Takes out all fences and commands, and of each source everything up to its next picture, so
    /// that what is behind it can still be overtaken.
    pub(crate) fn take(&self, mail: &mut Mail) {
        mail.clear();
        let mut inner = self.lock();
        mail.stop = inner.stop;
        mail.fences.extend(
            inner
                .fences
                .drain()
                .map(|(device, (epoch, gate))| (device, epoch, gate)),
        );
        mail.commands.extend(inner.commands.drain(..));
        inner.sources.retain(|device, slot| {
            slot.take(*device, mail);
            mail.more |= !slot.latest.is_empty();
            !(slot.ended && slot.latest.is_empty())
        });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No method can leave the lists half changed, so a writer's panic does not spoil them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn take(&mut self, device: DeviceId, mail: &mut Mail) {
        if !self.announced {
            self.announced = true;
            mail.deliveries.push((device, Delivery::Started));
        }
        let lost = self.latest.take_lost();
        if lost.pictures > 0 {
            mail.deliveries.push((device, Delivery::Lost(lost)));
        }
        while let Some(event) = self.latest.pop() {
            let picture = matches!(event, SourceEvent::Unit(_));
            mail.deliveries.push((device, Delivery::Event(event)));
            if picture {
                break;
            }
        }
        if self.ended && self.latest.is_empty() {
            mail.deliveries.push((device, Delivery::Ended));
        }
    }
}
