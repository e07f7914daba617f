//! What one viewer is sent: sequence numbers, timestamps, and whether anything flows at all.
//!
//! ```text
//!            gate opens, group cached: replay it
//!          ┌──────────────────────────────────────────────┐
//!          │            gate opens, nothing cached         ▼
//!  Gated ──┴────────► AwaitKey ──── key frame ────────► Flowing
//!    ▲                   ▲                                 │
//!    │ gate closes       └── cannot decode, none cached ───┤
//!    └─────────────────────────────────────────────────────┘
//! ```
//!
//! From AwaitKey and Flowing a viewer that is not heard of goes Away, and back when it is: pictures that
//! nobody receives only fill the way back.
//!
//! Timestamps follow the device's clock. A replay gets fresh ones that end at "now", one tick apart, and
//! fresh sequence numbers; no timestamp is ever used twice or goes back, whatever the device's clock does.
//!
//! RFC 3550, RFC 6184; playout-delay as libwebrtc defines it: minimum 0, maximum 0 = show at once.
//! It knows neither peers nor sockets: packets come out as values.

use std::time::Instant;

use bytes::Bytes;
use protocol::Pts;
use rtc::rtp::{Header, Packet};

use crate::limits::REPLAY_INTERVAL;
use crate::source::Frame;

/// Minimum and maximum playout delay, 12 bits each, in 10 ms: 0 and 0.
const PLAYOUT_DELAY: &[u8] = &[0, 0, 0];

/// What was negotiated, read from the stack after the handshake: it refuses anything else.
#[derive(Debug, Clone, Copy)]
pub struct Negotiated {
    /// Of our stream.
    pub ssrc: u32,
    /// Of H.264.
    pub payload_type: u8,
    /// Of the playout-delay extension, if the viewer knows it.
    pub playout_delay: Option<u8>,
}

/// The stream to one viewer.
#[derive(Debug)]
pub struct Media {
    negotiated: Negotiated,
    sequence: u16,
    stamps: Stamps,
    flow: Flow,
    replayed: Option<Instant>,
}

/// Whether frames are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The fence does not let anything through.
    Gated,
    /// The viewer has nothing to decode on.
    AwaitKey,
    /// Every frame is sent.
    Flowing,
    /// The viewer is not heard of.
    Away,
}

impl Media {
    /// A gated stream. Sequence numbers and timestamps begin where `random` says (RFC 3550, section 5.1).
    #[must_use]
    pub fn new(negotiated: Negotiated, random: [u8; 6]) -> Self {
        let [s0, s1, t0, t1, t2, t3] = random;
        let stamps = Stamps {
            offset: u32::from_be_bytes([t0, t1, t2, t3]),
            last: None,
        };
        // The upper half is left free, so that the first wrap is not in the first second.
        let sequence = u16::from_be_bytes([s0, s1]) & 0x7fff;
        Self {
            negotiated,
            sequence,
            stamps,
            flow: Flow::Gated,
            replayed: None,
        }
    }

    /// The state.
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.flow
    }

    /// What was negotiated.
    #[must_use]
    pub fn negotiated(&self) -> Negotiated {
        self.negotiated
    }

    /// Closes the gate.
    pub fn gate(&mut self) {
        self.flow = Flow::Gated;
    }

    /// The viewer is not heard of, or is again; returns whether it came back.
    pub fn away(&mut self, away: bool) -> bool {
        match (self.flow, away) {
            (Flow::AwaitKey | Flow::Flowing, true) => self.flow = Flow::Away,
            (Flow::Away, false) => {
                self.flow = Flow::AwaitKey;
                return true;
            }
            _ => {}
        }
        false
    }

    /// Waits for a key frame.
    pub fn await_key(&mut self) {
        self.flow = Flow::AwaitKey;
    }

    /// Whether this frame is to be sent now.
    pub fn admits(&mut self, key: bool) -> bool {
        if self.flow == Flow::AwaitKey && key {
            self.flow = Flow::Flowing;
        }
        self.flow == Flow::Flowing
    }

    /// Begins a replay, unless the last one has only just left: then it may still be on its way.
    pub fn begin_replay(&mut self, now: Instant) -> bool {
        let recent = self
            .replayed
            .is_some_and(|at| now.saturating_duration_since(at) < REPLAY_INTERVAL);
        if !recent {
            self.replayed = Some(now);
            self.flow = Flow::Flowing;
        }
        !recent
    }

    /// The device's clock has begun anew: timestamps go on from the last one, `gap` later.
    pub fn rebase(&mut self, first: Pts, gap: std::time::Duration) {
        self.stamps.rebase(first, gap);
    }

    /// The timestamp of a frame that is sent as it comes.
    pub fn stamp(&mut self, pts: Pts) -> u32 {
        self.stamps.live(pts)
    }

    /// The timestamp of a frame that is sent again, with `after` more behind it, when the device's
    /// clock shows `now`.
    pub fn stamp_again(&mut self, now: Pts, after: usize) -> u32 {
        self.stamps.again(now, after)
    }

    /// The packets of a frame.
    pub fn packets<'a>(&'a mut self, frame: &'a Frame, timestamp: u32) -> impl Iterator<Item = Packet> + 'a {
        let last = frame.payloads.len().saturating_sub(1);
        frame.payloads.iter().enumerate().map(move |(index, payload)| {
            self.sequence = self.sequence.wrapping_add(1);
            let mut header = Header {
                version: 2,
                marker: index == last,
                payload_type: self.negotiated.payload_type,
                sequence_number: self.sequence,
                timestamp,
                ssrc: self.negotiated.ssrc,
                ..Header::default()
            };
            if let Some(id) = self.negotiated.playout_delay {
                // Fails only for ids outside 1..=14, which the stack does not negotiate in one-byte form.
                let _ = header.set_extension(id, Bytes::from_static(PLAYOUT_DELAY));
            }
            Packet {
                header,
                payload: payload.clone(),
            }
        })
    }
}

