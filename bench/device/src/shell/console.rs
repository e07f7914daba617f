//! What a running command reads from, prints to and is interrupted by. It does not know adb: the service behind a
//! console turns prints into shell frames or raw bytes, feeds the input, and takes Ctrl-C out of it.
//!
//! ```text
//!   input ──► command ──► Sink: console (stdout or stderr), a file, nothing
//!                ▲
//!   Interrupt ───┘ only where a terminal is, and only while a command runs
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

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

/// What Ctrl-C does on a terminal: it ends the command that runs. Between commands it is an input like any other.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    runs: AtomicBool,
    rung: Notify,
}

impl Interrupt {
    /// Ends the command that runs, if one does; whether one did.
    pub fn ring(&self) -> bool {
        let runs = self.shared.runs.load(Ordering::Acquire);
        if runs {
            self.shared.rung.notify_one();
        }
        runs
    }

    /// Runs a command to its end, or to an interrupt: then nothing.
    pub(crate) async fn over<T>(&self, command: impl Future<Output = T>) -> Option<T> {
        let _running = Running::begin(&self.shared);
        tokio::select! {
            biased;
            () = self.shared.rung.notified() => None,
            done = command => Some(done),
        }
    }
}

/// A command that runs.
struct Running<'a>(&'a Shared);

impl<'a> Running<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.runs.store(true, Ordering::Release);
        Self(shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.runs.store(false, Ordering::Release);
    }
}
