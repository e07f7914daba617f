//! Responses of `sync:`, device to host: encoding, and a bounded parser for a byte stream.
//!
//! ```text
//!  STAT mode size mtime                                         16 bytes
//!  STA2 LST2 error dev ino mode nlink uid gid size 3 × time     72 bytes
//!  DENT mode size mtime n name                                  20 + n bytes, … DONE padded to 20
//!  DNT2 as STA2, then n name                                    76 + n bytes, … DONE padded to 76
//!  DATA n bytes · DONE 0 · OKAY 0 · FAIL n text                 8 (+ n) bytes
//! ```
//!
//! How long a DONE is depends on what was asked, so the parser is told ([`Listing`]).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{MAX_DATA, MAX_PATH, Stat, Stat2};

/// Longest text in bytes of a FAIL that is accepted.
const MAX_FAIL: usize = 4096;
const STAT_LEN: usize = 16;
const STAT2_LEN: usize = 72;

/// One response, or one part of a download or listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// STAT: the answer to STAT.
    Stat(Stat),
    /// STA2: the answer to STA2.
    Stat2(Stat2),
    /// LST2: the answer to LST2.
    Lstat2(Stat2),
    /// DENT: one entry of a LIST.
    Entry(Stat, String),
    /// DNT2: one entry of a LIS2.
    Entry2(Stat2, String),
    /// DATA of a download, at most [`MAX_DATA`] bytes.
    Data(Bytes),
    /// DONE: the download or listing is whole.
    Done,
    /// OKAY: the upload is stored.
    Okay,
    /// FAIL: the request failed, with a text for a person.
    Fail(String),
}

/// What kind of answer is awaited: decides how long a DONE is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// None: file content or a single answer (8 bytes).
    No,
    /// LIST (20 bytes).
    V1,
    /// LIS2 (76 bytes).
    V2,
}

impl Listing {
    fn done_len(self) -> usize {
        match self {
            Self::No => 8,
            Self::V1 => STAT_LEN + 4,
            Self::V2 => STAT2_LEN + 4,
        }
    }
}

/// Why bytes are no response. The stream cannot be followed after it: close it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// Not a response that we know.
    #[error("unknown sync response {0:?}")]
    UnknownId([u8; 4]),
    /// A part is longer than its limit.
    #[error("a sync response with {0} bytes")]
    TooLong(u32),
    /// A name that is not UTF-8.
    #[error("a file name is not text")]
    BadName,
}

impl Response {
    /// Appends the response to `out`. The caller keeps data within [`MAX_DATA`] and names within [`MAX_PATH`].
    pub fn encode(&self, out: &mut BytesMut, listing: Listing) {
        match self {
            Self::Stat(stat) => put_stat(out, b"STAT", stat),
            Self::Stat2(stat) => put_stat2(out, b"STA2", stat),
            Self::Lstat2(stat) => put_stat2(out, b"LST2", stat),
            Self::Entry(stat, name) => {
                put_stat(out, b"DENT", stat);
                put_text(out, name.as_bytes());
            }
            Self::Entry2(stat, name) => {
                put_stat2(out, b"DNT2", stat);
                put_text(out, name.as_bytes());
            }
            Self::Data(data) => {
                out.put_slice(b"DATA");
                put_text(out, data);
            }
            Self::Done => {
                out.put_slice(b"DONE");
                out.put_bytes(0, listing.done_len() - 4);
            }
            Self::Okay => out.put_slice(b"OKAY\0\0\0\0"),
            Self::Fail(text) => {
                let end = text.floor_char_boundary(MAX_FAIL);
                out.put_slice(b"FAIL");
                put_text(out, &text.as_bytes()[..end]);
            }
        }
    }
}

/// Cuts a byte stream into responses; holds at most one unfinished response and what was pushed last.
#[derive(Debug)]
pub struct ResponseParser {
    buffer: BytesMut,
    listing: Listing,
}

