//! `sync:` on the device: file transfer into and out of the device's files. What is asked one after the other is
//! answered one after the other.
//!
//! ```text
//!   SEND, SND2 ─► Growing ─ DATA … ─ DONE ─► OKAY, a file         DATA is kept as it comes
//!              └─► FAIL at once ─► Draining ─ DATA … ─ DONE ─► the stream ends
//!   RECV, RCV2 ─► Content ─ DATA … ─ DONE                         sent as the host takes it, never put together
//!              └─► FAIL, and the stream ends
//! ```
//!
//! It does not know who may write where; the files do. A host that hangs up half way leaves nothing behind.

use adb::Stream;
use adb::stream::WriteError;
use adb::sync::{Flags, Listing, MAX_DATA, Request, RequestParser, Response, S_IFMT, S_IFREG, Stat, Stat2};
use bytes::{Bytes, BytesMut};

use crate::files::{Attributes, Content, FileError, Files, Growing, Status, normal};

/// Serves one host's stream until it says QUIT or hangs up. `nonsense` is sent in front of the first answer.
pub(super) async fn serve(mut stream: Stream, files: Files, mut nonsense: Option<Vec<u8>>) {
    let mut parser = RequestParser::default();
    let mut session = Session {
        files,
        upload: None,
        over: false,
    };
    loop {
        match parser.next_request() {
            Ok(Some(Request::Quit)) => return,
            Ok(Some(request)) => {
                let answer = session.answer(request);
                if !matches!(answer, Answer::Nothing)
                    && let Some(nonsense) = nonsense.take()
                    && stream.send(&nonsense).await.is_err()
                {
                    return;
                }
                // Writing fails when the host is gone, and then nothing is left to do.
                if send(&mut stream, answer).await.is_err() || session.over {
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
    /// A transfer has failed: nothing more is served.
    over: bool,
}

/// A file that comes in. After a failure, which is told at once, the rest is still taken, as adbd does.
enum Upload {
    Growing {
        path: String,
        permissions: u32,
        content: Growing,
    },
    Draining,
}

impl Session {
    fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Stat(path) => one(&Response::Stat(
                self.files.own_status(&path).map_or(Stat::default(), stat),
            )),
            Request::Stat2(path) => one(&Response::Stat2(stat2_of(
                &normal(&path),
                self.files.status(&path),
            ))),
            Request::Lstat2(path) => one(&Response::Lstat2(stat2_of(&path, self.files.own_status(&path)))),
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
            Request::Send { path, mode } => self.begin(path, mode, Flags::PLAIN),
            Request::Send2 { path, mode, flags } => self.begin(path, mode, flags),
            Request::Data(data) => self.grow(&data),
            Request::Done { mtime_s } => self.store(mtime_s),
            Request::Recv(path) => self.content(&path),
            Request::Recv2 { path, flags } if flags == Flags::PLAIN => self.content(&path),
            Request::Recv2 { flags, .. } => self.end(unknown(flags)),
            Request::Quit => Answer::Nothing,
        }
    }

    fn content(&mut self, path: &str) -> Answer {
        match self.files.read(path) {
            Ok(content) => Answer::Content(content),
            Err(error) => self.end(error.to_string()),
        }
    }

    /// Says why, as the last thing.
    fn end(&mut self, why: String) -> Answer {
        self.over = true;
        one(&Response::Fail(why))
    }

    fn begin(&mut self, path: String, mode: u32, flags: Flags) -> Answer {
        match Upload::begin(&self.files, path, mode, flags) {
            Ok(upload) => {
                self.upload = Some(upload);
                Answer::Nothing
            }
            Err(why) => self.drain(why),
        }
    }

    /// Says why, and takes the rest of what comes.
    fn drain(&mut self, why: String) -> Answer {
        self.upload = Some(Upload::Draining);
        one(&Response::Fail(why))
    }

    fn grow(&mut self, data: &[u8]) -> Answer {
        match &mut self.upload {
            Some(Upload::Growing { content, .. }) => match content.push(data) {
                Ok(()) => Answer::Nothing,
                Err(error) => self.drain(error.to_string()),
            },
            Some(Upload::Draining) | None => Answer::Nothing,
        }
    }

    fn store(&mut self, mtime_s: u32) -> Answer {
        match self.upload.take() {
            Some(Upload::Growing {
                path,
                permissions,
                content,
            }) => match content.store(&path, Attributes { permissions, mtime_s }) {
                Ok(()) => one(&Response::Okay),
                Err(error) => self.end(error.to_string()),
            },
            Some(Upload::Draining) => {
                self.over = true;
                Answer::Nothing
            }
            None => self.end("DONE without SEND".to_owned()),
        }
    }
}

impl Upload {
    fn begin(files: &Files, path: String, mode: u32, flags: Flags) -> Result<Self, String> {
        match mode & S_IFMT {
            _ if flags != Flags::PLAIN => Err(unknown(flags)),
            S_IFREG => {
                files.may_write(&path).map_err(|error| error.to_string())?;
                Ok(Self::Growing {
                    path,
                    permissions: mode & 0o7777,
                    content: files.grow(),
                })
            }
            // Nobody makes links and devices here.
            _ => Err(FileError::Denied.to_string()),
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

fn stat2_of(name: &str, status: Result<Status, FileError>) -> Stat2 {
    match status {
        Ok(status) => stat2(name, status),
        Err(error) => Stat2 {
            error: error.errno(),
            ..Stat2::default()
        },
    }
}

/// Owned by the shell user, uid and gid 2000; the inode number is made from the name, for no two names are one file.
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
