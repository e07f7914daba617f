//! What a running command reads from and prints to. It does not know adb: the service behind a console turns prints
//! into shell frames or raw bytes, and feeds the input.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::words::Fd;
use crate::files::{Attributes, Files};

/// Prints and pieces of input that may wait. Reached: the command, or the host, waits.
pub const QUEUE: usize = 16;

/// One piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Print {
    /// Which output.
    pub fd: Fd,
    /// What.
    pub data: Bytes,
}

/// Nobody reads the output any more: the command ends as by SIGHUP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the host hung up")]
pub struct HungUp;

/// Where one output goes.
#[derive(Clone)]
pub(crate) enum Sink {
    Console(mpsc::Sender<Print>, Fd),
    File { files: Files, path: String, now_s: u32 },
    Null,
}

/// The two outputs and the input of a command.
pub(crate) struct Io<'a> {
    pub(crate) out: Sink,
    pub(crate) err: Sink,
    pub(crate) input: &'a mut mpsc::Receiver<Bytes>,
}

impl Sink {
    /// Prints; an error of a file that cannot be written is told as the exit code by the caller.
    pub(crate) async fn print(&self, data: impl Into<Bytes>) -> Result<(), HungUp> {
        let data = data.into();
        if data.is_empty() {
            return Ok(());
        }
        match self {
            Self::Console(prints, fd) => prints.send(Print { fd: *fd, data }).await.map_err(|_| HungUp),
            Self::File { files, path, now_s } => {
                let attributes = Attributes {
                    permissions: 0o644,
                    mtime_s: *now_s,
                };
                if let Err(error) = files.append(path, &data, attributes) {
                    tracing::debug!(path, %error, "output of a simulated command is lost");
                }
                Ok(())
            }
            Self::Null => Ok(()),
        }
    }
}
