//! What the server says.
//!
//! ```text
//!   info, warn, error ──┬── the shell: `[server] LEVEL: text`, warnings and errors on stderr
//!                       └── the device's log, with the tag `scrcpy`
//! ```
//!
//! What is below the level that the client asked for is said nowhere.

use scrcpy::options::LogLevel;
use tokio::sync::mpsc;

use crate::android::Android;
use crate::android::journal::{Buffer, Level};

/// Lines that wait for the shell; the server waits when there are more.
pub(super) const OUTPUT_MAX: usize = 64;

/// What a server gives to the shell that runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A line with its line feed.
    Stdout(String),
    /// A line with its line feed.
    Stderr(String),
    /// The end.
    Exit(u8),
}

/// Prints for one server.
pub(super) struct Log {
    android: Android,
    output: mpsc::Sender<Output>,
    level: LogLevel,
}

impl Log {
    pub(super) fn new(android: Android, output: mpsc::Sender<Output>) -> Self {
        Self {
            android,
            output,
            level: LogLevel::Debug,
        }
    }

    pub(super) fn set_level(&mut self, level: LogLevel) {
        self.level = level;
    }

    pub(super) async fn info(&self, text: &str) {
        if matches!(self.level, LogLevel::Verbose | LogLevel::Debug | LogLevel::Info) {
            self.keep(Level::Info, text);
            self.print(Output::Stdout(format!("[server] INFO: {text}\n")))
                .await;
        }
    }

    pub(super) async fn warn(&self, text: &str) {
        if self.level != LogLevel::Error {
            self.keep(Level::Warn, text);
            self.print(Output::Stderr(format!("[server] WARN: {text}\n")))
                .await;
        }
    }

    pub(super) async fn error(&self, text: &str) {
        self.keep(Level::Error, text);
        self.print(Output::Stderr(format!("[server] ERROR: {text}\n")))
            .await;
    }

    pub(super) async fn exit(&self, code: u8) {
        self.print(Output::Exit(code)).await;
    }

    fn keep(&self, level: Level, text: &str) {
        self.android.write_log(Buffer::Main, level, "scrcpy", text);
    }

    /// A shell that is gone reads nothing: then there is nobody to tell.
    async fn print(&self, output: Output) {
        let _ = self.output.send(output).await;
    }
}
