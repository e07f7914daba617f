//! A film in place of the screen, at next to no CPU: a plain .h264 file, cut into pictures and shown in a loop, or a
//! recording of the wire (recorded.rs), played once with its own times.
//!
//! ```text
//!   file ── NAL units ── pictures: [SPS PPS] [AUD SEI …] slice slice …     a picture ends where the next one begins
//!
//!   for each capture:  at every tick the next picture
//!                      first, and after a reset: Session, Config, and on from the next IDR picture
//! ```
//!
//! Nothing is decoded but the first picture, for its size. Touches land on the device behind the film and change
//! nothing of it. A reader that is behind holds its film up instead of missing pictures, which a decoder could not
//! do without. ITU-T H.264, Annex B and 7.4.1.2.3 (where a picture begins).

mod recorded;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use adb::recording::RecordingError;
use bytes::{Bytes, BytesMut};
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;
use scrcpy::version::VersionError;
use thiserror::Error;

use crate::android::Size;
use crate::clock;
use crate::display::{Attach, Packet, Shown, Vsync};
use crate::screen::lens::Look;

use recorded::Cue;

/// Longest film in bytes: it is held in memory.
pub const FILM_LEN_MAX: usize = 1 << 30;

/// Packets of a picture that begins a session.
const SESSION_PACKETS: usize = 3;

/// A film, ready to be shown.
#[derive(Debug, Clone)]
pub struct Film {
    size: Size,
    pictures: Arc<[Picture]>,
    /// When each is due, for a recording; else they come at the display's ticks, for ever.
    cues: Option<Arc<[Cue]>>,
}

/// One access unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The parameter sets in front of it.
    pub config: Option<Bytes>,
    /// Everything else, start codes included.
    pub unit: Bytes,
    /// Whether it is an IDR picture.
    pub key: bool,
}

