//! The reader of a capture's video socket: from chunks of bytes to the gateway, without a stop in between.
//!
//! ```text
//!   adb stream ── chunk ──► received = now ──► Demuxer ──┬─ Size   ─► Seen.frame, SourceEvent::Picture
//!                                                        ├─ Config ─► Seen.progress, SourceEvent::Config
//!                                                        └─ Frame  ─► SourceEvent::Unit
//! ```
//!
//! Nothing here waits for anybody but the socket: the gateway takes everything at once (newest wins), and
//! [`Seen`] keeps only the newest. The size reaches [`Seen`] before the gateway, so that no viewer can aim at
//! a picture that the hand does not know yet. Before 4.0 the size is told once, and every later one is read
//! from the parameter sets.
//!
//! It does not know adb's handshake, who watches, or what to do after the end.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use adb::{End, Reader};
use bytes::Bytes;
use gateway::access_unit::{NalKind, nals};
use gateway::sps::Sps;
use gateway::{AccessUnit, SourceEvent, SourceHandle};
use protocol::Pts;
use scrcpy::demux::DemuxError;
use scrcpy::handshake::Scid;
use scrcpy::{Demuxer, Event, Framing, VideoCodec};
use tokio::sync::watch;

use crate::fingers::PictureSize;
use crate::hand::Frame;

/// What has been seen of a device, over all its captures.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) frame: watch::Sender<Frame>,
    pub(crate) progress: watch::Sender<Progress>,
    /// The number of the newest server: one whose link was lost may run on, and is ended before the next begins.
    pub(crate) server: Mutex<Option<Scid>>,
}

/// How often the encoder has started, and which of its starts has shown a key frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// Parameter sets so far; they come once per start of the encoder.
    pub(crate) starts: u64,
    /// `starts` at the newest key frame.
    pub(crate) key_starts: u64,
}

/// Why the film ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilmEnd {
    /// The server closed the socket.
    #[error("the video socket closed")]
    Closed,
    /// The stream broke its rules.
    #[error("the video stream cannot be followed: {0}")]
    Demux(#[from] DemuxError),
    /// The device encodes something else than it was asked for.
    #[error("the device sends {} and not h264", .0.name())]
    Codec(VideoCodec),
    /// The connection to the device ended.
    #[error(transparent)]
    Connection(#[from] End),
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self {
            frame: watch::Sender::default(),
            progress: watch::Sender::default(),
            server: Mutex::default(),
        }
    }

    fn size(&self, size: PictureSize) {
        self.frame.send_if_modified(|frame| {
            let changed = frame.size != Some(size);
            if changed {
                *frame = Frame {
                    size: Some(size),
                    changes: frame.changes + 1,
                };
            }
            changed
        });
    }

    fn key_frame(&self) {
        self.progress.send_if_modified(|progress| {
            let first = progress.key_starts != progress.starts;
            progress.key_starts = progress.starts;
            first
        });
    }
}

/// One video socket with what is made of it.
pub(crate) struct Film {
    pub(crate) framing: Framing,
    pub(crate) demuxer: Demuxer,
    pub(crate) source: SourceHandle,
    pub(crate) seen: Arc<Seen>,
}

/// Reads until the end.
pub(crate) async fn run(mut reader: Reader, mut film: Film) -> FilmEnd {
    loop {
        let chunk = match reader.read_chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return FilmEnd::Closed,
            Err(end) => return end.into(),
        };
        let received = Instant::now();
        film.demuxer.push(chunk);
        loop {
            match film.demuxer.poll() {
                Ok(Some(Event::Codec(codec))) if codec != VideoCodec::H264 => return FilmEnd::Codec(codec),
                Ok(Some(event)) => film.pass_on(event, received),
                Ok(None) => break,
                Err(error) => return error.into(),
            }
        }
    }
}

impl Film {
    fn pass_on(&self, event: Event, received: Instant) {
        match event {
            Event::DeviceName(_) | Event::Codec(_) => {}
            Event::Size(session) => self.size(PictureSize {
                width: session.width,
                height: session.height,
            }),
            Event::Config(sets) => {
                if self.framing == Framing::Legacy
                    && let Some(size) = size_of(&sets)
                {
                    self.size(size);
                }
                self.seen.progress.send_modify(|progress| progress.starts += 1);
                self.source.push(SourceEvent::Config(sets));
            }
            Event::Frame { pts, key, data } => {
                if key {
                    self.seen.key_frame();
                }
                let pts = Pts(pts.0);
                self.source.push(SourceEvent::Unit(AccessUnit {
                    pts,
                    key,
                    data,
                    received,
                }));
            }
        }
    }

    fn size(&self, size: PictureSize) {
        self.seen.size(size);
        let PictureSize { width, height } = size;
        self.source.push(SourceEvent::Picture { width, height });
    }
}

/// The size that the first SPS tells, after cropping; `None` if there is none that can be read.
fn size_of(sets: &Bytes) -> Option<PictureSize> {
    let sps = nals(sets).find(|nal| {
        nal.first()
            .is_some_and(|header| NalKind::of(*header) == NalKind::Sps)
    })?;
    let sps = Sps::parse(sps).ok()?;
    Some(PictureSize {
        width: sps.width,
        height: sps.height,
    })
}
