//! File transfer from the host's side: push, pull, stat, list over one `sync:` stream each.
//!
//! ```text
//!   push   SEND path,mode (SND2) · DATA* · DONE mtime ─► OKAY or FAIL      pull   RECV (RCV2) ─► DATA* · DONE
//!   stat   STAT (STA2, LST2) ─► one record                                 list   LIST (LIS2) ─► DENT* · DONE
//! ```
//!
//! The second version of a request is used where the device lists it. It knows no local files: content comes and goes
//! as bytes. Layout: `sync`.

use bytes::{Bytes, BytesMut};

use crate::banner::{LS_V2, SENDRECV_V2, STAT_V2};
use crate::connection::{End, OpenError};
use crate::host::Host;
use crate::stream::{Stream, WriteError};
use crate::sync::{
    Flags, Listing, MAX_DATA, MAX_PATH, Request, Response, ResponseError, ResponseParser, Stat, Stat2,
};

/// Most entries of one directory. Reached: [`TransferError::TooManyEntries`].
pub const MAX_ENTRIES: usize = 65_536;
/// Linux's number for "No such file or directory", and for what stands on the way to it being no directory.
const MISSING: [u32; 2] = [2, 20];

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The `sync:` service could not be opened, or the connection is gone.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The path is longer than [`MAX_PATH`], empty, or holds a NUL: a mistake of the caller.
    #[error("not a path that adb can transfer")]
    BadPath,
    /// The device says no, in its own words: no such file, no room, not allowed.
    #[error("the device says: {0}")]
    Refused(String),
    /// The file is longer than the caller allows.
    #[error("the file is longer than {0} bytes")]
    TooLarge(usize),
    /// The directory has more than [`MAX_ENTRIES`].
    #[error("the directory has more than {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// The device cannot tell, for this reason of Linux (13: not allowed).
    #[error("the device cannot look at the path (error {0})")]
    Errno(u32),
    /// The device does not follow the protocol.
    #[error(transparent)]
    Protocol(#[from] ResponseError),
    /// The device answered something else than what was asked, or hung up in between.
    #[error("the device broke off the transfer")]
    BrokenOff,
}

impl From<End> for TransferError {
    fn from(end: End) -> Self {
        Self::Open(OpenError::Ended(end))
    }
}

/// Where to push to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    /// The full path on the device.
    pub path: &'a str,
    /// Permissions, e.g. `0o644`.
    pub permissions: u32,
    /// Unix time in seconds of the last change.
    pub mtime_s: u32,
}

/// What to do with a path that is a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Tell about what it leads to.
    Follow,
    /// Tell about the link.
    Keep,
}

impl Host {
    /// Writes a file on the device.
    ///
    /// # Errors
    /// [`TransferError`]; the device may hold a part of the file then.
    pub async fn push(&self, target: &Target<'_>, content: &[u8]) -> Result<(), TransferError> {
        let mut transfer = self.transfer(target.path).await?;
        let mode = crate::sync::S_IFREG | (target.permissions & 0o7777);
        let mut out = BytesMut::new();
        let path = target.path.to_owned();
        let request = if self.banner().has(SENDRECV_V2) {
            let flags = Flags::PLAIN;
            Request::Send2 { path, mode, flags }
        } else {
            Request::Send { path, mode }
        };
        request.encode(&mut out);
        for piece in content.chunks(MAX_DATA) {
            Request::Data(Bytes::copy_from_slice(piece)).encode(&mut out);
            if transfer.send(&out.split()).await.is_err() {
                break;
            }
        }
        Request::Done {
            mtime_s: target.mtime_s,
        }
        .encode(&mut out);
        // A device that refuses may close before it has read everything; its reason is still to be read.
        let sent = transfer.send(&out).await;
        match transfer.next().await? {
            Response::Okay => sent.map_err(TransferError::from),
            Response::Fail(text) => Err(TransferError::Refused(text)),
            _ => Err(TransferError::BrokenOff),
        }
    }

    /// Reads a file of at most `limit` bytes from the device.
    ///
    /// # Errors
    /// [`TransferError`], among others [`TransferError::TooLarge`].
    pub async fn pull(&self, path: &str, limit: usize) -> Result<Vec<u8>, TransferError> {
        let mut transfer = self.transfer(path).await?;
        let request = if self.banner().has(SENDRECV_V2) {
            Request::Recv2 {
                path: path.to_owned(),
                flags: Flags::PLAIN,
            }
        } else {
            Request::Recv(path.to_owned())
        };
        transfer.request(&request).await?;
        let mut content = Vec::new();
        loop {
            match transfer.next().await? {
                Response::Data(data) if content.len() + data.len() > limit => {
                    return Err(TransferError::TooLarge(limit));
                }
                Response::Data(data) => content.extend_from_slice(&data),
                Response::Done => return Ok(content),
                Response::Fail(text) => return Err(TransferError::Refused(text)),
                _ => return Err(TransferError::BrokenOff),
            }
        }
    }