impl ResponseParser {
    /// A parser for the answer to one kind of request.
    #[must_use]
    pub fn new(listing: Listing) -> Self {
        Self {
            buffer: BytesMut::new(),
            listing,
        }
    }

    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole response; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`ResponseError`] when the bytes cannot be followed.
    pub fn next_response(&mut self) -> Result<Option<Response>, ResponseError> {
        let Some(id) = self.buffer.first_chunk::<4>().copied() else {
            return Ok(None);
        };
        let (fixed, limit) = match &id {
            b"STAT" => (STAT_LEN, None),
            b"STA2" | b"LST2" => (STAT2_LEN, None),
            b"DENT" => (STAT_LEN + 4, Some(MAX_PATH)),
            b"DNT2" => (STAT2_LEN + 4, Some(MAX_PATH)),
            b"DATA" => (8, Some(MAX_DATA)),
            b"FAIL" => (8, Some(MAX_FAIL)),
            b"OKAY" => (8, None),
            b"DONE" => (self.listing.done_len(), None),
            _ => return Err(ResponseError::UnknownId(id)),
        };
        let Some(number) = self.buffer.get(fixed - 4..fixed) else {
            return Ok(None);
        };
        let length = match limit {
            Some(limit) => bounded(number, limit)?,
            None => 0,
        };
        if self.buffer.len() < fixed + length {
            return Ok(None);
        }
        let mut head = self.buffer.split_to(fixed).freeze();
        let tail = self.buffer.split_to(length).freeze();
        head.advance(4);
        Ok(Some(match &id {
            b"STAT" => Response::Stat(take_stat(&mut head)),
            b"STA2" => Response::Stat2(take_stat2(&mut head)),
            b"LST2" => Response::Lstat2(take_stat2(&mut head)),
            b"DENT" => Response::Entry(take_stat(&mut head), name(&tail)?),
            b"DNT2" => Response::Entry2(take_stat2(&mut head), name(&tail)?),
            b"DATA" => Response::Data(tail),
            b"FAIL" => Response::Fail(String::from_utf8_lossy(&tail).into_owned()),
            b"OKAY" => Response::Okay,
            _ => Response::Done,
        }))
    }
}

fn bounded(number: &[u8], limit: usize) -> Result<usize, ResponseError> {
    let number = u32::from_le_bytes(*number.first_chunk().expect("four bytes were taken"));
    let length = usize::try_from(number).ok().filter(|length| *length <= limit);
    length.ok_or(ResponseError::TooLong(number))
}

fn name(bytes: &[u8]) -> Result<String, ResponseError> {
    Ok(std::str::from_utf8(bytes)
        .map_err(|_| ResponseError::BadName)?
        .to_owned())
}

fn put_text(out: &mut BytesMut, text: &[u8]) {
    out.put_u32_le(u32::try_from(text.len()).expect("texts are at most 64 KiB"));
    out.put_slice(text);
}

fn put_stat(out: &mut BytesMut, id: &[u8; 4], stat: &Stat) {
    out.put_slice(id);
    out.put_u32_le(stat.mode);
    out.put_u32_le(stat.size);
    out.put_u32_le(stat.mtime_s);
}

fn take_stat(from: &mut Bytes) -> Stat {
    Stat {
        mode: from.get_u32_le(),
        size: from.get_u32_le(),
        mtime_s: from.get_u32_le(),
    }
}

fn put_stat2(out: &mut BytesMut, id: &[u8; 4], stat: &Stat2) {
    out.put_slice(id);
    out.put_u32_le(stat.error);
    out.put_u64_le(stat.dev);
    out.put_u64_le(stat.ino);
    for word in [stat.mode, stat.nlink, stat.uid, stat.gid] {
        out.put_u32_le(word);
    }
    out.put_u64_le(stat.size);
    for time in stat.times_s {
        out.put_i64_le(time);
    }
}

