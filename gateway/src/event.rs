//! What goes into the gateway from the agent and what comes out of it: plain values.
//!
//! Nothing here knows sockets, threads or RTP. `Offer` and `SourceEvent` go in, `Answer` and `Event`
//! come out.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::input::InputOp;
use protocol::{CloseReason, ConnectionId, DeviceId, Epoch, Pts};

use crate::limits;
use crate::source::Picture;

/// How to start a gateway.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Where the one UDP socket listens; port 0 lets the kernel choose.
    pub bind: SocketAddr,
    /// Addresses that browsers can reach, for the candidates of the answer; empty: the address in
    /// `bind`, which then must not be unspecified. Of the family of `bind`.
    pub advertise: Vec<IpAddr>,
    /// Viewers on this host, at most [`limits::VIEWERS_MAX`] by default.
    pub viewers_max: usize,
}

impl GatewayConfig {
    /// A gateway on `bind` that advertises that very address.
    #[must_use]
    pub fn new(bind: SocketAddr) -> Self {
        Self {
            bind,
            advertise: Vec::new(),
            viewers_max: limits::VIEWERS_MAX,
        }
    }
}

/// What a viewer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sees, touches and types.
    Controller,
    /// Sees.
    Spectator,
}

/// Whether media and input flow for the epoch of a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gate {
    /// The device is prepared for the holder.
    Open,
    /// The device is being prepared: connections may be armed, nothing flows.
    Closed,
}

/// A viewer's offer, already authorised by control.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Names the connection from now on.
    pub connection: ConnectionId,
    /// The device to see.
    pub device: DeviceId,
    /// The lease's epoch. Below the device's fence the offer is refused; above it the connection is
    /// armed and waits.
    pub epoch: Epoch,
    /// What the viewer may do.
    pub role: Role,
    /// The SDP.
    pub sdp: String,
}

/// The gateway's answer to an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The SDP, with every candidate in it: nothing more is trickled.
    pub sdp: String,
    /// Names the ICE session, with its quotes, as WHEP puts it into the `ETag` header.
    pub etag: String,
}

/// What the capture of a device delivers.
#[derive(Debug, Clone)]
pub enum SourceEvent {
    /// The picture's size in pixels, from a session packet. Once one has come, sizes are no longer
    /// taken from parameter sets.
    Picture {
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// SPS and PPS in Annex B form.
    Config(Bytes),
    /// One coded picture.
    Unit(AccessUnit),
}

/// One coded picture of a device.
#[derive(Debug, Clone)]
pub struct AccessUnit {
    /// When the device captured it.
    pub pts: Pts,
    /// Whether decoding can start here.
    pub key: bool,
    /// NAL units in Annex B form.
    pub data: Bytes,
    /// When its last byte was read from the device.
    pub received: Instant,
}

/// What the gateway tells the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A person acted. Only sent while the fence of the device equals `epoch` and is open.
    Input {
        /// The device.
        device: DeviceId,
        /// Whose hand; pointer ids are per connection.
        connection: ConnectionId,
        /// The epoch of the lease; the agent refuses it below its own fence.
        epoch: Epoch,
        /// The picture of the moment in which the gateway took it, whose generation a press or a move was found to
        /// name; none before the first. The device may have turned since.
        picture: Option<Picture>,
        /// What to do.
        op: InputOp,
    },
    /// Somebody waits for a picture that can be decoded: reset the encoder. At most every
    /// [`limits::KEY_FRAME_DEBOUNCE`].
    KeyFrameWanted {
        /// The device.
        device: DeviceId,
    },
    /// A viewer's ICE, DTLS and channels are up.
    Connected {
        /// The connection.
        connection: ConnectionId,
        /// The device.
        device: DeviceId,
        /// How long each step took.
        timings: Timings,
    },
    /// A connection is over. Nothing is sent on it any more.
    Closed {
        /// The connection.
        connection: ConnectionId,
        /// The device.
        device: DeviceId,
        /// Why.
        reason: CloseReason,
    },
}

/// How long each step of a start took, each measured from the offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// ICE found a pair.
    pub ice: Duration,
    /// DTLS finished.
    pub dtls: Duration,
    /// Every channel is open. Equal to `dtls` for a viewer that asked for none.
    pub channels: Duration,
}
