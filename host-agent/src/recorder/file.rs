//! A recording on its way to the disk: the thread that takes records from the queue, and the file that it fills.
//!
//! ```text
//!   queue ─► redact (scrcpy's control sockets) ─► limits ─► buffer ─► NAME.part ── Ended, fsync, rename ─► NAME
//!                                                   │ full: Ended(Full), and the queue is closed
//!                                                                    └─ the device said nothing: removed
//! ```
//!
//! When nothing waits the buffer is written out, so that a crash costs a moment and not a session. It does not know who
//! fills the queue. A disk that fails ends the recording; the device's session goes on.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};

use adb::recording::{self, Direction, Head, Record, What, Why};
use bytes::BytesMut;
use scrcpy::ServerVersion;

use super::redact::Redaction;
use super::{DISK_BYTES_MAX, Text, Waiting, payload};

/// What is kept free for the record that says why nothing follows.
const END_LEN: u64 = recording::RECORD_HEADER_LEN as u64 + 1;
/// How many names are tried when two sessions begin in the same millisecond.
const NAMES_MAX: u128 = 16;

/// A recording that is not finished.
#[derive(Debug)]
pub(super) struct File {
    part: PathBuf,
    whole: PathBuf,
    out: BufWriter<fs::File>,
    len: u64,
    /// Bytes of all recordings of the agent.
    used: Arc<AtomicU64>,
}

/// What keeps a recording from going on.
enum Stop {
    Full,
    Disk(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl File {
    /// Begins a recording, named after its time.
    pub(super) fn create(folder: &Path, head: &Head, used: Arc<AtomicU64>) -> io::Result<Self> {
        if used.load(Ordering::Relaxed) >= DISK_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!("the recordings take {DISK_BYTES_MAX} bytes: remove some"),
            ));
        }
        let (file, part, whole) = new_file(folder, u128::from(head.started_us / 1000))?;
        let mut bytes = BytesMut::new();
        recording::encode_head(head, &mut bytes);
        let mut file = Self {
            part,
            whole,
            out: BufWriter::with_capacity(1 << 16, file),
            len: 0,
            used,
        };
        file.put(&bytes)?;
        file.out.flush()?;
        Ok(file)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.len += bytes.len() as u64;
        self.used.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Writes records if there is room for them and for the end.
    fn append(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let more = bytes.len() as u64 + END_LEN;
        if self.len + more > recording::LEN_MAX as u64
            || self.used.load(Ordering::Relaxed) + more > DISK_BYTES_MAX
        {
            return Err(Stop::Full);
        }
        Ok(self.put(bytes)?)
    }

    /// Ends the recording: it is whole and on the disk under its name, or not there.
    fn finish(mut self, at_us: u64, why: Why) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        let what = What::Ended(why);
        recording::encode_record(&Record { at_us, what }, &mut bytes);
        self.put(&bytes)?;
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&self.part, &self.whole)?;
        match self.whole.parent() {
            Some(folder) => fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Removes the recording.
    fn discard(self) -> io::Result<()> {
        let Self {
            part, out, len, used, ..
        } = self;
        // What is not written yet need not be any more.
        drop(out.into_parts());
        fs::remove_file(&part)?;
        used.fetch_sub(len, Ordering::Relaxed);
        Ok(())
    }
}

fn new_file(folder: &Path, unix_ms: u128) -> io::Result<(fs::File, PathBuf, PathBuf)> {
    let mut last = io::ErrorKind::AlreadyExists.into();
    for ms in unix_ms..unix_ms + NAMES_MAX {
        let whole = folder.join(format!("{ms}.wire"));
        let part = folder.join(format!("{ms}.wire.part"));
        if whole.exists() {
            continue;
        }
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part);
        match made {
            Ok(file) => return Ok((file, part, whole)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// The work of a session's thread.
pub(super) struct Writing {
    file: File,
    redaction: Option<Redaction>,
    waiting: Arc<Waiting>,
    /// The device said something.
    heard: bool,
    /// Time of the newest record.
    at_us: u64,
    bytes: BytesMut,
}

impl Writing {
    pub(super) fn new(file: File, text: Text, server: ServerVersion, waiting: Arc<Waiting>) -> Self {
        Self {
            file,
            redaction: (text == Text::Redacted).then(|| Redaction::new(server)),
            waiting,
            heard: false,
            at_us: 0,
            bytes: BytesMut::new(),
        }
    }

    /// Counts its bytes there.
    #[cfg(test)]
    pub(super) fn counting(mut self, used: Arc<AtomicU64>) -> Self {
        self.file.used = used;
        self
    }

    /// Until the session is over or there is no more room.
    pub(super) fn run(mut self, queue: &Receiver<Record>) {
        let path = self.file.whole.display().to_string();
        let (why, lost) = match self.write_all(queue) {
            Ok(lost) => (Why::SessionOver, lost),
            Err(Stop::Full) => {
                tracing::warn!(path, "a recording is full and goes on no more");
                (Why::Full, 0)
            }
            Err(Stop::Disk(error)) => {
                tracing::error!(path, %error, "a recording was given up");
                return;
            }
        };
        if !self.heard {
            // Whoever connects tells that nobody was there.
            if let Err(error) = self.file.discard() {
                tracing::warn!(path, %error, "a recording of nothing is not removed");
            }
            return;
        }
        match self.file.finish(self.at_us, why) {
            Ok(()) => tracing::info!(path, lost_records = lost, "recorded"),
            Err(error) => tracing::error!(path, %error, "a recording could not be finished"),
        }
    }

    /// Gives how many records were lost.
    fn write_all(&mut self, queue: &Receiver<Record>) -> Result<u64, Stop> {
        let mut lost = 0;
        loop {
            let record = match queue.try_recv() {
                Ok(record) => record,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    self.file.out.flush()?;
                    match queue.recv() {
                        Ok(record) => record,
                        Err(_) => break,
                    }
                }
            };
            self.waiting
                .bytes
                .fetch_sub(payload(&record.what), Ordering::Relaxed);
            lost += self.gap()?;
            self.at_us = self.at_us.max(record.at_us);
            self.heard |= is_heard(&record.what);
            self.write(record)?;
        }
        Ok(lost + self.gap()?)
    }

    /// Writes down what was lost before the record that comes next.
    fn gap(&mut self) -> Result<u64, Stop> {
        let Some(what) = self.waiting.lost() else {
            return Ok(0);
        };
        if let Some(redaction) = &mut self.redaction {
            redaction.gap();
        }
        let at_us = self.at_us;
        let What::Lost { records, .. } = what else {
            return Ok(0);
        };
        self.write(Record { at_us, what })?;
        Ok(records)
    }

    fn write(&mut self, record: Record) -> Result<(), Stop> {
        self.bytes.clear();
        let bytes = &mut self.bytes;
        match &mut self.redaction {
            Some(redaction) => redaction.pass(record, |record| recording::encode_record(record, bytes)),
            None => recording::encode_record(&record, bytes),
        }
        let bytes = std::mem::take(&mut self.bytes);
        let written = self.file.append(&bytes);
        self.bytes = bytes;
        written
    }
}

/// Whether a device is behind it. Streams are opened by its leave.
fn is_heard(what: &What) -> bool {
    match what {
        What::Packet(packet) => packet.direction == Direction::FromDevice,
        What::Opened(..) | What::Received(..) => true,
        What::Sent(..) | What::Closed(_) | What::Carried(..) | What::Lost { .. } | What::Ended(_) => false,
    }
}
