//! Requests of `sync:`, host to device: encoding, and a bounded parser for a byte stream.
//!
//! ```text
//!  0    4       8
//! ┌────┬───────┬────────────┐   STAT STA2 LST2 LIST LIS2 RECV: path     SEND: "path,mode" (decimal)
//! │ id │ u32 n │ n bytes …  │   DATA: file content     DONE: n = mtime, no bytes     QUIT: n = 0
//! └────┴───────┴────────────┘
//!   SND2: path, then  SND2 u32 mode u32 flags            RCV2: path, then  RCV2 u32 flags
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Flags, MAX_DATA, MAX_PATH, S_IFREG};

/// Longest SEND argument in bytes: a path, a comma, and a mode of at most ten digits.
const MAX_SEND: usize = MAX_PATH + 11;
/// Bytes before a request's argument.
const PREFIX: usize = 8;
/// Bytes of the second half of SND2: id, mode, flags.
const SEND2_LEN: usize = 12;
/// Bytes of the second half of RCV2: id, flags.
const RECV2_LEN: usize = 8;

/// One request, or one part of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// STAT: asks about a path without following links (v1).
    Stat(String),
    /// STA2: asks about a path, links followed.
    Stat2(String),
    /// LST2: asks about a path, links not followed.
    Lstat2(String),
    /// LIST: lists a directory (v1).
    List(String),
    /// LIS2: lists a directory.
    List2(String),
    /// SEND: starts an upload.
    Send {
        /// Where to.
        path: String,
        /// Type and permissions as in `st_mode`.
        mode: u32,
    },
    /// SND2 with both of its halves: starts an upload.
    Send2 {
        /// Where to.
        path: String,
        /// Type and permissions as in `st_mode`.
        mode: u32,
        /// How the data comes.
        flags: Flags,
    },
    /// DATA of an upload, at most [`MAX_DATA`] bytes.
    Data(Bytes),
    /// DONE: the upload is whole.
    Done {
        /// Unix time in seconds for the file.
        mtime_s: u32,
    },
    /// RECV: asks for a file's content.
    Recv(String),
    /// RCV2 with both of its halves: asks for a file's content.
    Recv2 {
        /// Which file.
        path: String,
        /// How the data shall come.
        flags: Flags,
    },
    /// QUIT: no more requests.
    Quit,
}

/// Why bytes are no request. The device answers FAIL with this text and closes the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Not a request that we know.
    #[error("unknown sync request {0:?}")]
    UnknownId([u8; 4]),
    /// The argument is longer than its limit.
    #[error("a sync argument of {0} bytes is too long")]
    TooLong(u32),
    /// A path that is empty, holds a NUL or is not UTF-8.
    #[error("not a path")]
    BadPath,
    /// A mode that is no decimal number.
    #[error("not a file mode")]
    BadMode,
    /// A SND2 or RCV2 whose second half is something else.
    #[error("the second half of {0:?} is missing")]
    NoSecondHalf([u8; 4]),
}

impl Request {
    /// Appends the request to `out`. The caller keeps paths within [`MAX_PATH`] and data within [`MAX_DATA`].
    pub fn encode(&self, out: &mut BytesMut) {
        let mut with = |id: &[u8; 4], argument: &[u8]| {
            out.put_slice(id);
            out.put_u32_le(u32::try_from(argument.len()).expect("arguments are at most 64 KiB"));
            out.put_slice(argument);
        };
        match self {
            Self::Stat(path) => with(b"STAT", path.as_bytes()),
            Self::Stat2(path) => with(b"STA2", path.as_bytes()),
            Self::Lstat2(path) => with(b"LST2", path.as_bytes()),
            Self::List(path) => with(b"LIST", path.as_bytes()),
            Self::List2(path) => with(b"LIS2", path.as_bytes()),
            Self::Send { path, mode } => with(b"SEND", format!("{path},{mode}").as_bytes()),
            Self::Data(data) => with(b"DATA", data),
            Self::Recv(path) => with(b"RECV", path.as_bytes()),
            Self::Quit => with(b"QUIT", b""),
            Self::Send2 { path, mode, flags } => {
                with(b"SND2", path.as_bytes());
                out.put_slice(b"SND2");
                out.put_u32_le(*mode);
                out.put_u32_le(flags.0);
            }
            Self::Recv2 { path, flags } => {
                with(b"RCV2", path.as_bytes());
                out.put_slice(b"RCV2");
                out.put_u32_le(flags.0);
            }
            Self::Done { mtime_s } => {
                out.put_slice(b"DONE");
                out.put_u32_le(*mtime_s);
            }
        }
    }
}

