//! A recording of the wire as a film: the pictures that a device sent to its host, with the times at which they came.
//!
//! ```text
//!   records ─► streams of localabstract:scrcpy… ─► the first of a server that received anything ─► Demuxer
//!                                                                                                   │ with each record's time
//!   Size ► a session begins · Config ► in front of the next picture · Frame ► Picture and Cue  ◄────┘
//!
//!   for each capture:  a picture is due when as much time has passed as in the recording; after the last one: still
//! ```
//!
//! Several runs of a server in one recording follow each other as they did. Where records are missing or bytes are no
//! video any more (a fault of the device that was recorded) that run's film ends. Pictures keep their bytes, so that they
//! show the same; their time stamps are those of the play. Layout: `adb::recording`; versions: `scrcpy::Demuxer`.

use std::collections::HashMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use adb::recording::{self, Record, StreamId, What};
use bytes::Bytes;
use scrcpy::demux::Start;
use scrcpy::{Demuxer, Event, Framing, ServerVersion, VideoCodec};

use super::{Film, FilmError, Picture, Reel, SESSION_PACKETS, size_of};
use crate::android::Size;
use crate::display::{Attach, Packet};
use crate::screen::lens::Look;

/// What the sockets of a server are called, up to its number.
const SCRCPY: &str = "localabstract:scrcpy";
/// How often a film that waits looks whether its reader wants a reset, is gone, or has room again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// When a picture is due, and what it is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cue {
    /// Since the first picture.
    at: Duration,
    size: Size,
    /// It is the first of an encoding session.
    begins: bool,
}

/// Reads a recording.
pub(super) fn parse(file: Bytes) -> Result<Film, FilmError> {
    let (head, records) = recording::parse(file)?;
    let version: ServerVersion = head.server.parse()?;
    let mut cutting = Cutting::new(version.framing());
    for record in records {
        cutting.take(record?);
    }
    cutting.film()
}

/// One server's video socket.
struct Tape {
    demuxer: Demuxer,
    size: Option<Size>,
    config: Option<Bytes>,
    begins: bool,
}

/// A film in the making.
struct Cutting {
    framing: Framing,
    /// Open sockets of servers, by what they are called.
    sockets: HashMap<StreamId, String>,
    /// The servers' video sockets.
    tapes: HashMap<String, (StreamId, Option<Tape>)>,
    pictures: Vec<Picture>,
    cues: Vec<Cue>,
}

impl Cutting {
    fn new(framing: Framing) -> Self {
        Self {
            framing,
            sockets: HashMap::new(),
            tapes: HashMap::new(),
            pictures: Vec::new(),
            cues: Vec::new(),
        }
    }

    fn take(&mut self, record: Record) {
        match record.what {
            What::Opened(stream, service) if service.starts_with(SCRCPY) => {
                self.sockets.insert(stream, service);
            }
            What::Closed(stream) => {
                self.sockets.remove(&stream);
            }
            What::Lost { records, bytes } => {
                tracing::warn!(
                    records,
                    bytes,
                    "the recording has a gap; its servers' films end there"
                );
                for (_, tape) in self.tapes.values_mut() {
                    *tape = None;
                }
            }
            What::Received(stream, bytes) => {
                if let Some(service) = self.sockets.get(&stream) {
                    let framing = self.framing;
                    let (video, tape) = self
                        .tapes
                        .entry(service.clone())
                        .or_insert_with(|| (stream, Some(Tape::new(framing))));
                    if *video == stream
                        && let Some(running) = tape
                        && !running.take(framing, bytes, record.at_us, &mut self.pictures, &mut self.cues)
                    {
                        *tape = None;
                    }
                }
            }
            What::Opened(..) | What::Sent(..) | What::Packet(_) | What::Carried(..) | What::Ended(_) => {}
        }
    }

    /// From the first key frame on.
    fn film(mut self) -> Result<Film, FilmError> {
        let begins = |picture: &Picture| picture.key && picture.config.is_some();
        let first = self.pictures.iter().position(begins).ok_or(FilmError::NoKey)?;
        self.pictures.drain(..first);
        self.cues.drain(..first);
        let start = self.cues[0].at;
        let mut last = Duration::ZERO;
        for cue in &mut self.cues {
            last = last.max(cue.at.saturating_sub(start));
            cue.at = last;
        }
        Ok(Film {
            size: self.cues[0].size,
            pictures: self.pictures.into(),
            cues: Some(self.cues.into()),
        })
    }
}

