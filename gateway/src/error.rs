//! What can fail, listed by what a caller may do differently about it.

use protocol::{ConnectionId, Epoch};

/// Why an offer got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// The offer is longer than `limits::SDP_BYTES_MAX`.
    #[error("the offer has {bytes} bytes, more than the gateway reads")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The text is no SDP offer that a WebRTC endpoint makes.
    #[error("the offer cannot be used: {0}")]
    Malformed(&'static str),
    /// The viewer offers no H.264 with packetization-mode=1, which is all that a device can send.
    #[error("the viewer does not offer H.264 with packetization-mode=1")]
    CodecUnsupported,
    /// The host serves as many viewers as it may.
    #[error("this host already serves {limit} viewers")]
    TooManyViewers {
        /// The limit that was reached.
        limit: usize,
    },
    /// The connection id is in use.
    #[error("connection {0} exists already")]
    DuplicateConnection(ConnectionId),
    /// The device's fence is above the epoch of the offer: the lease has ended.
    #[error("the lease has ended: the fence is at {fence}")]
    Fenced {
        /// The device's fence.
        fence: Epoch,
    },
    /// The media thread has no room for another command, or is gone.
    #[error("the gateway is busy or has stopped")]
    Busy,
    /// The WebRTC stack refused for a reason of its own.
    #[error("the WebRTC stack refused: {0}")]
    Stack(String),
}

/// Why a trickle fragment was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// No connection has this id.
    #[error("connection {0} does not exist")]
    UnknownConnection(ConnectionId),
    /// The fragment is longer than `limits::SDP_BYTES_MAX`.
    #[error("the fragment has {bytes} bytes, more than the gateway reads")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The fragment belongs to another ICE session: an ICE restart is not offered.
    #[error("the fragment belongs to another ICE session")]
    OtherSession,
    /// The media thread has no room for another command, or is gone.
    #[error("the gateway is busy or has stopped")]
    Busy,
}

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No address to put into answers: `bind` is unspecified and `advertise` is empty.
    #[error("no address to advertise: the gateway is bound to {0} and none is given")]
    NothingToAdvertise(std::net::SocketAddr),
    /// The socket could not be opened or set up.
    #[error("the media socket cannot be opened: {0}")]
    Socket(#[from] std::io::Error),
    /// The DTLS certificate could not be made.
    #[error("no DTLS certificate can be made: {0}")]
    Certificate(String),
}
