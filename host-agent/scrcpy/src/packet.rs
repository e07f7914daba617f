//! The 12-byte header in front of everything on a video socket, in both framings. Big-endian.
//!
//! ```text
//!              byte 0                          bytes 0–7 (rest)   bytes 8–11
//!   2.0–3.3.4  [C K . . . . . .]               pts, 62 bits       payload size
//!   4.0 media  [0 C K . . . . .]               pts, 61 bits       payload size
//!   4.0 session[1 . . . . . . .] … bit 0 of byte 3 = resized by the client
//!              bytes 4–7 width, bytes 8–11 height, no payload
//! ```
//!
//! C marks a configuration packet (parameter sets, pts 0), K a key frame. Other flag bits are ignored, as the stock
//! client does. A payload of zero bytes is an error, as it is for the stock client.

use crate::Pts;
use crate::reader::be_u32;
use crate::version::Framing;

use thiserror::Error;

/// Length of every header in bytes.
pub const HEADER_LEN: usize = 12;

/// Largest payload in bytes that is accepted. Ours: a 4K key frame at the highest quality stays below 4 MiB; what is
/// larger is a stream out of step, and the demuxer fails.
pub const PAYLOAD_LEN_MAX: usize = 8 << 20;

/// A decoded packet header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// A new encoding session starts; nothing follows. Only in [`Framing::Session`].
    Session(Session),
    /// Parameter sets of `len` bytes follow.
    Config {
        /// Payload size in bytes, 1 to [`PAYLOAD_LEN_MAX`].
        len: usize,
    },
    /// An access unit of `len` bytes follows.
    Frame {
        /// When the picture was taken.
        pts: Pts,
        /// Whether it can be decoded without any before it.
        key: bool,
        /// Payload size in bytes, 1 to [`PAYLOAD_LEN_MAX`].
        len: usize,
    },
}

/// The size of the pictures that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Pixels, 1 to 65535.
    pub width: u16,
    /// Pixels, 1 to 65535.
    pub height: u16,
    /// Whether the client's own resize request led to this size.
    pub client_resized: bool,
}

/// Why twelve bytes are no header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A packet without content.
    #[error("packet with an empty payload")]
    EmptyPayload,
    /// A size beyond [`PAYLOAD_LEN_MAX`].
    #[error("payload of {0} bytes is above the limit of {PAYLOAD_LEN_MAX}")]
    PayloadTooLarge(u32),
    /// A picture size of 0 or above 65535.
    #[error("picture size {0}x{1} is out of range")]
    Size(u32, u32),
}

const BIT_63: u64 = 1 << 63;
const BIT_62: u64 = 1 << 62;
const BIT_61: u64 = 1 << 61;
const CLIENT_RESIZED: u32 = 1;

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// The bytes break a rule of [`HeaderError`]; the stream is out of step and cannot be continued.
    pub fn decode(framing: Framing, bytes: &[u8; HEADER_LEN]) -> Result<Self, HeaderError> {
        let [high, low, tail] = [be_u32(bytes, 0), be_u32(bytes, 4), be_u32(bytes, 8)];
        let word = u64::from(high) << 32 | u64::from(low);
        let (config, key, pts) = match framing {
            Framing::Legacy => (word & BIT_63 != 0, word & BIT_62 != 0, word & (BIT_62 - 1)),
            Framing::Session if word & BIT_63 != 0 => {
                let (width, height) = size(low, tail)?;
                return Ok(Self::Session(Session {
                    width,
                    height,
                    client_resized: high & CLIENT_RESIZED != 0,
                }));
            }
            Framing::Session => (word & BIT_62 != 0, word & BIT_61 != 0, word & (BIT_61 - 1)),
        };
        let len = match usize::try_from(tail) {
            Ok(0) => return Err(HeaderError::EmptyPayload),
            Ok(len) if len <= PAYLOAD_LEN_MAX => len,
            _ => return Err(HeaderError::PayloadTooLarge(tail)),
        };
        Ok(if config {
            Self::Config { len }
        } else {
            Self::Frame {
                pts: Pts(pts),
                key,
                len,
            }
        })
    }

    /// Writes a header. A time beyond the bits of the framing is cut to them.
    ///
    /// In [`Framing::Legacy`] there is no session packet: `None`.
    pub fn encode(self, framing: Framing) -> Option<[u8; HEADER_LEN]> {
        let (config_bit, key_bit) = match framing {
            Framing::Legacy => (BIT_63, BIT_62),
            Framing::Session => (BIT_62, BIT_61),
        };
        let (word, tail) = match (self, framing) {
            (Self::Session(_), Framing::Legacy) => return None,
            (Self::Session(session), Framing::Session) => {
                let word = BIT_63 | u64::from(session.client_resized) << 32 | u64::from(session.width);
                (word, u32::from(session.height))
            }
            (Self::Config { len }, _) => (config_bit, wire_len(len)),
            (Self::Frame { pts, key, len }, _) => {
                let key = if key { key_bit } else { 0 };
                (pts.0 & (key_bit - 1) | key, wire_len(len))
            }
        };
        let mut out = [0; HEADER_LEN];
        out[..8].copy_from_slice(&word.to_be_bytes());
        out[8..].copy_from_slice(&tail.to_be_bytes());
        Some(out)
    }
}

/// Checks a picture size of the wire.
pub(crate) fn size(width: u32, height: u32) -> Result<(u16, u16), HeaderError> {
    match (u16::try_from(width), u16::try_from(height)) {
        (Ok(w), Ok(h)) if w > 0 && h > 0 => Ok((w, h)),
        _ => Err(HeaderError::Size(width, height)),
    }
}

/// A length above 4 GiB cannot come from our encoder; saturating makes the reader refuse it.
fn wire_len(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
