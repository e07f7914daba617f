//! The wire recorder: one file for each connection to a device, with every packet of adb, every byte of its streams, and
//! when it passed.
//!
//! ```text
//!   adb packets ──┐
//!   adb streams ── Witness ──► try_send ──► queue (bounded) ──► thread ── redact.rs ──► NAME/UNIX-MS.wire.part
//!    pictures, input,              │ full: counted, and written down as lost                │ the end: fsync, rename
//!    shells, files                 ▼                                                        ▼
//!    nothing waits                                                                    NAME/UNIX-MS.wire
//! ```
//!
//! Pictures and input never wait for the disk: what finds no room in the queue is dropped and counted, and the file
//! says so where it is missing. What people type and copy is replaced by asterisks before it reaches the disk, and so is
//! all that shells and files say, which may be the same again, unless the operator wants it ([`Text::Kept`]); pictures
//! of it are not, so a recording is as private as the screen was, and its files are for the agent's user only. What keys
//! say in a handshake goes the way of what people type.
//!
//! A recording begins before the connection does, so that it has the handshake, also one that fails. One in which the
//! device said nothing is not kept. Through an adb server we have no packets: there are streams only, and the head says so.
//!
//! A file under its final name is whole and on the disk; one that ends in `.part` is being written or was cut off. At
//! [`DISK_BYTES_MAX`] nothing more is recorded, and what there is stays: removing recordings is the operator's.
//! The layout is `adb::recording`. It does not know what pictures show, nor leases: a session is a connection.

#[cfg(test)]
pub(crate) mod conversation;
mod file;
mod fuzzing;
mod packets;
mod redact;
mod service;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use adb::Witness;
use adb::recording::{Carrier, Head, Passed, Record, StreamId, What};
use bytes::Bytes;
use scrcpy::ServerVersion;
use tokio::sync::watch;

use crate::config::{DeviceName, RecordConfig};
use file::{File, Writing};

#[doc(hidden)]
pub use fuzzing::fuzz;

/// Bytes that all recordings of an agent may take together, those of earlier runs included: 64 connections of
/// [`LEN_MAX`](adb::recording::LEN_MAX) each, which is as much as one of them may take (four and a half minutes of a device at
/// 8 Mbit/s). Reached: recordings end, new ones are begun when somebody has removed some, and the log says so.
pub const DISK_BYTES_MAX: u64 = 16 << 30;
/// Records of one session that wait for its thread: two seconds of a busy device, whose every picture and touch has packets
/// beside it. Reached: the record is lost.
const QUEUE_RECORDS_MAX: usize = 8192;
/// Bytes of these records: two seconds at 64 Mbit/s. Reached: the record is lost.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// What stands in place of a byte that may be a person's.
const BLANK: u8 = b'*';

/// What becomes of what people type and copy, and of what shells and files say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Text {
    /// Asterisks take its place, as many as there were bytes, and that of what keys said; keys that type become unknown
    /// ones.
    #[default]
    Redacted,
    /// It is kept.
    Kept,
}

/// The recorder of an agent; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    text: Text,
    /// Bytes of all recordings.
    used: Arc<AtomicU64>,
    /// Recordings that are not finished.
    unfinished: watch::Sender<usize>,
}

impl Recorder {
    /// Makes the folder if it is missing, and counts what is in it.
    pub(crate) fn open(config: &RecordConfig) -> io::Result<Self> {
        make_folder(&config.folder)?;
        Ok(Self(Arc::new(Shared {
            folder: config.folder.clone(),
            text: config.text,
            used: Arc::new(AtomicU64::new(used(&config.folder)?)),
            unfinished: watch::Sender::default(),
        })))
    }

    /// For one device.
    pub(crate) fn of(&self, device: &DeviceName, server: ServerVersion) -> Recording {
        Recording {
            recorder: self.clone(),
            device: device.clone(),
            server,
        }
    }

