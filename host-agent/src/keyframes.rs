//! When the encoder of a device is reset for a key frame, and when it has not heard. Pure.
//!
//! ```text
//!   wanted, long ago ──► at once         wanted, a moment ago ──► once, MIN_GAP after the last
//!   reset ──► key frame: fine            reset ──► STALL without one: the capture is of no use
//! ```
//!
//! A reset stops and restarts the encoder, which costs a real device 100 to 300 ms without a picture, so that
//! wishes in between are one wish. It brings a picture even of a screen at rest, so that silence after it is a
//! stall, and silence before it is none. `now` is an argument; it does not know who wishes.

use std::time::Duration;

use tokio::time::Instant;

/// Between two resets.
const MIN_GAP: Duration = Duration::from_secs(1);
/// How long a reset may take to bring a key frame; ten times what a slow encoder needs. At the limit the
/// capture is started anew.
pub(crate) const STALL: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub(crate) struct KeyFrames {
    last: Option<Instant>,
    due: Option<Instant>,
    awaited: Option<Awaited>,
}

#[derive(Debug, Clone, Copy)]
struct Awaited {
    until: Instant,
    /// The encoder's starts when it was reset.
    starts: u64,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Reset the encoder.
    Reset,
    /// Start the capture anew.
    Restart,
}

impl KeyFrames {
    /// Somebody waits for a key frame.
    pub(crate) fn wanted(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |last| (last + MIN_GAP).max(now));
        self.due.get_or_insert(earliest);
    }

    /// A key frame of the encoder's start number `start` is there, or there is no capture that could bring one.
    pub(crate) fn arrived(&mut self, start: Option<u64>) {
        self.awaited = self
            .awaited
            .filter(|awaited| start.is_some_and(|start| start <= awaited.starts));
    }

    /// When [`Self::take`] has something to say.
    pub(crate) fn due(&self) -> Option<Instant> {
        let stall = self.awaited.map(|awaited| awaited.until);
        self.due.into_iter().chain(stall).min()
    }

    /// What to do now, if anything. `starts` counts the encoder's starts so far.
    pub(crate) fn take(&mut self, now: Instant, starts: u64) -> Option<Remedy> {
        if self.awaited.is_some_and(|awaited| awaited.until <= now) {
            self.awaited = None;
            return Some(Remedy::Restart);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.last = Some(now);
            // A reset that is overtaken by another does not get more time.
            self.awaited.get_or_insert(Awaited {
                until: now + STALL,
                starts,
            });
            return Some(Remedy::Reset);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wishes_within_a_second_are_one_reset() {
        let start = Instant::now();
        let mut key_frames = KeyFrames::default();
        let mut resets = Vec::new();
        for ms in 0..3000 {
            let now = start + Duration::from_millis(ms);
            key_frames.wanted(now);
            if key_frames.take(now, ms) == Some(Remedy::Reset) {
                resets.push(ms);
            }
            key_frames.arrived(Some(ms + 1));
        }
        assert_eq!(resets, [0, 1000, 2000]);
    }

    #[tokio::test]
    async fn a_wish_is_kept_until_it_may_be_fulfilled() {
        let start = Instant::now();
        let mut key_frames = KeyFrames::default();
        key_frames.wanted(start);
        assert_eq!(key_frames.take(start, 1), Some(Remedy::Reset));
        key_frames.arrived(Some(2));
        key_frames.wanted(start + Duration::from_millis(10));
        assert_eq!(key_frames.take(start + Duration::from_millis(999), 2), None);
        assert_eq!(key_frames.due(), Some(start + MIN_GAP));
        assert_eq!(key_frames.take(start + MIN_GAP, 2), Some(Remedy::Reset));
        key_frames.arrived(Some(3));
        assert_eq!(key_frames.due(), None, "nobody asked again");
    }

    #[tokio::test]
    async fn an_encoder_that_does_not_hear_a_reset_is_started_anew_once() {
        let start = Instant::now();
        let mut key_frames = KeyFrames::default();
        key_frames.wanted(start);
        key_frames.take(start, 5);
        key_frames.arrived(Some(5));
        assert_eq!(
            key_frames.due(),
            Some(start + STALL),
            "a key frame from before the reset is none"
        );
        assert_eq!(key_frames.take(start + STALL, 5), Some(Remedy::Restart));
        assert_eq!(key_frames.take(start + STALL * 2, 5), None);
    }

    #[tokio::test]
    async fn without_a_capture_nothing_can_stall() {
        let start = Instant::now();
        let mut key_frames = KeyFrames::default();
        key_frames.wanted(start);
        key_frames.take(start, 5);
        key_frames.arrived(None);
        assert_eq!(key_frames.take(start + STALL, 5), None);
    }
}
