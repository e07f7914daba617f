//! Recordings of what passed on a host's streams: the layout of their files, written and read. Pure.
//!
//! ```text
//!   file     "FGLSWIRE" · version u16 = 1 · flags u16 (bit 0: typed text and clipboard are kept)
//!            · started u64, unix µs · len u8 · device · len u8 · scrcpy server's version      all little-endian
//!   record   kind u8 · stream u32 · µs since the start u64 · len u32 ≤ 1 MiB · payload
//!
//!     1 opened    the service, as it was asked for        4 closed
//!     2 received  bytes from the device                   5 lost    records u64 · bytes u64 that found no room
//!     3 sent      bytes to the device                     6 ended   why u8: 0 the session ended, 1 no more room
//! ```
//!
//! What adb itself puts around a stream's bytes (packets, keys, TLS, an adb server) is not in it: a recording says the
//! same whichever way led to the device. Streams are numbered as they are opened, and their records are in the order in
//! which they were taken down, which for one direction of one stream is the order of the wire. Times of different
//! streams may be out of order by as much as two tasks of one process are.
//!
//! A file without `ended` was cut off; everything before its last whole record counts. Nothing here knows what the
//! bytes mean, or writes a file.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What every recording begins with.
pub const MAGIC: [u8; 8] = *b"FGLSWIRE";
/// The layout that is written here.
pub const VERSION: u16 = 1;
/// Longest recording in bytes. Its writer ends it there with [`Why::Full`]; a longer file is refused.
pub const LEN_MAX: usize = 256 << 20;
/// Longest payload of a record in bytes: adb's own. What is longer is written as several.
pub const PAYLOAD_MAX: usize = 1 << 20;
/// Bytes in front of a payload.
pub const RECORD_HEADER_LEN: usize = 17;

const TEXT_KEPT: u16 = 1;

/// What a recording says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Whether what was typed and copied is in it; else there are asterisks in its place.
    pub text_kept: bool,
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
    #[error("the recording has layout {0}, and this program reads {VERSION}")]
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
    out.put_u16_le(if head.text_kept { TEXT_KEPT } else { 0 });
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
    if version != VERSION {
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
        started_us,
        device: device.ok_or(RecordingError::Head)?,
        server: server.ok_or(RecordingError::Head)?,
    };
    Ok((head, Records { rest: file }))
}

/// The records of a recording in their order, up to the end or to where the file was cut off.
#[derive(Debug, Clone)]
pub struct Records {
    rest: Bytes,
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
            OPENED..=ENDED => return Some(Err(RecordingError::Payload { kind, len })),
            _ => return Some(Err(RecordingError::Kind(kind))),
        };
        if self.rest.len() - RECORD_HEADER_LEN < payload_len {
            return None;
        }
        self.rest.advance(RECORD_HEADER_LEN);
        let mut payload = self.rest.split_to(payload_len);
        let what = match kind {
            OPENED => match String::from_utf8(payload.to_vec()) {
                Ok(service) => What::Opened(stream, service),
                Err(_) => return Some(Err(RecordingError::NotUtf8)),
            },
            RECEIVED => What::Received(stream, payload),
            SENT => What::Sent(stream, payload),
            CLOSED => What::Closed(stream),
            LOST => What::Lost {
                records: payload.get_u64_le(),
                bytes: payload.get_u64_le(),
            },
            _ if payload.get_u8() == 0 => What::Ended(Why::SessionOver),
            _ => What::Ended(Why::Full),
        };
        Some(Ok(Record { at_us, what }))
    }
}

