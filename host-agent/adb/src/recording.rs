//! Recordings of what passed between a host and a device: the layout of their files, written and read. Pure.
//!
//! ```text
//!   file     "FGLSWIRE" · version u16 = 2 · flags u16 (bit 0: typed text, clipboard and keys are kept; bit 1: packets are
//!            in it) · started u64, unix µs · len u8 · device · len u8 · scrcpy server's version     all little-endian
//!   record   kind u8 · stream u32 · µs since the start u64 · len u32 ≤ 1 MiB · payload
//!
//!     1 opened    the service, as it was asked for        4 closed
//!     2 received  bytes from the device                   5 lost    records u64 · bytes u64 that found no room
//!     3 sent      bytes to the device                     6 ended   why u8: 0 the session ended, 1 no more room
//!     7 packet    to the device u8: 0, 1 · adb's header as on the wire, 24 bytes · what it says itself, ≤ 4 KiB
//!     8 carried   the number u32 by which packets know the stream: the host's id of it
//! ```
//!
//! **Streams** are numbered as they are opened, and their records are in the order in which they were taken down, which
//! for one direction of one stream is the order of the wire. **Packets** are in the order of the wire, inside of TLS where
//! there is TLS. The two are the same bytes and not written twice: a WRTE is its header alone, and its data are the next
//! `length` bytes of the stream that its id carries. Nobody took what a stream has fewer than its packets say. What a
//! packet says itself are a banner (CNXN), a token, signature or key (AUTH), a service's name (OPEN), a window (OKAY).
//! Where a sum of bytes would tell what is not in the file, it is [`SUM_KEPT_BACK`].
//!
//! Through an adb server there are no packets of ours, so there are none in the recording; bit 1 tells that they are not
//! only missing. Times of different streams may be out of order by as much as two tasks of one process are.
//!
//! Version 1 had neither packets nor what carries streams, and is read as it was. A file without `ended` was cut off;
//! everything before its last whole record counts. Nothing here knows what the bytes mean, or writes a file.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::packet::{HEADER_LEN, Header, MAX_HANDSHAKE_PAYLOAD, PacketError};

/// What every recording begins with.
pub const MAGIC: [u8; 8] = *b"FGLSWIRE";
/// The layout that is written here.
pub const VERSION: u16 = 2;
/// The oldest that is read.
pub const VERSION_MIN: u16 = 1;
/// Longest recording in bytes. Its writer ends it there with [`Why::Full`]; a longer file is refused.
pub const LEN_MAX: usize = 256 << 20;
/// Longest payload of a record in bytes: adb's own. What is longer is written as several.
pub const PAYLOAD_MAX: usize = 1 << 20;
/// Bytes in front of a payload.
pub const RECORD_HEADER_LEN: usize = 17;
/// Most bytes of what a packet says itself: all of a banner or a key. What is longer is cut; its header has the length.
pub const SAID_MAX: usize = MAX_HANDSHAKE_PAYLOAD;
/// Stands in place of a packet's sum that is kept back; no payload has it.
pub const SUM_KEPT_BACK: u32 = u32::MAX;

const TEXT_KEPT: u16 = 1;
const PACKETS: u16 = 2;
/// Bytes of a packet's record in front of what it says.
const PACKET_LEN: usize = 1 + HEADER_LEN;

/// What a recording says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Whether what was typed and copied is in it, and what keys said; else there are asterisks in its place.
    pub text_kept: bool,
    /// Whether adb's packets are in it. They are not where an adb server is in between, nor in version 1.
    pub packets: bool,
    /// When it began, in µs of unix time.
    pub started_us: u64,
    /// The device, as its host calls it; at most 255 bytes.
    pub device: String,
    /// The version of the scrcpy server that the host starts, as text; at most 255 bytes.
    pub server: String,
}

/// The host's number for a stream; counts up from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// The number by which packets know a stream: the host's id of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Carrier(pub u32);

/// A packet that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Where to.
    pub direction: Direction,
    /// Its header.
    pub header: Header,
    /// What it says itself, and not for a stream, up to [`SAID_MAX`] bytes.
    pub said: Bytes,
}

/// Where a packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the host.
    FromDevice,
    /// To the device.
    ToDevice,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// µs since the start.
    pub at_us: u64,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A stream was opened to this service.
    Opened(StreamId, String),
    /// The device sent bytes.
    Received(StreamId, Bytes),
    /// The host sent bytes.
    Sent(StreamId, Bytes),
    /// A stream is gone.
    Closed(StreamId),
    /// A packet passed.
    Packet(Passed),
    /// Packets know the stream by this.
    Carried(StreamId, Carrier),
    /// Records found no room and are missing here.
    Lost {
        /// How many.
        records: u64,
        /// Their payloads.
        bytes: u64,
    },
    /// Nothing follows.
    Ended(Why),
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The connection to the device ended.
    SessionOver,
    /// It, or the disk it may use, was full.
    Full,
}

