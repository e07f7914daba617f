//! The pictures of scrcpy's video: cut out of a wire or out of a recording of one.
//!
//! ```text
//!   00 · name[64] · "h264" · packets…         dummy byte, device's name, codec; anything else is no video
//!   packet   80…      · width u32 · height u32        an encoding session
//!            40…      · length u32 · SPS and PPS      in front of the next picture
//!            20… or 0 · length u32 · picture          20: a key frame                    all big-endian
//! ```
//!
//! This is the video of 4.x, read without the crate that the product reads and writes it with, so that it can disagree
//! with that; a recording's records are told apart by the product's own reader. A stream that cannot be read is none of
//! its business: most are no video.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use adb::recording::{self, What};

/// What the first socket of a server begins with: the dummy byte and the device's name.
const PREAMBLE: usize = 1 + 64;
const VIDEO_HEADER: usize = 12;

/// One picture as it was sent.
#[derive(Clone)]
pub(crate) struct Shot {
    /// When the last of it came.
    pub(crate) at: Duration,
    /// Width and height of the encoding session that it is part of.
    pub(crate) size: (u32, u32),
    pub(crate) key: bool,
    /// The parameter sets that came right in front of it; empty if there were none.
    pub(crate) sets: Vec<u8>,
    pub(crate) unit: Vec<u8>,
}

impl Shot {
    /// Whether they are the same picture, at any time.
    pub(crate) fn shows(&self, other: &Self) -> bool {
        (self.size, self.key) == (other.size, other.key) && self.sets == other.sets && self.unit == other.unit
    }
}

impl fmt::Debug for Shot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at,
            size,
            key,
            sets,
            unit,
        } = self;
        write!(f, "{at:?} {size:?} key={key} {}+{} bytes", sets.len(), unit.len())
    }
}

/// The pictures of a recording, with its own times.
pub(crate) fn recorded(file: &Path) -> Vec<Shot> {
    let (_, records) = recording::parse(std::fs::read(file).unwrap().into()).unwrap();
    let mut streams: HashMap<_, Video> = HashMap::new();
    let mut shots = Vec::new();
    for record in records.map(Result::unwrap) {
        if let What::Received(stream, bytes) = record.what {
            let video = streams.entry(stream).or_default();
            video.read(Duration::from_micros(record.at_us), &bytes, &mut shots);
        }
    }
    shots
}

/// A stream that may be a video socket.
#[derive(Default)]
pub(crate) struct Video {
    bytes: Vec<u8>,
    begun: bool,
    size: (u32, u32),
    sets: Vec<u8>,
}

impl Video {
    /// Takes what came at this time, and tells the pictures that end there.
    pub(crate) fn read(&mut self, at: Duration, more: &[u8], shots: &mut Vec<Shot>) {
        self.bytes.extend_from_slice(more);
        if !self.begun {
            let begins =
                self.bytes.first() == Some(&0) && self.bytes.get(PREAMBLE..PREAMBLE + 4) == Some(b"h264");
            if !begins {
                return;
            }
            self.begun = true;
            self.bytes.drain(..PREAMBLE + 4);
        }
        while let Some(header) = self.bytes.get(..VIDEO_HEADER) {
            let (flags, middle) = (header[0], word(&header[4..], u32::from_be_bytes));
            let last = word(&header[8..], u32::from_be_bytes);
            if flags & 0x80 != 0 {
                self.size = (middle, last);
                self.bytes.drain(..VIDEO_HEADER);
                continue;
            }
            let end = VIDEO_HEADER + last as usize;
            let Some(unit) = self.bytes.get(VIDEO_HEADER..end).map(<[u8]>::to_vec) else {
                return;
            };
            self.bytes.drain(..end);
            if flags & 0x40 != 0 {
                self.sets = unit;
            } else {
                shots.push(Shot {
                    at,
                    size: self.size,
                    key: flags & 0x20 != 0,
                    sets: std::mem::take(&mut self.sets),
                    unit,
                });
            }
        }
    }
}

/// Four bytes as a number.
pub(crate) fn word(bytes: &[u8], read: fn([u8; 4]) -> u32) -> u32 {
    read([bytes[0], bytes[1], bytes[2], bytes[3]])
}
