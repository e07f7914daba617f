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
    /// Why it is not filmed, in words for its operator; none while it is, or while nothing went wrong.
    pub(crate) trouble: watch::Sender<Option<String>>,
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
            trouble: watch::Sender::default(),
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
    pub(crate) sizes: Sizes,
}

/// The sizes of a stream without session packets: what was asked of the encoder, which its header tells once and input
/// has to name, and what the encoder made of it, which every parameter set tells. Some make multiples of what they like.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    asked: Option<PictureSize>,
    /// The first parameter sets' after the header.
    encoded: Option<PictureSize>,
}

impl Sizes {
    /// What was asked for when the encoder makes this.
    fn asked_for(&mut self, encoded: PictureSize) -> PictureSize {
        let turned = |PictureSize { width, height }| PictureSize {
            width: height,
            height: width,
        };
        let Some(asked) = self.asked else { return encoded };
        let first = *self.encoded.get_or_insert(encoded);
        match encoded {
            _ if encoded == first => asked,
            _ if encoded == turned(first) => turned(asked),
            // Another display: nobody told what was asked for.
            _ => encoded,
        }
    }
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
    fn pass_on(&mut self, event: Event, received: Instant) {
        match event {
            Event::DeviceName(_) | Event::Codec(_) => {}
            Event::Size(session) => {
                let size = PictureSize {
                    width: session.width,
                    height: session.height,
                };
                self.sizes.asked = Some(size);
                self.size(size);
            }
            Event::Config(sets) => {
                if self.framing == Framing::Legacy
                    && let Some(encoded) = size_of(&sets)
                {
                    let asked = self.sizes.asked_for(encoded);
                    self.size(asked);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u16, height: u16) -> PictureSize {
        PictureSize { width, height }
    }

    #[test]
    fn an_encoder_that_rounds_is_asked_for_what_the_header_told_in_either_rotation() {
        let mut sizes = Sizes {
            asked: Some(size(360, 640)),
            encoded: None,
        };
        assert_eq!(sizes.asked_for(size(352, 640)), size(360, 640));
        assert_eq!(sizes.asked_for(size(640, 352)), size(640, 360));
        assert_eq!(sizes.asked_for(size(352, 640)), size(360, 640));
        assert_eq!(
            sizes.asked_for(size(800, 600)),
            size(800, 600),
            "a display that nobody told of"
        );
    }

    #[test]
    fn an_encoder_that_obeys_tells_itself_what_it_was_asked_for() {
        let mut sizes = Sizes::default();
        assert_eq!(sizes.asked_for(size(720, 1_280)), size(720, 1_280));
        sizes.asked = Some(size(720, 1_280));
        for told in [size(720, 1_280), size(1_280, 720), size(600, 600)] {
            assert_eq!(sizes.asked_for(told), told);
        }
    }
}