/// Timestamps that only rise.
#[derive(Debug)]
struct Stamps {
    offset: u32,
    last: Option<u32>,
}

impl Stamps {
    fn live(&mut self, pts: Pts) -> u32 {
        let wanted = pts.rtp_90khz().wrapping_add(self.offset);
        self.rise(wanted)
    }

    fn again(&mut self, now: Pts, after: usize) -> u32 {
        let wanted = now
            .rtp_90khz()
            .wrapping_add(self.offset)
            .wrapping_sub(after as u32);
        self.rise(wanted)
    }

    fn rebase(&mut self, first: Pts, gap: std::time::Duration) {
        if let Some(last) = self.last {
            let gap = Pts(gap.as_micros() as u64).rtp_90khz().max(1);
            self.offset = last.wrapping_add(gap).wrapping_sub(first.rtp_90khz());
        }
    }

    fn rise(&mut self, wanted: u32) -> u32 {
        let stamp = match self.last {
            Some(last) if wanted.wrapping_sub(last) as i32 <= 0 => last.wrapping_add(1),
            _ => wanted,
        };
        self.last = Some(stamp);
        stamp
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn media() -> Media {
        let negotiated = Negotiated {
            ssrc: 1,
            payload_type: 102,
            playout_delay: Some(5),
        };
        Media::new(negotiated, [0xff; 6])
    }

    fn frame(payloads: usize) -> Frame {
        Frame::for_test(vec![Bytes::from_static(b"x"); payloads])
    }

    #[test]
    fn the_marker_is_on_the_last_packet_and_the_playout_delay_on_every_one() {
        let mut media = media();
        let frame = frame(3);
        let packets: Vec<_> = media.packets(&frame, 7).collect();
        assert_eq!(
            packets
                .iter()
                .map(|packet| packet.header.marker)
                .collect::<Vec<_>>(),
            [false, false, true]
        );
        for packet in &packets {
            assert_eq!(packet.header.get_extension(5).as_deref(), Some(PLAYOUT_DELAY));
        }
        let numbers: Vec<_> = packets
            .iter()
            .map(|packet| packet.header.sequence_number)
            .collect();
        assert_eq!(numbers, [0x8000, 0x8001, 0x8002]);
    }

    #[test]
    fn timestamps_follow_the_device_and_never_go_back() {
        let mut media = media();
        let first = media.stamp(Pts(1_000_000));
        assert_eq!(media.stamp(Pts(1_016_666)).wrapping_sub(first), 1_499);
        let again: Vec<_> = (0..3)
            .rev()
            .map(|after| media.stamp_again(Pts(2_000_000), after))
            .collect();
        assert_eq!(
            again
                .iter()
                .map(|stamp| stamp.wrapping_sub(first))
                .collect::<Vec<_>>(),
            [89_998, 89_999, 90_000]
        );
        assert_eq!(media.stamp(Pts(1_990_000)).wrapping_sub(first), 90_001);
        assert_eq!(media.stamp(Pts(2_100_000)).wrapping_sub(first), 99_000);
    }

    #[test]
    fn a_device_that_restarts_goes_on_where_it_was() {
        let mut media = media();
        let before = media.stamp(Pts(900_000_000));
        media.rebase(Pts(5_000), Duration::from_secs(1));
        assert_eq!(media.stamp(Pts(5_000)).wrapping_sub(before), 90_000);
        assert_eq!(media.stamp(Pts(6_000)).wrapping_sub(before), 90_090);
    }

    #[test]
    fn a_viewer_without_a_key_frame_gets_nothing_else() {
        let mut media = media();
        assert!(!media.admits(true));
        media.await_key();
        assert!(!media.admits(false));
        assert!(media.admits(true));
        assert!(media.admits(false));
        media.gate();
        assert!(!media.admits(true));
    }

    #[test]
    fn replays_keep_a_distance() {
        let (mut media, now) = (media(), Instant::now());
        assert!(media.begin_replay(now));
        assert!(!media.begin_replay(now + REPLAY_INTERVAL / 2));
        assert!(media.begin_replay(now + REPLAY_INTERVAL));
    }
}