/// Why bytes are no recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// Another kind of file.
    #[error("the file is no recording")]
    Magic,
    /// Written by another version of this program.
    #[error("the recording has layout {0}, and this program reads {VERSION_MIN} to {VERSION}")]
    Version(u16),
    /// Above [`LEN_MAX`].
    #[error("the recording is longer than {LEN_MAX} bytes")]
    TooLong,
    /// The head is cut off, or its texts are none.
    #[error("the recording's head cannot be read")]
    Head,
    /// A record of a kind that there is not.
    #[error("a record has the unknown kind {0}")]
    Kind(u8),
    /// A payload above [`PAYLOAD_MAX`], or one that its kind does not have.
    #[error("a record of kind {kind} cannot have {len} bytes")]
    Payload {
        /// The record's kind.
        kind: u8,
        /// The payload's length in bytes.
        len: u32,
    },
    /// A packet's record that has none.
    #[error("a record's packet is none: {0}")]
    Packet(#[from] PacketError),
    /// A packet that goes neither way.
    #[error("a packet goes the unknown way {0}")]
    Direction(u8),
    /// A service that is not UTF-8.
    #[error("a record's service is not UTF-8")]
    NotUtf8,
}

/// Whether a file begins as a recording does.
#[must_use]
pub fn is_recording(file: &[u8]) -> bool {
    file.starts_with(&MAGIC)
}

/// Appends a recording's head. Texts are cut to what fits.
pub fn encode_head(head: &Head, out: &mut BytesMut) {
    out.put_slice(&MAGIC);
    out.put_u16_le(VERSION);
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    out.put_u16_le(flag(head.text_kept, TEXT_KEPT) | flag(head.packets, PACKETS));
    out.put_u64_le(head.started_us);
    for text in [&head.device, &head.server] {
        let text = &text[..text.floor_char_boundary(u8::MAX.into())];
        out.put_u8(text.len() as u8);
        out.put_slice(text.as_bytes());
    }
}

/// Appends a record; bytes above [`PAYLOAD_MAX`] become several.
pub fn encode_record(record: &Record, out: &mut BytesMut) {
    let mut put = |kind: u8, stream: StreamId, payload: &[u8]| {
        out.put_u8(kind);
        out.put_u32_le(stream.0);
        out.put_u64_le(record.at_us);
        out.put_u32_le(payload.len() as u32);
        out.put_slice(payload);
    };
    match &record.what {
        What::Opened(stream, service) => put(
            OPENED,
            *stream,
            &service.as_bytes()[..service.floor_char_boundary(PAYLOAD_MAX)],
        ),
        What::Received(stream, bytes) => {
            for bytes in bytes.chunks(PAYLOAD_MAX) {
                put(RECEIVED, *stream, bytes);
            }
        }
        What::Sent(stream, bytes) => {
            for bytes in bytes.chunks(PAYLOAD_MAX) {
                put(SENT, *stream, bytes);
            }
        }
        What::Closed(stream) => put(CLOSED, *stream, &[]),
        What::Packet(passed) => {
            let said = &passed.said[..passed.said.len().min(SAID_MAX)];
            let mut payload = BytesMut::with_capacity(PACKET_LEN + said.len());
            payload.put_u8((passed.direction == Direction::ToDevice).into());
            payload.put_slice(&passed.header.to_bytes());
            payload.put_slice(said);
            put(PACKET, NO_STREAM, &payload);
        }
        What::Carried(stream, carrier) => put(CARRIED, *stream, &carrier.0.to_le_bytes()),
        What::Lost { records, bytes } => {
            let mut payload = [0; 16];
            payload[..8].copy_from_slice(&records.to_le_bytes());
            payload[8..].copy_from_slice(&bytes.to_le_bytes());
            put(LOST, NO_STREAM, &payload);
        }
        What::Ended(why) => put(ENDED, NO_STREAM, &[(*why == Why::Full).into()]),
    }
}

