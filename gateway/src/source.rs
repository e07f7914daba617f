//! One device's stream: from access units to frames that every viewer shares.
//!
//! ```text
//! Config, Unit ─► NAL units ─► parameter sets (SPS rewritten) ─┐
//!                     └──────► slices ──────────────────────────┴─► Frame (packetised once) ─► viewers
//!                                                                      └─► group of pictures, for joins
//! ```
//!
//! The picture's generation rises whenever its size changes: by a session packet, or, from devices that
//! send none, by the size in the SPS. The group since the last key frame is kept while it is small
//! ([`GOP_FRAMES_MAX`], [`GOP_BYTES_MAX`]), so that a still screen, which sends nothing for minutes,
//! can be joined at once. It knows H.264 and time, not peers, timestamps of RTP or channels.

use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use protocol::{Generation, Pts};

use crate::access_unit::{NalKind, nals};
use crate::clock::Offset;
use crate::event::AccessUnit;
use crate::limits::{GOP_BYTES_MAX, GOP_FRAMES_MAX, PARAMETER_SET_BYTES_MAX, PARAMETER_SETS_MAX};
use crate::packetize::packetize;
use crate::sps;

/// The stream of one device.
#[derive(Debug, Default)]
pub struct Stream {
    picture: Option<Picture>,
    sizes: Sizes,
    parameter_sets: Vec<Bytes>,
    gop: Gop,
    clock: Offset,
    attached: bool,
}

/// The size that touches refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Rises with every change of the size.
    pub generation: Generation,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
}

/// One coded picture, ready to be sent.
#[derive(Debug)]
pub struct Frame {
    /// Whether decoding can start here.
    pub key: bool,
    /// When the device captured it.
    pub pts: Pts,
    /// The same on the gateway's clock, microseconds since the engine started.
    pub capture_us: u64,
    /// When its last byte was read from the device.
    pub received: Instant,
    /// The picture's size.
    pub picture: Option<Picture>,
    /// RTP payloads, in order.
    pub payloads: Vec<Bytes>,
    bytes: usize,
}

#[cfg(test)]
impl Frame {
    pub(crate) fn for_test(payloads: Vec<Bytes>) -> Self {
        let bytes = payloads.iter().map(Bytes::len).sum();
        let (pts, received) = (Pts(0), Instant::now());
        Self {
            key: true,
            pts,
            capture_us: 0,
            received,
            picture: None,
            payloads,
            bytes,
        }
    }
}

/// Who says how large the picture is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Sizes {
    #[default]
    ParameterSets,
    SessionPackets,
}

/// The pictures since the last key frame.
#[derive(Debug, Default)]
enum Gop {
    /// There was no key frame yet: nothing can be decoded.
    #[default]
    Headless,
    /// Small enough to be sent to somebody who joins.
    Kept { frames: Vec<Rc<Frame>>, bytes: usize },
    /// Grown too large.
    Overgrown,
}

impl Stream {
    /// A new capture begins: what was cached belongs to an encoder that is gone.
    pub fn start(&mut self) {
        let picture = self.picture;
        *self = Self {
            picture,
            attached: true,
            ..Self::default()
        };
    }

    /// The capture has ended. What is cached can still be looked at.
    pub fn end(&mut self) {
        self.attached = false;
    }

    /// Whether somebody could deliver a key frame.
    #[must_use]
    pub fn attached(&self) -> bool {
        self.attached
    }

    /// A session packet tells the size; returns the picture if it has changed.
    pub fn resize(&mut self, width: u16, height: u16) -> Option<Picture> {
        self.sizes = Sizes::SessionPackets;
        self.set_size(width, height)
    }

    /// Parameter sets arrive on their own; returns the picture if its size has changed.
    pub fn configure(&mut self, config: &[u8]) -> Option<Picture> {
        self.parameter_sets.clear();
        let mut changed = None;
        for nal in nals(config) {
            changed = self.learn(nal).or(changed);
        }
        changed
    }

    /// Takes a coded picture. Returns the frame, unless it cannot be decoded or is empty, and the
    /// picture if its size has changed.
    pub fn push(
        &mut self,
        unit: &AccessUnit,
        now: Instant,
        now_us: u64,
    ) -> (Option<Rc<Frame>>, Option<Picture>) {
        let waited = now.saturating_duration_since(unit.received).as_micros() as u64;
        let received_us = now_us.saturating_sub(waited);
        self.clock.observe(unit.received, received_us, unit.pts.0);
        let units: Vec<&[u8]> = nals(&unit.data).collect();
        let has = |kind| units.iter().any(|nal| NalKind::of(nal[0]) == kind);
        if has(NalKind::Sps) {
            self.parameter_sets.clear();
        }
        let changed = units
            .iter()
            .fold(None, |changed, nal| self.learn(nal).or(changed));
        let idr = has(NalKind::IdrSlice);
        let key = unit.key || idr;
        if !key && matches!(self.gop, Gop::Headless) {
            return (None, changed);
        }
        let frame = self.frame(unit, &units, key, received_us);
        let frame = (!frame.payloads.is_empty()).then(|| Rc::new(frame));
        if let Some(frame) = &frame {
            self.gop.push(Rc::clone(frame));
        }
        (frame, changed)
    }

