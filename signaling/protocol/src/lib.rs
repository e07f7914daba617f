//! Our own wire: every byte that a viewer, the gateway, an agent and control say to one another.
//!
//! No I/O, no clock, no async: bytes and plain values. The channel messages (`input`, `control`,
//! `stats`) are binary, little-endian, with a one-byte type and bounded lengths; the agent link
//! (`agent`) is JSON. The TypeScript twins live in `web/shared/src/wire` under the same file
//! names, and both sides are tested against the golden bytes in `vectors/`.
//!
//! It does not know SQL, Docker, Android's own protocols, RTP, or who may do what.

pub mod agent;
mod bytes;
pub mod close;
pub mod control;
pub mod ids;
pub mod input;
pub mod label;
pub mod stats;
pub mod units;

pub use bytes::WireError;
pub use close::CloseReason;
pub use ids::{ConnectionId, DeviceId, Epoch, HostId, LeaseId, LinkId, SessionId};
pub use units::{Fraction, Generation, Pts};

/// The negotiated data channels of a viewer: fixed ids on both sides, because a channel that the
/// browser opens in-band ignores `ordered` and `maxRetransmits` for what the gateway sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Unordered, no retransmission: [`input`] messages.
    Input,
    /// Ordered and reliable: [`control`] messages.
    Control,
    /// Unordered, no retransmission: [`stats`] messages.
    Stats,
}

impl Channel {
    /// Every channel, in the order of their ids.
    pub const ALL: [Self; 3] = [Self::Input, Self::Control, Self::Stats];

    /// The SCTP stream id that both sides negotiate.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Self::Input => 1,
            Self::Control => 2,
            Self::Stats => 4,
        }
    }

    /// The label, for people who read a browser's internals page.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Control => "control",
            Self::Stats => "stats",
        }
    }

    /// Whether messages are retransmitted and kept in order.
    #[must_use]
    pub const fn reliable(self) -> bool {
        matches!(self, Self::Control)
    }

    /// The channel with this id, if it is one of ours.
    #[must_use]
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.id() == id)
    }
}