const OPENED: u8 = 1;
const RECEIVED: u8 = 2;
const SENT: u8 = 3;
const CLOSED: u8 = 4;
const LOST: u8 = 5;
const ENDED: u8 = 6;
/// In records that belong to none.
const NO_STREAM: StreamId = StreamId(0);

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            text_kept: false,
            started_us: 0x0102_0304_0506_0708,
            device: "pixel-1".to_owned(),
            server: "4.1".to_owned(),
        }
    }

    fn all_kinds() -> Vec<Record> {
        let stream = StreamId(3);
        let whats = [
            What::Opened(stream, "shell,v2,raw:id".to_owned()),
            What::Sent(stream, Bytes::from_static(b"in")),
            What::Received(stream, Bytes::from_static(b"out")),
            What::Closed(stream),
            What::Lost { records: 2, bytes: 9 },
            What::Ended(Why::Full),
        ];
        let record = |(at_us, what)| Record { at_us, what };
        (5..).zip(whats).map(record).collect()
    }

    fn file(records: &[Record]) -> Bytes {
        let mut out = BytesMut::new();
        encode_head(&head(), &mut out);
        for record in records {
            encode_record(record, &mut out);
        }
        out.freeze()
    }

    fn read(file: Bytes) -> Result<(Head, Vec<Record>), RecordingError> {
        let (head, records) = parse(file)?;
        Ok((head, records.collect::<Result<_, _>>()?))
    }

    #[test]
    fn a_recording_has_exactly_these_bytes() {
        let written = file(&all_kinds()[3..4]);
        let golden: &[&[u8]] = &[
            b"FGLSWIRE\x01\x00\x00\x00\x08\x07\x06\x05\x04\x03\x02\x01\x07pixel-1\x034.1",
            b"\x04\x03\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        ];
        assert_eq!(written, golden.concat());
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(file(&all_kinds())), Ok((head(), all_kinds())));
    }

    #[test]
    fn a_payload_that_is_too_long_becomes_several_records() {
        let bytes = Bytes::from(vec![7; PAYLOAD_MAX + 1]);
        let what = What::Received(StreamId(1), bytes.clone());
        let (_, records) = read(file(&[Record { at_us: 0, what }])).unwrap();
        let part = |at: usize| match &records[at].what {
            What::Received(_, bytes) => bytes.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(records.len(), 2);
        assert_eq!([part(0), part(1)].concat(), bytes);
    }

    #[test]
    fn a_file_that_was_cut_off_counts_up_to_its_last_whole_record() {
        let whole = file(&all_kinds());
        let lengths: Vec<usize> = (0..=whole.len())
            .filter_map(|len| Some(read(whole.slice(..len)).ok()?.1.len()))
            .collect();
        assert_eq!(*lengths.last().unwrap(), all_kinds().len());
        assert!(lengths.is_sorted() && lengths[0] == 0, "{lengths:?}");
        assert_eq!(read(whole.slice(..20)), Err(RecordingError::Head));
    }

    #[test]
    fn what_is_no_recording_is_refused_and_nothing_is_read_after_a_fault_or_the_end() {
        assert_eq!(
            read(Bytes::from_static(b"\0\0\0\x01\x67")),
            Err(RecordingError::Magic)
        );
        let mut other = BytesMut::from(&file(&[])[..]);
        other[8] = 9;
        assert_eq!(read(other.freeze()), Err(RecordingError::Version(9)));
        let fault = |kind: u8, len: u32| {
            let mut out = BytesMut::from(&file(&[])[..]);
            out.put_u8(kind);
            out.put_slice(&[0; 12]);
            out.put_u32_le(len);
            out.put_slice(&file(&all_kinds())[31..]);
            let records: Vec<_> = parse(out.freeze()).unwrap().1.collect();
            assert_eq!(records.len(), 1);
            records[0].clone().unwrap_err()
        };
        assert_eq!(fault(9, 0), RecordingError::Kind(9));
        let payload = |kind, len| RecordingError::Payload { kind, len };
        assert_eq!(fault(RECEIVED, u32::MAX), payload(RECEIVED, u32::MAX));
        assert_eq!(fault(CLOSED, 1), payload(CLOSED, 1));
        let mut after = all_kinds();
        after.extend(all_kinds());
        assert_eq!(read(file(&after)).unwrap().1.len(), all_kinds().len());
    }
}