    /// Begins to record a connection; the recording ends when nobody holds the session, the connection or its streams any
    /// more. Writes the head, so it blocks as a disk does.
    pub(crate) fn session(
        &self,
        device: &DeviceName,
        server: ServerVersion,
        packets: Packets,
    ) -> io::Result<Arc<Session>> {
        let folder = self.0.folder.join(device.as_str());
        make_folder(&folder)?;
        if self.0.used.load(Ordering::Relaxed) >= DISK_BYTES_MAX {
            // Somebody may have removed some.
            self.0.used.store(used(&self.0.folder)?, Ordering::Relaxed);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let head = Head {
            text_kept: self.0.text == Text::Kept,
            packets: packets == Packets::Ours,
            started_us: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
            device: device.to_string(),
            server: server.to_string(),
        };
        let file = File::create(&folder, &head, Arc::clone(&self.0.used))?;
        let (queue, taken) = std::sync::mpsc::sync_channel(QUEUE_RECORDS_MAX);
        let waiting = Arc::new(Waiting::default());
        let writing = Writing::new(file, self.0.text, server, Arc::clone(&waiting));
        let unfinished = Unfinished::new(self);
        let thread = thread::Builder::new().name("recorder".to_owned());
        thread.spawn(move || {
            writing.run(&taken);
            drop(unfinished);
        })?;
        Ok(Arc::new(Session {
            started: Instant::now(),
            next: AtomicU32::new(1),
            queue,
            waiting,
        }))
    }

    /// Waits until all recordings are whole on the disk. One whose session is still held keeps it waiting.
    pub(crate) async fn finished(&self) {
        // The sender is held here, so there is no error to wait for.
        let _ = self.0.unfinished.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// Counts a recording for as long as it is written.
struct Unfinished(Recorder);

impl Unfinished {
    fn new(recorder: &Recorder) -> Self {
        recorder.0.unfinished.send_modify(|count| *count += 1);
        Self(recorder.clone())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.0.unfinished.send_modify(|count| *count -= 1);
    }
}

/// What it takes to record one device's connections.
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    recorder: Recorder,
    device: DeviceName,
    server: ServerVersion,
}

/// Whether there are adb packets to record on the way to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packets {
    /// We speak with the device.
    Ours,
    /// An adb server does.
    OfAServer,
}

impl Recording {
    /// Begins to record a connection that is about to be made; `None` when it cannot be, which the log tells.
    pub(crate) async fn begin(self, packets: Packets) -> Option<Arc<dyn Witness>> {
        let Self {
            recorder,
            device,
            server,
        } = self;
        let name = device.clone();
        let session = tokio::task::spawn_blocking(move || recorder.session(&device, server, packets));
        match session.await.unwrap_or_else(|lost| Err(io::Error::other(lost))) {
            Ok(session) => Some(session),
            Err(error) => {
                tracing::error!(device.name = %name, %error, "the device is not recorded");
                None
            }
        }
    }
}

/// One connection that is being recorded.
#[derive(Debug)]
pub(crate) struct Session {
    started: Instant,
    /// The number of the next stream.
    next: AtomicU32,
    queue: SyncSender<Record>,
    waiting: Arc<Waiting>,
}

/// What the session and its thread both count.
#[derive(Debug, Default)]
struct Waiting {
    /// Payload bytes in the queue.
    bytes: AtomicUsize,
    lost_records: AtomicU64,
    lost_bytes: AtomicU64,
}

impl Session {
    fn note(&self, what: What) {
        let length = payload(&what);
        let at_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let waiting = &self.waiting;
        if waiting.bytes.fetch_add(length, Ordering::Relaxed) + length <= QUEUE_BYTES_MAX {
            match self.queue.try_send(Record { at_us, what }) {
                Ok(()) => return,
                // The recording ended before its session: there was no more room on the disk.
                Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(_)) => {}
            }
        }
        waiting.bytes.fetch_sub(length, Ordering::Relaxed);
        waiting.lost_bytes.fetch_add(length as u64, Ordering::Relaxed);
        // After this the thread may know of it; the next record of the same stream comes later than that.
        waiting.lost_records.fetch_add(1, Ordering::Release);
    }
}

impl Waiting {
    /// What was lost since the last call.
    fn lost(&self) -> Option<What> {
        let records = self.lost_records.swap(0, Ordering::Acquire);
        let bytes = self.lost_bytes.swap(0, Ordering::Relaxed);
        (records > 0).then_some(What::Lost { records, bytes })
    }
}

impl Witness for Session {
    fn packet(&self, packet: Passed) {
        self.note(What::Packet(packet));
    }

    fn opened(&self, service: &str, carrier: Option<Carrier>) -> StreamId {
        let stream = StreamId(self.next.fetch_add(1, Ordering::Relaxed));
        self.note(What::Opened(stream, service.to_owned()));
        if let Some(carrier) = carrier {
            self.note(What::Carried(stream, carrier));
        }
        stream
    }

    fn received(&self, stream: StreamId, bytes: &Bytes) {
        self.note(What::Received(stream, bytes.clone()));
    }

    fn sent(&self, stream: StreamId, bytes: &[u8]) {
        self.note(What::Sent(stream, Bytes::copy_from_slice(bytes)));
    }

    fn closed(&self, stream: StreamId) {
        self.note(What::Closed(stream));
    }
}

fn payload(what: &What) -> usize {
    match what {
        What::Opened(_, service) => service.len(),
        What::Received(_, bytes) | What::Sent(_, bytes) => bytes.len(),
        What::Packet(packet) => packet.said.len(),
        What::Closed(_) | What::Carried(..) | What::Lost { .. } | What::Ended(_) => 0,
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Bytes of the recordings of all devices.
fn used(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for device in fs::read_dir(folder)? {
        let device = device?;
        if device.file_type()?.is_dir() {
            for file in fs::read_dir(device.path())? {
                bytes += file?.metadata()?.len();
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