/// A recording's head, and its records one by one.
///
/// # Errors
/// [`RecordingError`].
pub fn parse(mut file: Bytes) -> Result<(Head, Records), RecordingError> {
    if file.len() > LEN_MAX {
        return Err(RecordingError::TooLong);
    }
    if !is_recording(&file) {
        return Err(RecordingError::Magic);
    }
    file.advance(MAGIC.len());
    let cut = |_| RecordingError::Head;
    let version = file.try_get_u16_le().map_err(cut)?;
    if !(VERSION_MIN..=VERSION).contains(&version) {
        return Err(RecordingError::Version(version));
    }
    let flags = file.try_get_u16_le().map_err(cut)?;
    let started_us = file.try_get_u64_le().map_err(cut)?;
    let mut text = || {
        let len = usize::from(file.try_get_u8().ok()?);
        let text = (file.len() >= len).then(|| file.split_to(len))?;
        String::from_utf8(text.to_vec()).ok()
    };
    let (device, server) = (text(), text());
    let head = Head {
        text_kept: flags & TEXT_KEPT != 0,
        packets: flags & PACKETS != 0,
        started_us,
        device: device.ok_or(RecordingError::Head)?,
        server: server.ok_or(RecordingError::Head)?,
    };
    let newest_kind = if version < VERSION { ENDED } else { CARRIED };
    Ok((
        head,
        Records {
            rest: file,
            newest_kind,
        },
    ))
}

/// The records of a recording in their order, up to the end or to where the file was cut off.
#[derive(Debug, Clone)]
pub struct Records {
    rest: Bytes,
    /// The last kind that the file's version has.
    newest_kind: u8,
}

impl Iterator for Records {
    type Item = Result<Record, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.read();
        if !matches!(&record, Some(Ok(record)) if !matches!(record.what, What::Ended(_))) {
            self.rest.clear();
        }
        record
    }
}

impl Records {
    /// `None`: no whole record is left.
    fn read(&mut self) -> Option<Result<Record, RecordingError>> {
        let mut header = self.rest.get(..RECORD_HEADER_LEN)?;
        let (kind, stream) = (header.get_u8(), StreamId(header.get_u32_le()));
        let (at_us, len) = (header.get_u64_le(), header.get_u32_le());
        let payload_len = match kind {
            OPENED | RECEIVED | SENT if len as usize <= PAYLOAD_MAX => len as usize,
            CLOSED if len == 0 => 0,
            LOST if len == 16 => 16,
            ENDED if len == 1 => 1,
            _ if kind == 0 || kind > self.newest_kind => return Some(Err(RecordingError::Kind(kind))),
            PACKET if (PACKET_LEN..=PACKET_LEN + SAID_MAX).contains(&(len as usize)) => len as usize,
            CARRIED if len == 4 => 4,
            _ => return Some(Err(RecordingError::Payload { kind, len })),
        };
        if self.rest.len() - RECORD_HEADER_LEN < payload_len {
            return None;
        }
        self.rest.advance(RECORD_HEADER_LEN);
        let payload = self.rest.split_to(payload_len);
        Some(what(kind, stream, payload).map(|what| Record { at_us, what }))
    }
}

/// Reads a payload whose length fits its kind.
fn what(kind: u8, stream: StreamId, mut payload: Bytes) -> Result<What, RecordingError> {
    Ok(match kind {
        OPENED => {
            let service = String::from_utf8(payload.to_vec());
            What::Opened(stream, service.map_err(|_| RecordingError::NotUtf8)?)
        }
        RECEIVED => What::Received(stream, payload),
        SENT => What::Sent(stream, payload),
        CLOSED => What::Closed(stream),
        LOST => What::Lost {
            records: payload.get_u64_le(),
            bytes: payload.get_u64_le(),
        },
        PACKET => {
            let direction = match payload.get_u8() {
                0 => Direction::FromDevice,
                1 => Direction::ToDevice,
                other => return Err(RecordingError::Direction(other)),
            };
            let header = Header::parse(&payload)?;
            payload.advance(HEADER_LEN);
            What::Packet(Passed {
                direction,
                header,
                said: payload,
            })
        }
        CARRIED => What::Carried(stream, Carrier(payload.get_u32_le())),
        _ if payload.get_u8() == 0 => What::Ended(Why::SessionOver),
        _ => What::Ended(Why::Full),
    })
}

const OPENED: u8 = 1;
const RECEIVED: u8 = 2;
const SENT: u8 = 3;
const CLOSED: u8 = 4;
const LOST: u8 = 5;
const ENDED: u8 = 6;
const PACKET: u8 = 7;
const CARRIED: u8 = 8;
/// In records that belong to none.
const NO_STREAM: StreamId = StreamId(0);

#[cfg(test)]
#[path = "recording_tests.rs"]
mod tests;
