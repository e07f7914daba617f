//! `sync:` on the device: file transfer into and out of the device's files. What is asked one after the other is
//! answered one after the other.
//!
//! ```text
//!   SEND, SND2 ─► Growing ─ DATA … ─ DONE ─► a file, or FAIL      after a failure the rest is still taken
//!   RECV, RCV2 ─► Content ─ DATA … ─ DONE                         sent as the host takes it, never put together
//! ```
//!
//! It does not know who may write where; the files do. A host that hangs up half way leaves nothing behind.

use adb::Stream;
use adb::stream::WriteError;
use adb::sync::{Flags, Listing, MAX_DATA, Request, RequestParser, Response, S_IFMT, S_IFREG, Stat, Stat2};
use bytes::{Bytes, BytesMut};

use crate::files::{Attributes, Content, FileError, Files, Growing, Status, normal};

/// Serves one host's stream until it says QUIT or hangs up.
pub(super) async fn serve(mut stream: Stream, files: Files) {
    let mut parser = RequestParser::default();
    let mut session = Session { files, upload: None };
    loop {
        match parser.next_request() {
            Ok(Some(Request::Quit)) => return,
            Ok(Some(request)) => {
                // Writing fails when the host is gone, and then nothing is left to do.
                if send(&mut stream, session.answer(request)).await.is_err() {
                    return;
                }
            }
            Ok(None) => match stream.read_chunk().await {
                Ok(Some(chunk)) => parser.push(&chunk),
                Ok(None) | Err(_) => return,
            },
            Err(error) => {
                let mut answer = BytesMut::new();
                Response::Fail(error.to_string()).encode(&mut answer, Listing::No);
                let _ = stream.send(&answer).await;
                return;
            }
        }
    }
}

async fn send(stream: &mut Stream, answer: Answer) -> Result<(), WriteError> {
    let content = match answer {
        Answer::Nothing => return Ok(()),
        Answer::Short(bytes) => return stream.send(&bytes).await,
        Answer::Content(content) => content,
    };
    let mut out = BytesMut::new();
    for piece in content.pieces() {
        for at in (0..piece.len()).step_by(MAX_DATA) {
            let data = piece.slice(at..piece.len().min(at + MAX_DATA));
            Response::Data(data).encode(&mut out, Listing::No);
            stream.send(&out).await?;
            out.clear();
        }
    }
    Response::Done.encode(&mut out, Listing::No);
    stream.send(&out).await
}

/// What a request is answered with.
enum Answer {
    Nothing,
    /// As it is; a listing has at most as many entries as there are files.
    Short(Bytes),
    /// In DATA of at most [`MAX_DATA`] bytes.
    Content(Content),
}

struct Session {
    files: Files,
    upload: Option<Upload>,
}

/// A file that comes in. After a failure the rest is still taken, and told at the end, as adbd does.
enum Upload {
    Growing {
        path: String,
        permissions: u32,
        content: Growing,
    },
    Failed(String),
}

impl Session {
    fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Stat(path) => one(&Response::Stat(
                self.files.status(&path).map_or(Stat::default(), stat),
            )),
            Request::Stat2(path) => one(&Response::Stat2(self.stat2(&path))),
            Request::Lstat2(path) => one(&Response::Lstat2(self.stat2(&path))),
            Request::List(path) => {
                let entries = self.files.list(&path).unwrap_or_default().into_iter();
                all(
                    entries.map(|(name, status)| Response::Entry(stat(status), name)),
                    Listing::V1,
                )
            }
            Request::List2(path) => {
                let entries = self.files.list(&path).unwrap_or_default().into_iter();
                all(
                    entries.map(|(name, status)| Response::Entry2(stat2(&name, status), name)),
                    Listing::V2,
                )
            }
            Request::Send { path, mode } => {
                self.upload = Some(Upload::begin(&self.files, path, mode, Flags::PLAIN));
                Answer::Nothing
            }
            Request::Send2 { path, mode, flags } => {
                self.upload = Some(Upload::begin(&self.files, path, mode, flags));
                Answer::Nothing
            }
            Request::Data(data) => {
                self.grow(&data);
                Answer::Nothing
            }
            Request::Done { mtime_s } => one(&self.store(mtime_s)),
            Request::Recv(path) => self.content(&path),
            Request::Recv2 { path, flags } if flags == Flags::PLAIN => self.content(&path),
            Request::Recv2 { flags, .. } => one(&Response::Fail(unknown(flags))),
            Request::Quit => Answer::Nothing,
        }
    }

    fn content(&self, path: &str) -> Answer {
        match self.files.read(path) {
            Ok(content) => Answer::Content(content),
            Err(error) => one(&Response::Fail(error.to_string())),
        }
    }

    fn grow(&mut self, data: &[u8]) {
        if let Some(Upload::Growing { content, .. }) = &mut self.upload
            && let Err(error) = content.push(data)
        {
            self.upload = Some(Upload::Failed(error.to_string()));
        }
    }

    fn store(&mut self, mtime_s: u32) -> Response {
        match self.upload.take() {
            Some(Upload::Growing {
                path,
                permissions,
                content,
            }) => {
                let attributes = Attributes { permissions, mtime_s };
                let stored = content.store(&path, attributes);
                stored.map_or_else(|error| Response::Fail(error.to_string()), |()| Response::Okay)
            }
            Some(Upload::Failed(why)) => Response::Fail(why),
            None => Response::Fail("DONE without SEND".to_owned()),
        }
    }

    fn stat2(&self, path: &str) -> Stat2 {
        match self.files.status(path) {
            Ok(status) => stat2(&normal(path), status),
            Err(error) => Stat2 {
                error: error.errno(),
                ..Stat2::default()
            },
        }
    }
}

impl Upload {
    fn begin(files: &Files, path: String, mode: u32, flags: Flags) -> Self {
        match mode & S_IFMT {
            _ if flags != Flags::PLAIN => Self::Failed(unknown(flags)),
            S_IFREG => Self::Growing {
                path,
                permissions: mode & 0o7777,
                content: files.grow(),
            },
            // There are no links and no devices here.
            _ => Self::Failed(FileError::Denied.to_string()),
        }
    }
}

/// No compression is listed here, so no host asks for one but by mistake.
fn unknown(flags: Flags) -> String {
    format!("unknown flags: {}", flags.0)
}

fn stat(status: Status) -> Stat {
    let size = u32::try_from(status.size).unwrap_or(u32::MAX);
    Stat {
        mode: status.mode,
        size,
        mtime_s: status.mtime_s,
    }
}

/// Owned by the shell user, uid and gid 2000; the inode number is made from the name, for there are no links.
fn stat2(name: &str, status: Status) -> Stat2 {
    let ino = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Stat2 {
        error: 0,
        dev: 1,
        ino,
        mode: status.mode,
        nlink: 1,
        uid: 2000,
        gid: 2000,
        size: status.size,
        times_s: [i64::from(status.mtime_s); 3],
    }
}

fn one(response: &Response) -> Answer {
    let mut out = BytesMut::new();
    response.encode(&mut out, Listing::No);
    Answer::Short(out.freeze())
}

/// All responses and the DONE after them.
fn all(responses: impl Iterator<Item = Response>, listing: Listing) -> Answer {
    let mut out = BytesMut::new();
    for response in responses.chain([Response::Done]) {
        response.encode(&mut out, listing);
    }
    Answer::Short(out.freeze())
}