    /// Pictures were lost before they arrived here: the group has a hole.
    pub fn lose(&mut self) {
        self.gop = Gop::Headless;
    }

    /// The size that is being sent.
    #[must_use]
    pub fn picture(&self) -> Option<Picture> {
        self.picture
    }

    /// The pictures that somebody who joins needs, if they are few enough.
    #[must_use]
    pub fn replay(&self) -> Option<&[Rc<Frame>]> {
        match &self.gop {
            Gop::Kept { frames, .. } => Some(frames),
            Gop::Headless | Gop::Overgrown => None,
        }
    }

    /// What the device's clock shows now, if a picture has tied it to ours.
    #[must_use]
    pub fn pts_now(&self, now_us: u64) -> Option<Pts> {
        self.clock.to_theirs(now_us).map(Pts)
    }

    fn frame(&self, unit: &AccessUnit, units: &[&[u8]], key: bool, received_us: u64) -> Frame {
        let passed_on =
            |nal: &&&[u8]| !matches!(NalKind::of(nal[0]), NalKind::Noise | NalKind::Sps | NalKind::Pps);
        let mut sent: Vec<&[u8]> = Vec::with_capacity(PARAMETER_SETS_MAX + units.len());
        if key {
            sent.extend(self.parameter_sets.iter().map(Bytes::as_ref));
        }
        let sets = sent.len();
        sent.extend(units.iter().filter(passed_on));
        let payloads = if sent.len() > sets {
            packetize(&sent)
        } else {
            Vec::new()
        };
        Frame {
            key,
            pts: unit.pts,
            capture_us: self.clock.to_ours(unit.pts.0).unwrap_or(received_us),
            received: unit.received,
            picture: self.picture,
            bytes: payloads.iter().map(Bytes::len).sum(),
            payloads,
        }
    }

    /// Keeps a parameter set; returns the picture if its size has changed.
    fn learn(&mut self, nal: &[u8]) -> Option<Picture> {
        let mut changed = None;
        let set = match NalKind::of(nal[0]) {
            NalKind::Sps => match sps::rewrite(nal) {
                Ok((sps, rewritten)) => {
                    if self.sizes == Sizes::ParameterSets {
                        changed = self.set_size(sps.width, sps.height);
                    }
                    Bytes::from(rewritten)
                }
                // A decoder may understand what this reader does not: pass it on as it is.
                Err(error) => {
                    tracing::warn!(%error, "an SPS cannot be rewritten");
                    Bytes::copy_from_slice(nal)
                }
            },
            NalKind::Pps => Bytes::copy_from_slice(nal),
            NalKind::Slice | NalKind::IdrSlice | NalKind::Noise | NalKind::Other => return None,
        };
        let known = self.parameter_sets.contains(&set);
        if !known && set.len() <= PARAMETER_SET_BYTES_MAX + 64 {
            if self.parameter_sets.len() == PARAMETER_SETS_MAX {
                self.parameter_sets.remove(0);
            }
            self.parameter_sets.push(set);
        }
        changed
    }

    fn set_size(&mut self, width: u16, height: u16) -> Option<Picture> {
        let generation = match self.picture {
            Some(picture) if (picture.width, picture.height) == (width, height) => return None,
            Some(picture) => picture.generation.next(),
            None => Generation(1),
        };
        self.picture = Some(Picture {
            generation,
            width,
            height,
        });
        self.picture
    }
}