/// Cuts a byte stream into requests; holds at most one unfinished request and what was pushed last.
#[derive(Debug, Default)]
pub struct RequestParser {
    buffer: BytesMut,
}

impl RequestParser {
    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole request; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`RequestError`] when the bytes cannot be followed.
    pub fn next_request(&mut self) -> Result<Option<Request>, RequestError> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let [a, b, c, d, number @ ..] = *prefix;
        let (id, number) = ([a, b, c, d], u32::from_le_bytes(number));
        let limit = match &id {
            b"STAT" | b"STA2" | b"LST2" | b"LIST" | b"LIS2" | b"RECV" | b"SND2" | b"RCV2" => MAX_PATH,
            b"SEND" => MAX_SEND,
            b"DATA" => MAX_DATA,
            b"QUIT" => 0,
            b"DONE" => {
                self.buffer.advance(PREFIX);
                return Ok(Some(Request::Done { mtime_s: number }));
            }
            _ => return Err(RequestError::UnknownId(id)),
        };
        let length = usize::try_from(number).ok().filter(|length| *length <= limit);
        let length = length.ok_or(RequestError::TooLong(number))?;
        let second = match &id {
            b"SND2" => SEND2_LEN,
            b"RCV2" => RECV2_LEN,
            _ => 0,
        };
        if self.buffer.len() < PREFIX + length + second {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        let argument = self.buffer.split_to(length).freeze();
        let second = self.buffer.split_to(second).freeze();
        Ok(Some(match &id {
            b"DATA" => Request::Data(argument),
            b"QUIT" => Request::Quit,
            b"SEND" => send(&argument)?,
            b"SND2" => {
                let mut second = second_half(id, second)?;
                Request::Send2 {
                    path: path(&argument)?,
                    mode: typed(second.get_u32_le()),
                    flags: Flags(second.get_u32_le()),
                }
            }
            b"RCV2" => Request::Recv2 {
                path: path(&argument)?,
                flags: Flags(second_half(id, second)?.get_u32_le()),
            },
            b"STAT" => Request::Stat(path(&argument)?),
            b"STA2" => Request::Stat2(path(&argument)?),
            b"LST2" => Request::Lstat2(path(&argument)?),
            b"LIST" => Request::List(path(&argument)?),
            b"LIS2" => Request::List2(path(&argument)?),
            _ => Request::Recv(path(&argument)?),
        }))
    }
}

fn path(bytes: &[u8]) -> Result<String, RequestError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(RequestError::BadPath),
    }
}

fn send(argument: &[u8]) -> Result<Request, RequestError> {
    let text = path(argument)?;
    // The path itself may hold commas; the mode stands after the last one.
    let (path, mode) = text.rsplit_once(',').ok_or(RequestError::BadMode)?;
    if path.is_empty() || path.len() > MAX_PATH {
        return Err(RequestError::BadPath);
    }
    let mode: u32 = mode.parse().map_err(|_| RequestError::BadMode)?;
    Ok(Request::Send {
        path: path.to_owned(),
        mode: typed(mode),
    })
}

/// Some hosts send permissions without a type; adbd takes those as a regular file.
fn typed(mode: u32) -> u32 {
    if mode & super::S_IFMT == 0 {
        mode | S_IFREG
    } else {
        mode
    }
}

