//! Cuts the bytes of a video socket into events, as they come.
//!
//! ```text
//!   [dummy 1] ─► [name 64] ─► [codec 4 | codec, width, height 12] ─► [header 12] ─► [payload] ─┐
//!    each of these three only if asked for                            ▲   │ session            │
//!                                                                     └───┴────────────────────┘
//! ```
//!
//! A packet is given out as soon as its last byte is there, and never waits for the next one. A payload that lies in
//! one chunk is a slice of that chunk; only one that spans chunks is copied, once.
//! The demuxer does not know what is in a payload, nor what the caller does with a failed stream: after an error it
//! gives out the same error for ever.
//!
//! Framings: see [`crate::packet`] and [`crate::handshake`].

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::Pts;
use crate::codec::VideoCodec;
use crate::handshake::{self, DEVICE_NAME_LEN, DUMMY_BYTE};
use crate::packet::{self, HEADER_LEN, Header, HeaderError, Session};
use crate::version::Framing;

/// What came over the video socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The device's model name.
    DeviceName(String),
    /// The codec of all pictures that follow.
    Codec(VideoCodec),
    /// A new encoding session of this size: parameter sets and a key frame follow. Before 4.0 it comes only once, and
    /// a later size has to be read from the parameter sets.
    Size(Session),
    /// Parameter sets; they belong in front of the next key frame.
    Config(Bytes),
    /// One access unit.
    Frame {
        /// When the picture was taken.
        pts: Pts,
        /// Whether it can be decoded without any before it.
        key: bool,
        /// Annex B for H.264 and H.265.
        data: Bytes,
    },
}

/// How a video socket begins, decided by the options that the server was started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The layout of headers and packets.
    pub framing: Framing,
    /// A dummy byte is still to come on this socket.
    pub dummy_byte: bool,
    /// The device name is to come on this socket.
    pub device_name: bool,
    /// Codec (and size) are to come: off only with `send_stream_meta=false`.
    pub stream_header: bool,
}

/// Why the stream cannot be continued.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DemuxError {
    /// Something else than the dummy byte came first.
    #[error("the first byte is {0:#04x} and not the dummy byte")]
    DummyByte(u8),
    /// A codec number that means nothing.
    #[error("unknown codec {0:#010x}")]
    Codec(u32),
    /// A packet header that breaks the rules.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// From 4.0 a size must come before the first picture.
    #[error("a picture came before any session packet")]
    NoSession,
}

/// Cuts a video socket into [`Event`]s: [`push`](Self::push) a chunk, then [`poll`](Self::poll) until `None`.
#[derive(Debug)]
pub struct Demuxer {
    start: Start,
    state: State,
    /// The rest of the last chunk.
    chunk: Bytes,
    /// The beginning of a piece that spans chunks; never longer than that piece.
    partial: BytesMut,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Dummy,
    Name,
    Stream,
    /// The legacy header told codec and size in one piece; the size is given out second.
    Size(Session),
    Packet {
        session_seen: bool,
    },
    Config {
        len: usize,
    },
    Frame {
        pts: Pts,
        key: bool,
        len: usize,
    },
    Failed(DemuxError),
}

impl Demuxer {
    /// A demuxer for a socket that begins as `start` says.
    pub fn new(start: Start) -> Self {
        let mut demuxer = Self {
            start,
            state: State::Dummy,
            chunk: Bytes::new(),
            partial: BytesMut::new(),
        };
        if !start.dummy_byte {
            demuxer.state = demuxer.after_dummy();
        }
        demuxer
    }