impl Gop {
    fn push(&mut self, frame: Rc<Frame>) {
        if frame.key {
            *self = Self::Kept {
                bytes: 0,
                frames: Vec::with_capacity(GOP_FRAMES_MAX),
            };
        }
        let Self::Kept { frames, bytes } = self else {
            return;
        };
        *bytes += frame.bytes;
        frames.push(frame);
        if frames.len() > GOP_FRAMES_MAX || *bytes > GOP_BYTES_MAX {
            *self = Self::Overgrown;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[
        0x67, 0x42, 0xc0, 0x1f, 0xd9, 0x00, 0xb4, 0x0a, 0x1b, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00,
        0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x24, 0x80,
    ];
    const PPS: &[u8] = &[0x68, 0xcb, 0x83, 0xcb, 0x20];

    fn annex_b(nals: &[&[u8]]) -> Bytes {
        nals.iter()
            .flat_map(|nal| [&[0, 0, 0, 1], *nal].concat())
            .collect()
    }

    fn unit(n: u64, key: bool, bytes: usize) -> AccessUnit {
        let slice = [&[if key { 0x65 } else { 0x41 }][..], &vec![0xab; bytes]].concat();
        let received = Instant::now();
        AccessUnit {
            pts: Pts(n * 16_667),
            key,
            data: annex_b(&[&slice]),
            received,
        }
    }

    fn push(stream: &mut Stream, unit: &AccessUnit) -> Option<Rc<Frame>> {
        stream.push(unit, unit.received, unit.pts.0 + 1_000).0
    }

    fn started() -> Stream {
        let mut stream = Stream::default();
        stream.start();
        stream.configure(&annex_b(&[SPS, PPS]));
        stream
    }

    #[test]
    fn a_key_frame_carries_rewritten_parameter_sets_and_others_none() {
        let mut stream = started();
        let key = push(&mut stream, &unit(0, true, 200)).unwrap();
        let rewritten = sps::rewrite(SPS).unwrap().1;
        assert_eq!(key.payloads.len(), 1);
        assert!(
            key.payloads[0]
                .windows(rewritten.len())
                .any(|window| window == rewritten)
        );
        let delta = push(&mut stream, &unit(1, false, 200)).unwrap();
        assert_eq!(delta.payloads[0][0], 0x41);
    }

    #[test]
    fn nothing_passes_before_the_first_key_frame_or_after_a_loss() {
        let mut stream = started();
        assert!(push(&mut stream, &unit(0, false, 9)).is_none());
        assert!(push(&mut stream, &unit(1, true, 9)).is_some());
        stream.lose();
        assert!(push(&mut stream, &unit(2, false, 9)).is_none());
    }

    #[test]
    fn the_group_is_kept_while_it_is_small() {
        let mut stream = started();
        assert!(stream.replay().is_none());
        push(&mut stream, &unit(0, true, 100));
        for n in 1..GOP_FRAMES_MAX as u64 {
            push(&mut stream, &unit(n, false, 100));
        }
        assert_eq!(stream.replay().unwrap().len(), GOP_FRAMES_MAX);
        push(&mut stream, &unit(99, false, 100));
        assert!(stream.replay().is_none());
        push(&mut stream, &unit(100, true, GOP_BYTES_MAX + 1));
        assert!(stream.replay().is_none());
        push(&mut stream, &unit(101, true, 100));
        assert_eq!(stream.replay().unwrap().len(), 1);
    }

    #[test]
    fn the_generation_rises_when_the_size_changes_and_only_then() {
        let mut stream = Stream::default();
        let first = stream.configure(&annex_b(&[SPS, PPS])).unwrap();
        assert_eq!(
            (first.width, first.height, first.generation),
            (720, 1280, Generation(1))
        );
        assert_eq!(stream.configure(&annex_b(&[SPS, PPS])), None);
        assert_eq!(stream.resize(720, 1280), None);
        assert_eq!(stream.resize(1280, 720).unwrap().generation, Generation(2));
        // The encoder's own size no longer counts: it may be padded to whole macroblocks.
        assert_eq!(stream.configure(&annex_b(&[SPS, PPS])), None);
    }

    #[test]
    fn parameter_sets_inside_a_unit_are_learned() {
        let mut stream = Stream::default();
        stream.start();
        let data = annex_b(&[SPS, PPS, &[0x65, 1, 2, 3]]);
        let unit = AccessUnit {
            pts: Pts(0),
            key: true,
            data,
            received: Instant::now(),
        };
        let (frame, changed) = stream.push(&unit, unit.received, 0);
        assert_eq!(frame.unwrap().payloads[0][0] & 0x1f, 24);
        assert_eq!(changed.unwrap().width, 720);
    }

    #[test]
    fn a_unit_without_slices_is_no_frame() {
        let mut stream = started();
        let unit = AccessUnit {
            pts: Pts(0),
            key: true,
            data: annex_b(&[&[0x09, 0xf0]]),
            received: Instant::now(),
        };
        assert!(stream.push(&unit, unit.received, 0).0.is_none());
    }

    #[test]
    fn a_new_capture_forgets_the_pictures_of_the_old_one_and_keeps_counting_sizes() {
        let mut stream = started();
        push(&mut stream, &unit(0, true, 100));
        stream.start();
        assert!(stream.replay().is_none());
        assert_eq!(stream.resize(100, 200).unwrap().generation, Generation(2));
    }
}
