//! The system's log, which `logcat` shows: what the device does, and what its programs write.
//!
//! ```text
//!   system, scrcpy server, `log` ── write ──► ring of LINES_MAX ──► after(seq): the lines that are newer
//!                                                  └── watch: the number of the newest
//! ```
//!
//! One ring for all buffers; when it is full the oldest line goes, whatever its buffer. It does not know how a line is
//! printed or who reads. For the input that tests look at see `log`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Android;
use crate::clock;

/// Lines kept, of all buffers together: some days of this device, seconds of a phone.
pub const LINES_MAX: usize = 4_096;
/// Longest message in bytes, as liblog's; the rest is cut.
pub const MESSAGE_LEN_MAX: usize = 4_000;
/// The process that the system's own lines come from, and programs of the shell.
pub const SYSTEM_PID: u32 = 600;

/// Which buffer a line is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Buffer {
    /// Programs.
    Main,
    /// The system.
    System,
    /// The radio, of which this device has none.
    Radio,
    /// Events in numbers, of which this device writes none.
    Events,
    /// What crashed.
    Crash,
}

impl Buffer {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Main, Self::System, Self::Radio, Self::Events, Self::Crash];

    /// As `-b` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::System => "system",
            Self::Radio => "radio",
            Self::Events => "events",
            Self::Crash => "crash",
        }
    }
}

/// How much a line matters, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are Android's")]
pub enum Level {
    Verbose,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl Level {
    const LETTERS: [(char, Self); 6] = [
        ('V', Self::Verbose),
        ('D', Self::Debug),
        ('I', Self::Info),
        ('W', Self::Warn),
        ('E', Self::Error),
        ('F', Self::Fatal),
    ];

    /// From its letter, small or large.
    #[must_use]
    pub fn of_letter(letter: char) -> Option<Self> {
        let letter = letter.to_ascii_uppercase();
        let found = Self::LETTERS.into_iter().find(|(known, _)| *known == letter);
        found.map(|(_, level)| level)
    }

    /// Its letter.
    #[must_use]
    pub fn letter(self) -> char {
        let found = Self::LETTERS.into_iter().find(|(_, level)| *level == self);
        found.map_or('?', |(letter, _)| letter)
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, rising by 1 from 1.
    pub seq: u64,
    /// When it was written, unix time in µs.
    pub at_us: u64,
    /// Where it is.
    pub buffer: Buffer,
    /// How much it matters.
    pub level: Level,
    /// Who wrote it.
    pub tag: String,
    /// What; may hold line feeds.
    pub message: String,
}

/// The log of one device.
#[derive(Debug, Default)]
pub(super) struct Journal {
    lines: Mutex<VecDeque<Line>>,
    newest: watch::Sender<u64>,
}

impl Journal {
    fn lines(&self) -> MutexGuard<'_, VecDeque<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Android {
    /// Writes a line of the log.
    pub fn write_log(&self, buffer: Buffer, level: Level, tag: &str, message: &str) {
        let journal = &self.shared.journal;
        let mut lines = journal.lines();
        let seq = *journal.newest.borrow() + 1;
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        let end = message.floor_char_boundary(MESSAGE_LEN_MAX);
        lines.push_back(Line {
            seq,
            at_us: clock::unix_us(),
            buffer,
            level,
            tag: tag.to_owned(),
            message: message[..end].to_owned(),
        });
        drop(lines);
        journal.newest.send_replace(seq);
    }

    /// The lines after one, the oldest first; 0 gives all that are kept.
    #[must_use]
    pub fn log_after(&self, seq: u64) -> Vec<Line> {
        let lines = self.shared.journal.lines();
        lines.iter().filter(|line| line.seq > seq).cloned().collect()
    }

    /// Tells of new lines.
    #[must_use]
    pub fn watch_log(&self) -> watch::Receiver<u64> {
        self.shared.journal.newest.subscribe()
    }

    /// How many read the log as it goes on.
    #[must_use]
    pub fn log_readers(&self) -> usize {
        self.shared.journal.newest.receiver_count()
    }

    /// Forgets the lines of some buffers.
    pub fn clear_log(&self, buffers: &[Buffer]) {
        let mut lines = self.shared.journal.lines();
        lines.retain(|line| !buffers.contains(&line.buffer));
    }

    /// A line of the system's own.
    pub(super) fn system_log(&self, tag: &str, message: &str) {
        self.write_log(Buffer::System, Level::Info, tag, message);
    }
}