    /// Takes the next bytes of the socket. Call [`poll`](Self::poll) until `None` before the next push, or the bytes
    /// of both are copied together.
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            let mut joined = BytesMut::with_capacity(self.chunk.len() + chunk.len());
            joined.extend_from_slice(&self.chunk);
            joined.extend_from_slice(&chunk);
            self.chunk = joined.freeze();
        }
    }

    /// The next event that is complete, `None` until more bytes come.
    ///
    /// # Errors
    /// The stream broke its rules. The same error comes again on every further call.
    pub fn poll(&mut self) -> Result<Option<Event>, DemuxError> {
        let result = self.advance();
        if let Err(error) = &result {
            self.state = State::Failed(error.clone());
            self.chunk = Bytes::new();
            self.partial = BytesMut::new();
        }
        result
    }

    fn advance(&mut self) -> Result<Option<Event>, DemuxError> {
        loop {
            let needed = match &self.state {
                State::Failed(error) => return Err(error.clone()),
                State::Size(session) => {
                    let session = *session;
                    self.state = State::Packet { session_seen: true };
                    return Ok(Some(Event::Size(session)));
                }
                State::Dummy => 1,
                State::Name => DEVICE_NAME_LEN,
                State::Stream => self.stream_header_len(),
                State::Packet { .. } => HEADER_LEN,
                State::Config { len } | State::Frame { len, .. } => *len,
            };
            let Some(piece) = self.take(needed) else {
                return Ok(None);
            };
            if let Some(event) = self.piece(piece)? {
                return Ok(Some(event));
            }
        }
    }

    /// The one transition function: a complete piece of the length that the state asked for.
    fn piece(&mut self, piece: Bytes) -> Result<Option<Event>, DemuxError> {
        match self.state {
            State::Dummy => {
                if piece[0] != DUMMY_BYTE {
                    return Err(DemuxError::DummyByte(piece[0]));
                }
                self.state = self.after_dummy();
                Ok(None)
            }
            State::Name => {
                self.state = self.after_name();
                Ok(Some(Event::DeviceName(handshake::decode_device_name(&piece))))
            }
            State::Stream => self.stream_header(piece).map(Some),
            State::Packet { session_seen } => self.header(&piece, session_seen),
            State::Config { .. } => {
                self.state = State::Packet { session_seen: true };
                Ok(Some(Event::Config(piece)))
            }
            State::Frame { pts, key, .. } => {
                self.state = State::Packet { session_seen: true };
                Ok(Some(Event::Frame {
                    pts,
                    key,
                    data: piece,
                }))
            }
            State::Size(_) | State::Failed(_) => Ok(None),
        }
    }

    fn stream_header(&mut self, mut piece: Bytes) -> Result<Event, DemuxError> {
        let id = piece.get_u32();
        let codec = VideoCodec::from_id(id).ok_or(DemuxError::Codec(id))?;
        self.state = match self.start.framing {
            Framing::Session => State::Packet { session_seen: false },
            Framing::Legacy => {
                let (width, height) = packet::size(piece.get_u32(), piece.get_u32())?;
                State::Size(Session {
                    width,
                    height,
                    client_resized: false,
                })
            }
        };
        Ok(Event::Codec(codec))
    }

    fn header(&mut self, piece: &[u8], session_seen: bool) -> Result<Option<Event>, DemuxError> {
        let bytes: &[u8; HEADER_LEN] = piece.try_into().expect("the state asked for HEADER_LEN bytes");
        let header = Header::decode(self.start.framing, bytes)?;
        self.state = match header {
            Header::Session(session) => State::Size(session),
            _ if !session_seen => return Err(DemuxError::NoSession),
            Header::Config { len } => State::Config { len },
            Header::Frame { pts, key, len } => State::Frame { pts, key, len },
        };
        Ok(None)
    }

    /// `n` bytes, once they are there. What is not enough moves to `partial`.
    fn take(&mut self, n: usize) -> Option<Bytes> {
        if self.partial.is_empty() && self.chunk.len() >= n {
            return Some(self.chunk.split_to(n));
        }
        let more = (n - self.partial.len()).min(self.chunk.len());
        if more > 0 {
            self.partial.reserve(n - self.partial.len());
            self.partial.extend_from_slice(&self.chunk.split_to(more));
        }
        (self.partial.len() == n).then(|| self.partial.split().freeze())
    }

    fn after_dummy(&self) -> State {
        if self.start.device_name {
            State::Name
        } else {
            self.after_name()
        }
    }

    fn after_name(&self) -> State {
        if self.start.stream_header {
            State::Stream
        } else {
            // `send_stream_meta=false` leaves out the session packets too, so none can be demanded.
            State::Packet { session_seen: true }
        }
    }

    fn stream_header_len(&self) -> usize {
        match self.start.framing {
            Framing::Legacy => 12,
            Framing::Session => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: Start = Start {
        framing: Framing::Session,
        dummy_byte: false,
        device_name: false,
        stream_header: true,
    };
    const OPENING: &[u8] = b"h264\x80\0\0\0\0\0\x02\xd0\0\0\x05\0";
    const FRAME: &[u8] = b"\x20\0\0\0\0\0\0\x07\0\0\0\x03abc";

    fn opened() -> Demuxer {
        let mut demuxer = Demuxer::new(CURRENT);
        demuxer.push(Bytes::from_static(OPENING));
        while demuxer.poll().unwrap().is_some() {}
        demuxer
    }

    #[test]
    fn a_payload_in_one_chunk_is_not_copied() {
        let mut demuxer = opened();
        let chunk = Bytes::from_static(FRAME);
        demuxer.push(chunk.clone());
        let Some(Event::Frame { data, .. }) = demuxer.poll().unwrap() else {
            panic!("no frame");
        };
        assert_eq!(data.as_ptr(), chunk[12..].as_ptr());
    }

    #[test]
    fn a_frame_does_not_wait_for_the_next_one() {
        let mut demuxer = opened();
        for byte in &FRAME[..FRAME.len() - 1] {
            demuxer.push(Bytes::copy_from_slice(&[*byte]));
            assert_eq!(demuxer.poll(), Ok(None));
        }
        demuxer.push(Bytes::copy_from_slice(&FRAME[FRAME.len() - 1..]));
        let frame = Event::Frame {
            pts: Pts(7),
            key: true,
            data: Bytes::from_static(b"abc"),
        };
        assert_eq!(demuxer.poll(), Ok(Some(frame)));
    }

    #[test]
    fn a_failed_stream_stays_failed() {
        let mut demuxer = Demuxer::new(CURRENT);
        demuxer.push(Bytes::from_static(b"h269"));
        let failed = Err(DemuxError::Codec(0x6832_3639));
        assert_eq!(demuxer.poll(), failed);
        demuxer.push(Bytes::from_static(OPENING));
        assert_eq!(demuxer.poll(), failed);
    }

    #[test]
    fn a_picture_needs_a_session_first() {
        let mut demuxer = Demuxer::new(CURRENT);
        demuxer.push(Bytes::from_static(b"h264"));
        demuxer.push(Bytes::from_static(FRAME));
        assert!(matches!(demuxer.poll(), Ok(Some(Event::Codec(_)))));
        assert_eq!(demuxer.poll(), Err(DemuxError::NoSession));
    }

    #[test]
    fn another_first_byte_is_no_dummy() {
        let mut demuxer = Demuxer::new(Start {
            dummy_byte: true,
            ..CURRENT
        });
        demuxer.push(Bytes::from_static(b"\x01"));
        assert_eq!(demuxer.poll(), Err(DemuxError::DummyByte(1)));
    }
}