    /// Asks about a path; `None` when there is nothing.
    ///
    /// # Errors
    /// [`TransferError`] when there is no answer.
    pub async fn stat(&self, path: &str) -> Result<Option<Stat>, TransferError> {
        let mut transfer = self.transfer(path).await?;
        transfer.request(&Request::Stat(path.to_owned())).await?;
        match transfer.next().await? {
            Response::Stat(stat) => Ok((stat.mode != 0).then_some(stat)),
            _ => Err(TransferError::BrokenOff),
        }
    }

    /// Asks about a path with all that the device tells; `None` when there is nothing. A device without `stat_v2` tells
    /// no more than [`Self::stat`], and never follows links.
    ///
    /// # Errors
    /// [`TransferError`] when there is no answer, or it is not for us.
    pub async fn stat2(&self, path: &str, links: Links) -> Result<Option<Stat2>, TransferError> {
        if !self.banner().has(STAT_V2) {
            return Ok(self.stat(path).await?.map(wider));
        }
        let mut transfer = self.transfer(path).await?;
        let path = path.to_owned();
        let request = match links {
            Links::Follow => Request::Stat2(path),
            Links::Keep => Request::Lstat2(path),
        };
        transfer.request(&request).await?;
        match (transfer.next().await?, links) {
            (Response::Stat2(stat), Links::Follow) | (Response::Lstat2(stat), Links::Keep) => {
                match stat.error {
                    0 => Ok(Some(stat)),
                    error if MISSING.contains(&error) => Ok(None),
                    error => Err(TransferError::Errno(error)),
                }
            }
            _ => Err(TransferError::BrokenOff),
        }
    }

    /// The entries of a directory in the device's order; none as well when there is no such directory.
    ///
    /// # Errors
    /// [`TransferError`] when there is no answer, or too much of it.
    pub async fn list(&self, path: &str) -> Result<Vec<(String, Stat2)>, TransferError> {
        let v2 = self.banner().has(LS_V2);
        let mut transfer = self.transfer(path).await?;
        let request = if v2 {
            transfer.parser = ResponseParser::new(Listing::V2);
            Request::List2(path.to_owned())
        } else {
            transfer.parser = ResponseParser::new(Listing::V1);
            Request::List(path.to_owned())
        };
        transfer.request(&request).await?;
        let mut entries = Vec::new();
        loop {
            match transfer.next().await? {
                Response::Entry2(..) | Response::Entry(..) if entries.len() >= MAX_ENTRIES => {
                    return Err(TransferError::TooManyEntries);
                }
                Response::Entry2(stat, name) => entries.push((name, stat)),
                Response::Entry(stat, name) => entries.push((name, wider(stat))),
                Response::Done => return Ok(entries),
                Response::Fail(text) => return Err(TransferError::Refused(text)),
                _ => return Err(TransferError::BrokenOff),
            }
        }
    }

    async fn transfer(&self, path: &str) -> Result<Transfer, TransferError> {
        if path.is_empty() || path.len() > MAX_PATH || path.contains('\0') {
            return Err(TransferError::BadPath);
        }
        let stream = self.open("sync:").await?;
        Ok(Transfer {
            stream,
            parser: ResponseParser::new(Listing::No),
        })
    }
}

fn wider(stat: Stat) -> Stat2 {
    Stat2 {
        mode: stat.mode,
        size: u64::from(stat.size),
        times_s: [i64::from(stat.mtime_s); 3],
        ..Stat2::default()
    }
}

impl From<WriteError> for TransferError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Closed => Self::BrokenOff,
            WriteError::Ended(end) => end.into(),
        }
    }
}

struct Transfer {
    stream: Stream,
    parser: ResponseParser,
}

impl Transfer {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.stream.send(bytes).await
    }

    async fn request(&mut self, request: &Request) -> Result<(), WriteError> {
        let mut out = BytesMut::new();
        request.encode(&mut out);
        self.send(&out).await
    }

    async fn next(&mut self) -> Result<Response, TransferError> {
        loop {
            if let Some(response) = self.parser.next_response()? {
                return Ok(response);
            }
            match self.stream.read_chunk().await? {
                Some(chunk) => self.parser.push(&chunk),
                None => return Err(TransferError::BrokenOff),
            }
        }
    }
}
