//! What happens on the sockets before the first packet.
//!
//! ```text
//!   first socket    [00]           dummy byte: only if the device listens, so that the client knows that it does
//!                   [name × 64]    device name, UTF-8, at most 63 bytes, padded with NUL
//!   video socket    [codec u32]                             from 4.0; a session packet follows
//!                   [codec u32][width u32][height u32]      2.0 to 3.3.4, told once
//!   audio socket    [codec u32]    or 0 "no audio", 1 "wrong set-up"
//!   control socket  nothing
//! ```
//!
//! The order of the sockets is video, audio, control; one that is switched off is skipped, and the first that is left
//! carries the dummy byte and the name. In forward mode the name is sent only after all sockets are accepted: a
//! client that waits for it before opening the others waits for ever.

use std::fmt;
use std::str::FromStr;

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use crate::codec::{AudioStart, VideoCodec};
use crate::packet::Session;
use crate::version::Framing;

/// The byte by which a listening server shows that it is there.
pub const DUMMY_BYTE: u8 = 0;

/// Length of the device name on the wire in bytes, including at least one NUL.
pub const DEVICE_NAME_LEN: usize = 64;

/// Pause in milliseconds between two tries of the dummy byte, as the stock client does.
pub const DUMMY_RETRY_MS: u64 = 100;

/// Tries of the dummy byte before the stock client gives up.
pub const DUMMY_TRIES_MAX: u32 = 100;

/// The 31-bit number that keeps two servers on one device apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scid(u32);

/// A scid that is not eight hex digits of at most 31 bits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("scid is not a hexadecimal number of at most 31 bits")]
pub struct ScidError;

impl Scid {
    /// Makes a scid of the low 31 bits.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits & 0x7fff_ffff)
    }
}

impl fmt::Display for Scid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for Scid {
    type Err = ScidError;

    fn from_str(text: &str) -> Result<Self, ScidError> {
        match u32::from_str_radix(text, 16) {
            Ok(bits) if bits <= 0x7fff_ffff && !text.starts_with('+') => Ok(Self(bits)),
            _ => Err(ScidError),
        }
    }
}

/// The abstract socket that a server listens on or that a reverse tunnel listens on, without the prefix
/// `localabstract:`.
pub fn socket_name(scid: Option<Scid>) -> String {
    match scid {
        Some(scid) => format!("scrcpy_{scid}"),
        None => "scrcpy".to_owned(),
    }
}

/// The device name as 64 bytes. A longer name is cut at a character.
pub fn encode_device_name(name: &str) -> [u8; DEVICE_NAME_LEN] {
    let mut len = name.len().min(DEVICE_NAME_LEN - 1);
    while !name.is_char_boundary(len) {
        len -= 1;
    }
    let mut out = [0; DEVICE_NAME_LEN];
    out[..len].copy_from_slice(&name.as_bytes()[..len]);
    out
}

/// The device name up to its first NUL; bytes that are no UTF-8 become replacement characters.
pub fn decode_device_name(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// What a video socket carries before its first packet. The size is written in [`Framing::Legacy`] only.
pub fn encode_video_header(framing: Framing, codec: VideoCodec, size: Session) -> Bytes {
    let mut out = BytesMut::with_capacity(12);
    out.put_u32(codec.id());
    if framing == Framing::Legacy {
        out.put_u32(size.width.into());
        out.put_u32(size.height.into());
    }
    out.freeze()
}

/// What an audio socket carries before its first packet.
pub fn encode_audio_header(start: AudioStart) -> [u8; 4] {
    start.id().to_be_bytes()
}

/// Reads the first four bytes of an audio socket, `None` if they mean nothing known.
pub fn decode_audio_header(bytes: [u8; 4]) -> Option<AudioStart> {
    AudioStart::from_id(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_named_by_eight_lowercase_digits() {
        assert_eq!(socket_name(None), "scrcpy");
        assert_eq!(socket_name(Some(Scid::from_bits(0xABC))), "scrcpy_00000abc");
        assert_eq!("12345678".parse::<Scid>().unwrap().to_string(), "12345678");
    }

    #[test]
    fn a_scid_has_31_bits() {
        assert_eq!(Scid::from_bits(u32::MAX).to_string(), "7fffffff");
        for text in ["80000000", "-1", "+1", "xyz", "", "123456789"] {
            assert!(text.parse::<Scid>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_long_name_is_cut_at_a_character() {
        let name = "é".repeat(40);
        let wire = encode_device_name(&name);
        assert_eq!(wire[62..], [0, 0]);
        assert_eq!(decode_device_name(&wire), "é".repeat(31));
    }

    #[test]
    fn an_audio_socket_may_say_that_there_is_no_audio() {
        assert_eq!(decode_audio_header([0; 4]), Some(AudioStart::Disabled));
        assert_eq!(encode_audio_header(AudioStart::ConfigurationError), [0, 0, 0, 1]);
        assert_eq!(decode_audio_header(*b"what"), None);
    }
}