/// What a second half says behind its id, which has to be the first's.
fn second_half(id: [u8; 4], mut half: Bytes) -> Result<Bytes, RequestError> {
    if !half.starts_with(&id) {
        return Err(RequestError::NoSecondHalf(id));
    }
    half.advance(id.len());
    Ok(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_its_golden_bytes_and_survives_any_cut() {
        let cases: [(Request, &[u8]); 12] = [
            (Request::Stat("/a".into()), b"STAT\x02\0\0\0/a"),
            (Request::Stat2("/a".into()), b"STA2\x02\0\0\0/a"),
            (Request::Lstat2("/a".into()), b"LST2\x02\0\0\0/a"),
            (Request::List("/".into()), b"LIST\x01\0\0\0/"),
            (Request::List2("/".into()), b"LIS2\x01\0\0\0/"),
            (
                Request::Send {
                    path: "/a,b".into(),
                    mode: 33188,
                },
                b"SEND\x0a\0\0\0/a,b,33188",
            ),
            (Request::Data(Bytes::from_static(b"xyz")), b"DATA\x03\0\0\0xyz"),
            (Request::Done { mtime_s: 0x0102_0304 }, b"DONE\x04\x03\x02\x01"),
            (Request::Recv("/a".into()), b"RECV\x02\0\0\0/a"),
            (
                Request::Send2 {
                    path: "/a,b".into(),
                    mode: 33188,
                    flags: Flags::DRY_RUN,
                },
                b"SND2\x04\0\0\0/a,bSND2\xa4\x81\0\0\0\0\0\x80",
            ),
            (
                Request::Recv2 {
                    path: "/a".into(),
                    flags: Flags::ZSTD,
                },
                b"RCV2\x02\0\0\0/aRCV2\x04\0\0\0",
            ),
            (Request::Quit, b"QUIT\0\0\0\0"),
        ];
        let mut all = BytesMut::new();
        for (request, golden) in &cases {
            let mut out = BytesMut::new();
            request.encode(&mut out);
            assert_eq!(&out[..], *golden, "{request:?}");
            all.extend_from_slice(&out);
        }
        for size in 1..all.len() {
            let mut parser = RequestParser::default();
            let mut requests = Vec::new();
            for piece in all.chunks(size) {
                parser.push(piece);
                while let Some(request) = parser.next_request().unwrap() {
                    requests.push(request);
                }
            }
            assert!(
                requests.iter().eq(cases.iter().map(|(request, _)| request)),
                "cut into {size}"
            );
        }
    }

    #[test]
    fn bad_requests_are_refused() {
        let refused = |bytes: &[u8]| {
            let mut parser = RequestParser::default();
            parser.push(bytes);
            parser.next_request().unwrap_err()
        };
        assert_eq!(refused(b"WHAT\0\0\0\0"), RequestError::UnknownId(*b"WHAT"));
        assert_eq!(refused(b"STAT\x01\x04\0\0"), RequestError::TooLong(1025));
        assert_eq!(refused(b"DATA\x01\0\x01\0"), RequestError::TooLong(65537));
        assert_eq!(refused(b"RECV\x02\0\0\0/\0"), RequestError::BadPath);
        assert_eq!(refused(b"RECV\0\0\0\0"), RequestError::BadPath);
        assert_eq!(refused(b"SEND\x02\0\0\0/a"), RequestError::BadMode);
        assert_eq!(refused(b"SEND\x04\0\0\0/a,x"), RequestError::BadMode);
        assert_eq!(refused(b"SND2\x01\x04\0\0"), RequestError::TooLong(1025));
        let second = RequestError::NoSecondHalf(*b"SND2");
        assert_eq!(refused(b"SND2\x02\0\0\0/aDATA\x04\0\0\0\0\0\0\0"), second);
        let second = RequestError::NoSecondHalf(*b"RCV2");
        assert_eq!(refused(b"RCV2\x02\0\0\0/aQUIT\0\0\0\0"), second);
    }

    #[test]
    fn a_mode_without_a_type_means_a_regular_file() {
        let mut parser = RequestParser::default();
        parser.push(b"SEND\x06\0\0\0/a,420");
        let expected = Request::Send {
            path: "/a".into(),
            mode: 0o100_644,
        };
        assert_eq!(parser.next_request(), Ok(Some(expected)));
        parser.push(b"SND2\x02\0\0\0/aSND2\xa4\x01\0\0\0\0\0\0");
        let expected = Request::Send2 {
            path: "/a".into(),
            mode: 0o100_644,
            flags: Flags::PLAIN,
        };
        assert_eq!(parser.next_request(), Ok(Some(expected)));
    }
}
