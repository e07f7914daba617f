//! The `stats` channel: clocks and frame times, so that a viewer can show a true latency.
//!
//! ```text
//! viewer → gateway
//!   ping        30 | id u32 | t0_us u64
//!   subscribe   33 | every_n u8            0 = no frame-meta, 1 = one for each frame, n = one in n
//! gateway → viewer
//!   picture     20 | generation u16 | width u16 | height u16      the bytes of the `control` channel's
//!   pong        31 | id u32 | t0_us u64 | t1_us u64 | t2_us u64
//!   frame-meta  32 | rtp u32 | capture_us u64 | received_us u64 | sent_us u64
//!                  | generation u16 | width u16 | height u16 | residence_us u32
//! ```
//!
//! Little-endian. `t0` is the viewer's clock; every other time is the gateway's, microseconds since
//! the Unix epoch. `capture` is the access unit's presentation time moved to the gateway's clock by
//! the smallest delay seen, so the constant part of capture and encoding is not in it.
//!
//! `picture` is a repetition: on the reliable channel alone a lost one waits for SCTP's retransmission,
//! a second in which no touch would count.

use crate::bytes::{Reader, WireError};
use crate::units::Generation;

const PICTURE: u8 = 0x20;
const PING: u8 = 0x30;
const PONG: u8 = 0x31;
const FRAME_META: u8 = 0x32;
const SUBSCRIBE: u8 = 0x33;

/// One message from the viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToGateway {
    /// Asks for the gateway's clock.
    Ping {
        /// Comes back in the pong.
        id: u32,
        /// The viewer's clock, microseconds.
        t0_us: u64,
    },
    /// Asks for frame times.
    Subscribe {
        /// 0 for none, else one frame in this many.
        every_n: u8,
    },
}

/// One message from the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToViewer {
    /// The picture's size again, as [`crate::control::ToViewer::Picture`] said it. May be older than
    /// what the viewer knows already.
    Picture {
        /// What touches must name.
        generation: Generation,
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// The gateway's clock.
    Pong {
        /// The ping's.
        id: u32,
        /// The ping's.
        t0_us: u64,
        /// When the ping arrived.
        t1_us: u64,
        /// When this answer left.
        t2_us: u64,
    },
    /// When one frame passed through.
    FrameMeta(FrameMeta),
}

/// When one frame passed through the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameMeta {
    /// The frame's RTP timestamp, which the browser shows with the frame.
    pub rtp: u32,
    /// When the device captured it.
    pub capture_us: u64,
    /// When its last byte was read from the device.
    pub received_us: u64,
    /// When its last packet was handed to the socket.
    pub sent_us: u64,
    /// The picture's generation.
    pub generation: Generation,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// `sent - received` on a monotonic clock.
    pub residence_us: u32,
}

impl ToGateway {
    /// Reads one message of the viewer.
    ///
    /// # Errors
    /// Any [`WireError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader(bytes);
        let message = match reader.u8()? {
            PING => Self::Ping {
                id: reader.u32()?,
                t0_us: reader.u64()?,
            },
            SUBSCRIBE => Self::Subscribe {
                every_n: reader.u8()?,
            },
            other => return Err(WireError::UnknownType(other)),
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Ping { id, t0_us } => {
                out.push(PING);
                out.extend(id.to_le_bytes());
                out.extend(t0_us.to_le_bytes());
            }
            Self::Subscribe { every_n } => out.extend([SUBSCRIBE, every_n]),
        }
    }
}

impl ToViewer {
    /// Reads one message of the gateway.
    ///
    /// # Errors
    /// Any [`WireError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader(bytes);
        let message = match reader.u8()? {
            PICTURE => Self::Picture {
                generation: Generation(reader.u16()?),
                width: reader.u16()?,
                height: reader.u16()?,
            },
            PONG => Self::Pong {
                id: reader.u32()?,
                t0_us: reader.u64()?,
                t1_us: reader.u64()?,
                t2_us: reader.u64()?,
            },
            FRAME_META => Self::FrameMeta(FrameMeta {
                rtp: reader.u32()?,
                capture_us: reader.u64()?,
                received_us: reader.u64()?,
                sent_us: reader.u64()?,
                generation: Generation(reader.u16()?),
                width: reader.u16()?,
                height: reader.u16()?,
                residence_us: reader.u32()?,
            }),
            other => return Err(WireError::UnknownType(other)),
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Picture {
                generation,
                width,
                height,
            } => {
                out.push(PICTURE);
                for field in [generation.0, *width, *height] {
                    out.extend(field.to_le_bytes());
                }
            }
            Self::Pong {
                id,
                t0_us,
                t1_us,
                t2_us,
            } => {
                out.push(PONG);
                out.extend(id.to_le_bytes());
                for time in [t0_us, t1_us, t2_us] {
                    out.extend(time.to_le_bytes());
                }
            }
            Self::FrameMeta(meta) => {
                out.push(FRAME_META);
                out.extend(meta.rtp.to_le_bytes());
                for time in [meta.capture_us, meta.received_us, meta.sent_us] {
                    out.extend(time.to_le_bytes());
                }
                for field in [meta.generation.0, meta.width, meta.height] {
                    out.extend(field.to_le_bytes());
                }
                out.extend(meta.residence_us.to_le_bytes());
            }
        }
    }
}
