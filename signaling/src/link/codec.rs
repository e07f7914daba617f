//! Frames of the agent link: a length and JSON.
//!
//! ```text
//! ┌────────────────────┬──────────────┐
//! │ length u32 LE      │ JSON         │   length ≤ FRAME_BYTES_MAX, counts the JSON only
//! └────────────────────┴──────────────┘
//! ```
//!
//! [`Frames`] is the parser: bytes in, values out, no I/O. It holds at most one frame and what arrived
//! behind it in the same chunk, and it never reserves memory for a length that was only announced.
//! [`Reader`] and [`write`] put it on a QUIC stream. A frame error ends the stream: there is no way to
//! find the next frame boundary.

use bytes::{Buf, BytesMut};
use protocol::agent::FRAME_BYTES_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes before each frame.
const HEADER_BYTES: usize = 4;
/// Longest chunk taken from QUIC at once, bytes; bounds what follows a frame in the buffer.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Why a stream of frames cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The announced length is above [`FRAME_BYTES_MAX`].
    #[error("a frame of {0} bytes is above the limit of {FRAME_BYTES_MAX}")]
    TooLong(usize),
    /// The frame is not the JSON that belongs here.
    #[error("a frame is not a message of this stream: {0}")]
    Json(#[from] serde_json::Error),
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
    /// The stream or the connection broke.
    #[error("the stream broke: {0}")]
    Stream(String),
}

/// Cuts a byte stream into frames.
#[derive(Default)]
pub struct Frames {
    buffer: BytesMut,
}

impl Frames {
    /// Appends what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, or none until more bytes arrive.
    ///
    /// # Errors
    /// [`CodecError::TooLong`] as soon as the length is known, [`CodecError::Json`] for a frame that
    /// is no `T`.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<T>, CodecError> {
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*header) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(CodecError::TooLong(length));
        }
        if self.buffer.len() < HEADER_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        let frame = self.buffer.split_to(length);
        Ok(Some(serde_json::from_slice(&frame)?))
    }

    /// True when no byte of an unfinished frame is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

/// Makes one frame.
///
/// # Errors
/// [`CodecError::TooLong`] when the value is larger than a peer accepts.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut frame = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut frame, value)?;
    let length = frame.len() - HEADER_BYTES;
    let announced = u32::try_from(length).ok().filter(|_| length <= FRAME_BYTES_MAX);
    let announced = announced.ok_or(CodecError::TooLong(length))?;
    frame[..HEADER_BYTES].copy_from_slice(&announced.to_le_bytes());
    Ok(frame)
}

/// Reads frames from a QUIC stream.
pub(crate) struct Reader {
    stream: quinn::RecvStream,
    frames: Frames,
}

impl Reader {
    pub(crate) fn new(stream: quinn::RecvStream) -> Self {
        Self {
            stream,
            frames: Frames::default(),
        }
    }

    /// The next frame, or none at the clean end of the stream. May be cancelled and called again.
    pub(crate) async fn read<T: DeserializeOwned>(&mut self) -> Result<Option<T>, CodecError> {
        loop {
            if let Some(value) = self.frames.take()? {
                return Ok(Some(value));
            }
            let chunk = self.stream.read_chunk(CHUNK_BYTES_MAX, true).await;
            match chunk.map_err(|error| CodecError::Stream(error.to_string()))? {
                Some(chunk) => self.frames.push(&chunk.bytes),
                None if self.frames.is_empty() => return Ok(None),
                None => return Err(CodecError::Truncated),
            }
        }
    }

    /// The next frame, where the stream's end is a fault too.
    pub(crate) async fn expect<T: DeserializeOwned>(&mut self) -> Result<T, CodecError> {
        self.read().await?.ok_or(CodecError::Truncated)
    }
}

/// Writes one frame to a QUIC stream. Must not be cancelled midway unless the stream is given up.
pub(crate) async fn write<T: Serialize>(stream: &mut quinn::SendStream, value: &T) -> Result<(), CodecError> {
    let frame = encode(value)?;
    stream
        .write_all(&frame)
        .await
        .map_err(|error| CodecError::Stream(error.to_string()))
}

/// Entry point for fuzzing: any bytes, in two pieces, as the messages of an agent.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let mut frames = Frames::default();
    for piece in [head, tail] {
        frames.push(piece);
        while let Ok(Some(message)) = frames.take::<protocol::agent::FromAgent>() {
            let again = encode(&message).expect("a message that was read fits a frame");
            let mut reader = Frames::default();
            reader.push(&again);
            let back = reader.take::<protocol::agent::FromAgent>();
            assert_eq!(back.expect("our own frame is read"), Some(message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_read_however_it_is_cut() {
        let frame = encode(&vec!["héllo", "你好"]).unwrap();
        for cut in 0..frame.len() {
            let mut frames = Frames::default();
            frames.push(&frame[..cut]);
            assert_eq!(frames.take::<Vec<String>>().unwrap(), None, "cut at {cut}");
            frames.push(&frame[cut..]);
            assert_eq!(frames.take::<Vec<String>>().unwrap().unwrap(), ["héllo", "你好"]);
            assert!(frames.is_empty());
        }
    }

    #[test]
    fn two_frames_in_one_chunk_are_two_values() {
        let mut both = encode(&1).unwrap();
        both.extend(encode(&2).unwrap());
        let mut frames = Frames::default();
        frames.push(&both);
        assert_eq!(frames.take::<u8>().unwrap(), Some(1));
        assert_eq!(frames.take::<u8>().unwrap(), Some(2));
        assert_eq!(frames.take::<u8>().unwrap(), None);
    }

    #[test]
    fn a_length_above_the_limit_is_refused_before_its_bytes_arrive() {
        let mut frames = Frames::default();
        frames.push(&u32::try_from(FRAME_BYTES_MAX + 1).unwrap().to_le_bytes());
        assert!(matches!(frames.take::<u8>(), Err(CodecError::TooLong(_))));
    }

    #[test]
    fn a_value_above_the_limit_is_not_sent() {
        assert!(matches!(
            encode(&"x".repeat(FRAME_BYTES_MAX)),
            Err(CodecError::TooLong(_))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            fuzz(&bytes);
        }
    }
}
