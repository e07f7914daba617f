//! `sync:` on the device: file transfer into and out of the device's files. What is asked one after the other is
//! answered one after the other.

use adb::Stream;
use adb::sync::{Flags, Listing, MAX_DATA, Request, RequestParser, Response, S_IFMT, S_IFREG, Stat, Stat2};
use bytes::{Bytes, BytesMut};

use crate::files::{Attributes, FileError, Files, MAX_TOTAL_BYTES, Status, normal};

/// Serves one host's stream until it says QUIT or hangs up.
pub(super) async fn serve(mut stream: Stream, files: Files) {
    let mut parser = RequestParser::default();
    let mut session = Session { files, upload: None };
    loop {
        match parser.next_request() {
            Ok(Some(Request::Quit)) => return,
            Ok(Some(request)) => {
                for answer in session.answer(request) {
                    // Writing fails when the host is gone, and then nothing is left to do.
                    if stream.send(&answer).await.is_err() {
                        return;
                    }
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

struct Session {
    files: Files,
    upload: Option<Upload>,
}

/// A file that comes in. After a failure the rest is still taken, and told at the end, as adbd does.
enum Upload {
    Growing {
        path: String,
        permissions: u32,
        content: BytesMut,
    },
    Failed(String),
}

impl Session {
    /// The answer in pieces of at most some DATA each.
    fn answer(&mut self, request: Request) -> Vec<Bytes> {
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
                self.upload = Some(Upload::begin(path, mode, Flags::PLAIN));
                Vec::new()
            }
            Request::Send2 { path, mode, flags } => {
                self.upload = Some(Upload::begin(path, mode, flags));
                Vec::new()
            }
            Request::Data(data) => {
                self.grow(&data);
                Vec::new()
            }
            Request::Done { mtime_s } => one(&self.store(mtime_s)),
            Request::Recv(path) => self.content(&path),
            Request::Recv2 { path, flags } if flags == Flags::PLAIN => self.content(&path),
            Request::Recv2 { flags, .. } => one(&Response::Fail(unknown(flags))),
            Request::Quit => Vec::new(),
        }
    }

    fn content(&self, path: &str) -> Vec<Bytes> {
        match self.files.read(path) {
            Ok(content) => {
                let pieces = (0..content.len()).step_by(MAX_DATA);
                let data = pieces.map(|at| content.slice(at..content.len().min(at + MAX_DATA)));
                all(data.map(Response::Data), Listing::No)
            }
            Err(error) => one(&Response::Fail(error.to_string())),
        }
    }

    fn grow(&mut self, data: &[u8]) {
        if let Some(Upload::Growing { content, .. }) = &mut self.upload {
            if content.len() + data.len() > MAX_TOTAL_BYTES {
                self.upload = Some(Upload::Failed(FileError::NoSpace.to_string()));
            } else {
                content.extend_from_slice(data);
            }
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
                let stored = self.files.write(&path, content.freeze(), attributes);
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
    fn begin(path: String, mode: u32, flags: Flags) -> Self {
        match mode & S_IFMT {
            _ if flags != Flags::PLAIN => Self::Failed(unknown(flags)),
            S_IFREG => Self::Growing {
                path,
                permissions: mode & 0o7777,
                content: BytesMut::new(),
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

fn one(response: &Response) -> Vec<Bytes> {
    let mut out = BytesMut::new();
    response.encode(&mut out, Listing::No);
    vec![out.freeze()]
}

/// All responses and the DONE after them.
fn all(responses: impl Iterator<Item = Response>, listing: Listing) -> Vec<Bytes> {
    let encode = |response: Response| {
        let mut out = BytesMut::new();
        response.encode(&mut out, listing);
        out.freeze()
    };
    responses.chain([Response::Done]).map(encode).collect()
}