/// Why a file is no film.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FilmError {
    /// The file cannot be read.
    #[error("the film cannot be read")]
    Io(#[from] std::io::Error),
    /// Above [`FILM_LEN_MAX`].
    #[error("the film is longer than {FILM_LEN_MAX} bytes")]
    TooLong,
    /// A recording that cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// A recording of a server that this device does not know.
    #[error("the recording's scrcpy server: {0}")]
    Version(#[from] VersionError),
    /// No IDR picture with parameter sets.
    #[error("the film has no key frame with parameter sets")]
    NoKey,
    /// The first picture does not decode.
    #[error("the film's first picture does not decode")]
    Decode(#[from] openh264::Error),
    /// The first picture decodes to nothing, or to a size that no video has.
    #[error("the film's first picture has no size")]
    NoSize,
}

impl Film {
    /// As [`parse`](Self::parse), of the file at `path`.
    ///
    /// # Errors
    /// [`FilmError`].
    pub fn open(path: &Path) -> Result<Self, FilmError> {
        Self::parse(&std::fs::read(path)?.into())
    }

    /// Reads a whole file. What comes before its first key frame is left out.
    ///
    /// # Errors
    /// [`FilmError`].
    pub fn parse(file: &Bytes) -> Result<Self, FilmError> {
        if file.len() > FILM_LEN_MAX {
            return Err(FilmError::TooLong);
        }
        if adb::recording::is_recording(file) {
            return recorded::parse(file.clone());
        }
        let begins = |picture: &Picture| picture.key && picture.config.is_some();
        let pictures: Arc<[Picture]> = pictures(file).skip_while(|picture| !begins(picture)).collect();
        let first = pictures.first().ok_or(FilmError::NoKey)?;
        let size = size_of(first)?;
        let cues = None;
        Ok(Self { size, pictures, cues })
    }

    /// Pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// All pictures, a key frame first.
    pub fn pictures(&self) -> &[Picture] {
        &self.pictures
    }

    /// The first key frame at or after `from`, from the beginning again if there is none.
    fn next_key(&self, from: usize) -> usize {
        let later = self.pictures.iter().skip(from).position(|picture| picture.key);
        later.map_or(0, |distance| from + distance)
    }

    /// Parameter sets for the picture at `index`: the last before it.
    fn config(&self, index: usize) -> Option<Bytes> {
        self.pictures[..=index]
            .iter()
            .rev()
            .find_map(|picture| picture.config.clone())
    }
}

/// For fuzzing: tells the pictures of a file of H.264 apart.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let file = Bytes::copy_from_slice(bytes);
    let shown: usize = pictures(&file).map(|picture| picture.unit.len()).sum();
    assert!(shown <= file.len(), "pictures are pieces of the file");
}

/// Shows a film to everyone who attaches, until the last sender of `attached` is gone.
pub(crate) fn show(film: &Film, fps: u32, attached: &mpsc::Receiver<Attach>) {
    if let Some(cues) = &film.cues {
        return recorded::show(film, cues, attached);
    }
    let vsync = Vsync::new(Instant::now(), fps);
    let mut reels: Vec<Reel> = Vec::new();
    loop {
        if reels.is_empty() {
            match attached.recv() {
                Ok(attach) => reels.push(Reel::new(attach)),
                Err(mpsc::RecvError) => return,
            }
        }
        reels.extend(attached.try_iter().map(Reel::new));
        let now = Instant::now();
        thread::sleep(vsync.next(now).saturating_duration_since(now));
        reels.retain_mut(|reel| reel.tick(film));
    }
}

/// One capture of the film.
struct Reel {
    packets: tokio::sync::mpsc::Sender<Packet>,
    shown: Shown,
    resets_wanted: Arc<AtomicU32>,
    resets_done: u32,
    at: At,
}

#[derive(Clone, Copy)]
enum At {
    Fresh,
    /// The picture that comes next.
    Picture(usize),
}

impl Reel {
    fn new(attach: Attach) -> Self {
        let Attach {
            packets,
            shown,
            resets_wanted,
            ..
        } = attach;
        Self {
            packets,
            shown,
            resets_wanted,
            resets_done: 0,
            at: At::Fresh,
        }
    }

    /// Hands over the next picture if there is room; `false` when nobody reads any more.
    fn tick(&mut self, film: &Film) -> bool {
        if self.packets.is_closed() {
            return false;
        }
        if self.packets.capacity() < SESSION_PACKETS {
            return true;
        }
        let begins = self.reset_wanted();
        let (index, begins) = match self.at {
            At::Fresh => (0, true),
            At::Picture(index) if begins => (film.next_key(index), true),
            At::Picture(index) => (index, false),
        };
        let picture = &film.pictures[index];
        if begins {
            self.shown.store(Look::stretched(film.size, film.size));
            self.send(Packet::Session(film.size));
        }
        let config = if begins {
            film.config(index)
        } else {
            picture.config.clone()
        };
        self.send_picture(config, picture);
        self.at = At::Picture((index + 1) % film.pictures.len());
        true
    }

    /// Whether a reset was asked for since the last call.
    fn reset_wanted(&mut self) -> bool {
        let wanted = self.resets_wanted.load(Ordering::Acquire);
        wanted != std::mem::replace(&mut self.resets_done, wanted)
    }

    fn send_picture(&self, config: Option<Bytes>, picture: &Picture) {
        if let Some(config) = config {
            self.send(Packet::Config(config));
        }
        self.send(Packet::Frame {
            pts: clock::monotonic(),
            key: picture.key,
            data: picture.unit.clone(),
        });
    }

    /// The room was asked for before; a reader that is gone is noticed at the next tick.
    fn send(&self, packet: Packet) {
        let _ = self.packets.try_send(packet);
    }
}

/// Cuts a stream into pictures; one without a slice is left out.
fn pictures(file: &Bytes) -> impl Iterator<Item = Picture> {
    let mut nals = nals(file).peekable();
    std::iter::from_fn(move || {
        let mut picture = Growing::default();
        while let Some(nal) = nals.next_if(|nal| !(picture.has_slice && begins_picture(nal.body))) {
            picture.add(&nal);
        }
        (picture.has_slice).then(|| picture.end())
    })
}

#[derive(Default)]
struct Growing {
    config: BytesMut,
    unit: BytesMut,
    has_slice: bool,
    key: bool,
}

impl Growing {
    fn add(&mut self, nal: &Nal<'_>) {
        let kind = kind(nal.body);
        match kind {
            SPS | PPS => self.config.extend_from_slice(nal.whole),
            _ => self.unit.extend_from_slice(nal.whole),
        }
        self.has_slice |= matches!(kind, SLICE..=IDR);
        self.key |= kind == IDR;
    }

    fn end(self) -> Picture {
        Picture {
            config: (!self.config.is_empty()).then(|| self.config.freeze()),
            unit: self.unit.freeze(),
            key: self.key,
        }
    }
}

const SLICE: u8 = 1;
const IDR: u8 = 5;
const SEI: u8 = 6;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;

/// Whether a NAL unit after a slice belongs to the next picture. Of slices only the first of a picture begins with
/// macroblock 0, which is a single one bit.
fn begins_picture(nal: &[u8]) -> bool {
    match kind(nal) {
        SEI | SPS | PPS | DELIMITER | 14..=18 => true,
        SLICE | 2 | IDR => nal.get(1).is_some_and(|&byte| byte & 0x80 != 0),
        _ => false,
    }
}

fn kind(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |header| header & 0x1f)
}

