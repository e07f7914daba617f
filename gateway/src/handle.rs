//! What the agent holds: a gateway, and one handle per device that is being captured.
//!
//! Everything here leaves something in the mailbox and wakes the media thread; nothing waits for it
//! but the answers to an offer, a patch and a request for numbers.

use std::net::SocketAddr;
use std::sync::Arc;

use protocol::{CloseReason, ConnectionId, DeviceId, Epoch};
use tokio::sync::{mpsc, oneshot};

use crate::driver::{self, Bell};
use crate::error::{OfferError, PatchError, StartError};
use crate::event::{Answer, Event, Gate, GatewayConfig, Offer, SourceEvent};
use crate::limits::{EVENTS_MAX, EVENTS_RESERVED, SDP_BYTES_MAX};
use crate::mailbox::{Command, Mailbox};
use crate::stats::Snapshot;

/// Starts the media thread and its socket. The events end when the last [`Gateway`] and the last
/// [`SourceHandle`] are gone and every viewer has been told.
///
/// # Errors
/// [`StartError`]: no usable address, no socket, or no certificate.
pub fn start(config: &GatewayConfig) -> Result<(Gateway, mpsc::Receiver<Event>), StartError> {
    let (events, receiver) = mpsc::channel(EVENTS_MAX + EVENTS_RESERVED);
    let shared = Arc::new(Shared {
        mailbox: Mailbox::default(),
        bell: Bell::new()?,
    });
    let local_addr = driver::spawn(config, Arc::clone(&shared), events)?;
    let holder = Arc::new(Holder { shared });
    Ok((Gateway { holder, local_addr }, receiver))
}

/// The media engine of this host. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    holder: Arc<Holder>,
    local_addr: SocketAddr,
}

/// One device's stream into the gateway. Dropping it ends the stream; viewers stay and wait for the
/// next one.
pub struct SourceHandle {
    holder: Arc<Holder>,
    device: DeviceId,
    serial: u64,
}

/// What handles and the media thread share.
pub(crate) struct Shared {
    pub(crate) mailbox: Mailbox,
    pub(crate) bell: Bell,
}

/// Ends the media thread when the last handle is gone.
struct Holder {
    shared: Arc<Shared>,
}

impl Gateway {
    /// Where the media socket listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Opens the stream of a device. An older stream of the same device ends.
    #[must_use]
    pub fn source(&self, device: DeviceId) -> SourceHandle {
        let serial = self.holder.shared.mailbox.open_source(device);
        self.holder.shared.bell.ring();
        SourceHandle {
            holder: Arc::clone(&self.holder),
            device,
            serial,
        }
    }

    /// Answers a viewer's offer. The device need not have a stream yet.
    ///
    /// # Errors
    /// [`OfferError`]; nothing is left behind.
    pub async fn offer(&self, offer: Offer) -> Result<Answer, OfferError> {
        if offer.sdp.len() > SDP_BYTES_MAX {
            return Err(OfferError::TooLarge {
                bytes: offer.sdp.len(),
            });
        }
        let (reply, answer) = oneshot::channel();
        self.send(Command::Offer(Box::new(offer), reply))
            .map_err(|_| OfferError::Busy)?;
        answer.await.unwrap_or(Err(OfferError::Busy))
    }

    /// Applies a viewer's trickle fragment (`application/trickle-ice-sdpfrag`).
    ///
    /// # Errors
    /// [`PatchError`]; the connection goes on.
    pub async fn patch(&self, connection: ConnectionId, fragment: String) -> Result<(), PatchError> {
        if fragment.len() > SDP_BYTES_MAX {
            return Err(PatchError::TooLarge {
                bytes: fragment.len(),
            });
        }
        let (reply, done) = oneshot::channel();
        self.send(Command::Patch {
            connection,
            fragment,
            reply,
        })
        .map_err(|_| PatchError::Busy)?;
        done.await.unwrap_or(Err(PatchError::Busy))
    }

    /// Sets a device's fence. Connections below `epoch` are told and closed with
    /// [`CloseReason::LeaseEnded`] before anything else is sent; to name another reason, call
    /// [`Self::close`] first. A fence below the one that stands is ignored.
    pub fn set_fence(&self, device: DeviceId, epoch: Epoch, gate: Gate) {
        self.holder.shared.mailbox.fence(device, epoch, gate);
        self.holder.shared.bell.ring();
    }

    /// Tells a viewer why and closes its connection.
    pub fn close(&self, connection: ConnectionId, reason: CloseReason) {
        if self.send(Command::Close(connection, reason)).is_err() {
            tracing::warn!(%connection, "a close was not taken: the media thread stands still");
        }
    }

    /// The numbers since the start; `None` when the media thread has ended.
    pub async fn stats(&self) -> Option<Snapshot> {
        let (reply, numbers) = oneshot::channel();
        self.send(Command::Stats(reply)).ok()?;
        numbers.await.ok()
    }

    fn send(&self, command: Command) -> Result<(), Command> {
        self.holder.shared.mailbox.command(command)?;
        self.holder.shared.bell.ring();
        Ok(())
    }
}

impl SourceHandle {
    /// The device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Hands over what the capture delivered. Never waits: when the media thread does not keep up,
    /// pictures are dropped up to the next key frame, and [`Event::KeyFrameWanted`] follows.
    pub fn push(&self, event: SourceEvent) {
        self.holder.shared.mailbox.push(self.device, self.serial, event);
        self.holder.shared.bell.ring();
    }
}

impl Drop for SourceHandle {
    fn drop(&mut self) {
        self.holder.shared.mailbox.end_source(self.device, self.serial);
        self.holder.shared.bell.ring();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.shared.mailbox.stop();
        self.shared.bell.ring();
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SourceHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceHandle")
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}