fn take_stat2(from: &mut Bytes) -> Stat2 {
    Stat2 {
        error: from.get_u32_le(),
        dev: from.get_u64_le(),
        ino: from.get_u64_le(),
        mode: from.get_u32_le(),
        nlink: from.get_u32_le(),
        uid: from.get_u32_le(),
        gid: from.get_u32_le(),
        size: from.get_u64_le(),
        times_s: [from.get_i64_le(), from.get_i64_le(), from.get_i64_le()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat2() -> Stat2 {
        let times_s = [7, 8, 9];
        Stat2 {
            error: 0,
            dev: 1,
            ino: 2,
            mode: 0o100_644,
            nlink: 1,
            uid: 3,
            gid: 4,
            size: 5,
            times_s,
        }
    }

    fn golden_stat2(id: &[u8; 4]) -> Vec<u8> {
        let mut golden = id.to_vec();
        golden.extend_from_slice(
            b"\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\xa4\x81\0\0\x01\0\0\0\x03\0\0\0\x04\0\0\0",
        );
        golden.extend_from_slice(b"\x05\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0");
        golden
    }

    fn round_trip(listing: Listing, cases: &[(Response, Vec<u8>)]) {
        let mut all = BytesMut::new();
        for (response, golden) in cases {
            let mut out = BytesMut::new();
            response.encode(&mut out, listing);
            assert_eq!(&out[..], *golden, "{response:?}");
            all.extend_from_slice(&out);
        }
        for size in 1..all.len() {
            let mut parser = ResponseParser::new(listing);
            let mut responses = Vec::new();
            for piece in all.chunks(size) {
                parser.push(piece);
                while let Some(response) = parser.next_response().unwrap() {
                    responses.push(response);
                }
            }
            assert!(
                responses.iter().eq(cases.iter().map(|(response, _)| response)),
                "cut into {size}"
            );
        }
    }

    #[test]
    fn each_response_has_its_golden_bytes_and_survives_any_cut() {
        let stat = Stat {
            mode: 0o040_755,
            size: 4096,
            mtime_s: 1,
        };
        round_trip(
            Listing::No,
            &[
                (
                    Response::Stat(stat),
                    b"STAT\xed\x41\0\0\0\x10\0\0\x01\0\0\0".to_vec(),
                ),
                (Response::Stat2(stat2()), golden_stat2(b"STA2")),
                (Response::Lstat2(stat2()), golden_stat2(b"LST2")),
                (
                    Response::Data(Bytes::from_static(b"xyz")),
                    b"DATA\x03\0\0\0xyz".to_vec(),
                ),
                (Response::Done, b"DONE\0\0\0\0".to_vec()),
                (Response::Okay, b"OKAY\0\0\0\0".to_vec()),
                (Response::Fail("no".into()), b"FAIL\x02\0\0\0no".to_vec()),
            ],
        );
    }

    #[test]
    fn listings_end_with_a_done_as_long_as_an_entry() {
        let stat = Stat {
            mode: 0o040_755,
            size: 0,
            mtime_s: 1,
        };
        let entry = b"DENT\xed\x41\0\0\0\0\0\0\x01\0\0\0\x02\0\0\0ab".to_vec();
        let done = [b"DONE".as_slice(), &[0; 16]].concat();
        round_trip(
            Listing::V1,
            &[
                (Response::Entry(stat, "ab".into()), entry),
                (Response::Done, done),
            ],
        );
        let entry = [golden_stat2(b"DNT2"), b"\x02\0\0\0ab".to_vec()].concat();
        let done = [b"DONE".as_slice(), &[0; 72]].concat();
        assert_eq!(entry.len(), 78);
        round_trip(
            Listing::V2,
            &[
                (Response::Entry2(stat2(), "ab".into()), entry),
                (Response::Done, done),
            ],
        );
    }

    #[test]
    fn bad_responses_are_refused() {
        let refused = |bytes: &[u8]| {
            let mut parser = ResponseParser::new(Listing::No);
            parser.push(bytes);
            parser.next_response().unwrap_err()
        };
        assert_eq!(refused(b"WHAT"), ResponseError::UnknownId(*b"WHAT"));
        assert_eq!(refused(b"DATA\x01\0\x01\0"), ResponseError::TooLong(65537));
        assert_eq!(refused(b"FAIL\x01\x10\0\0"), ResponseError::TooLong(4097));
    }
}