/// A NAL unit with and without its start code.
struct Nal<'a> {
    whole: &'a [u8],
    body: &'a [u8],
}

fn nals(data: &[u8]) -> impl Iterator<Item = Nal<'_>> {
    let mut at = start_code(data, 0);
    std::iter::from_fn(move || {
        let (begin, body) = at?;
        at = start_code(data, body);
        let end = at.map_or(data.len(), |(next, _)| next);
        Some(Nal {
            whole: &data[begin..end],
            body: &data[body..end],
        })
    })
}

/// The next start code at or after `from`, of four bytes if a zero stands in front: where it begins and ends.
fn start_code(data: &[u8], from: usize) -> Option<(usize, usize)> {
    let found = from
        + data
            .get(from..)?
            .windows(3)
            .position(|three| three == [0, 0, 1])?;
    let begin = if found > from && data[found - 1] == 0 {
        found - 1
    } else {
        found
    };
    Some((begin, found + 3))
}

fn size_of(picture: &Picture) -> Result<Size, FilmError> {
    let mut unit = picture.config.as_deref().unwrap_or_default().to_vec();
    unit.extend_from_slice(&picture.unit);
    let mut decoder = Decoder::new()?;
    let mut dimensions = decoder.decode(&unit)?.map(|yuv| yuv.dimensions());
    if dimensions.is_none() {
        dimensions = decoder.flush_remaining()?.first().map(YUVSource::dimensions);
    }
    let (width, height) = dimensions.ok_or(FilmError::NoSize)?;
    match (u16::try_from(width), u16::try_from(height)) {
        (Ok(width), Ok(height)) => Ok(Size { width, height }),
        _ => Err(FilmError::NoSize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_takes_its_later_slices_and_not_the_next_delimiter() {
        let stream = [
            &[0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2][..],
            &[0, 0, 0, 1, 0x65, 0x88, 7, 0, 0, 1, 0x65, 0x40, 8],
            &[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41, 0x9a, 9],
            &[0, 0, 1, 0x41, 0x9a, 10],
        ]
        .concat();
        let pictures: Vec<Picture> = pictures(&Bytes::from(stream)).collect();
        let units: Vec<(bool, usize)> = pictures
            .iter()
            .map(|picture| (picture.key, picture.unit.len()))
            .collect();
        assert_eq!(units, [(true, 6 + 7 + 6), (false, 6 + 6), (false, 6)]);
        assert_eq!(
            pictures[0].config.as_deref(),
            Some(&[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2][..])
        );
        assert_eq!(pictures[1].config, None);
    }

    #[test]
    fn what_is_no_film_is_refused() {
        for bytes in [&b""[..], b"hello", &[0, 0, 1], &[0, 0, 1, 0x41, 0x9a, 1]] {
            assert!(matches!(
                Film::parse(&Bytes::copy_from_slice(bytes)),
                Err(FilmError::NoKey)
            ));
        }
    }
}