impl Tape {
    fn new(framing: Framing) -> Self {
        let start = Start {
            framing,
            dummy_byte: true,
            device_name: true,
            stream_header: true,
        };
        Self {
            demuxer: Demuxer::new(start),
            size: None,
            config: None,
            begins: false,
        }
    }

    /// Cuts what came; `false` when it cannot be followed any more.
    fn take(
        &mut self,
        framing: Framing,
        bytes: Bytes,
        at_us: u64,
        pictures: &mut Vec<Picture>,
        cues: &mut Vec<Cue>,
    ) -> bool {
        self.demuxer.push(bytes);
        loop {
            match self.demuxer.poll() {
                Ok(Some(Event::Codec(codec))) if codec != VideoCodec::H264 => return false,
                Ok(Some(Event::DeviceName(_) | Event::Codec(_))) => {}
                Ok(Some(Event::Size(session))) => {
                    let (width, height) = (session.width, session.height);
                    self.size = Some(Size { width, height });
                    self.begins = true;
                }
                Ok(Some(Event::Config(config))) => {
                    self.config = Some(config);
                    self.begins = true;
                }
                Ok(Some(Event::Frame { key, data, .. })) => {
                    let picture = Picture {
                        config: self.config.take(),
                        unit: data,
                        key,
                    };
                    // Before 4.0 later sizes stand in the parameter sets only.
                    if framing == Framing::Legacy && key && picture.config.is_some() {
                        self.size = size_of(&picture).ok().or(self.size);
                    }
                    let Some(size) = self.size else { return false };
                    cues.push(Cue {
                        at: Duration::from_micros(at_us),
                        size,
                        begins: std::mem::take(&mut self.begins),
                    });
                    pictures.push(picture);
                }
                Ok(None) => return true,
                Err(error) => {
                    tracing::warn!(%error, "a film of the recording ends in bytes that are no video");
                    return false;
                }
            }
        }
    }
}

/// Plays a recording to everyone who attaches, each from its beginning.
pub(super) fn show(film: &Film, cues: &[Cue], attached: &mpsc::Receiver<Attach>) {
    let mut players: Vec<Player> = Vec::new();
    loop {
        let now = Instant::now();
        players.retain_mut(|player| player.play(film, cues, now));
        let due = players.iter().map(|player| player.wait(cues, now)).min();
        let came = match due {
            None => attached.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(wait) => attached.recv_timeout(wait),
        };
        match (came, due) {
            (Ok(attach), _) => players.push(Player::new(attach)),
            (Err(RecvTimeoutError::Timeout), _) => {}
            (Err(RecvTimeoutError::Disconnected), Some(wait)) => thread::sleep(wait),
            (Err(RecvTimeoutError::Disconnected), None) => return,
        }
    }
}

/// One capture of the recording.
struct Player {
    reel: Reel,
    /// When its time 0 was.
    began: Instant,
    next: usize,
    /// Whether a session has to begin although the recording's goes on.
    fresh: bool,
}

impl Player {
    fn new(attach: Attach) -> Self {
        Self {
            reel: Reel::new(attach),
            began: Instant::now(),
            next: 0,
            fresh: true,
        }
    }

    /// Hands over what is due while there is room; `false` when nobody reads any more.
    fn play(&mut self, film: &Film, cues: &[Cue], now: Instant) -> bool {
        if self.reel.packets.is_closed() {
            return false;
        }
        if self.reel.reset_wanted() && !self.fresh {
            self.next = film.next_key(self.next);
            self.began = now - cues[self.next].at;
            self.fresh = true;
        }
        while let Some(cue) = cues.get(self.next)
            && self.began + cue.at <= now
            && self.reel.packets.capacity() >= SESSION_PACKETS
        {
            let picture = &film.pictures[self.next];
            let begins = std::mem::take(&mut self.fresh) || cue.begins;
            if begins {
                self.reel.shown.store(Look::stretched(cue.size, cue.size));
                self.reel.send(Packet::Session(cue.size));
            }
            let config = if begins {
                film.config(self.next)
            } else {
                picture.config.clone()
            };
            self.reel.send_picture(config, picture);
            self.next += 1;
        }
        true
    }

    /// How long nothing is to be done at most.
    fn wait(&self, cues: &[Cue], now: Instant) -> Duration {
        let due = cues.get(self.next).map(|cue| self.began + cue.at);
        match due {
            Some(due) if due > now => (due - now).min(LOOK_AGAIN),
            // It is late because its reader is.
            _ => LOOK_AGAIN,
        }
    }
}
