//! When the encoder of a device is reset for a key frame. Pure.
//!
//! ```text
//!   wanted, long ago ──► at once         wanted, a moment ago ──► once, MIN_GAP after the last
//! ```
//!
//! A reset stops and restarts the encoder, which costs a real device 100 to 300 ms without a picture, so that
//! wishes in between are one wish. `now` is an argument; it does not know who wishes.

use std::time::Duration;

use tokio::time::Instant;

/// Between two resets.
const MIN_GAP: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct KeyFrames {
    last: Option<Instant>,
    due: Option<Instant>,
}

impl KeyFrames {
    /// Somebody waits for a key frame.
    pub(crate) fn wanted(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |last| (last + MIN_GAP).max(now));
        self.due.get_or_insert(earliest);
    }

    /// When [`Self::take`] says yes.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether to reset the encoder now.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = None;
            self.last = Some(now);
        }
        is_due
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
            if key_frames.take(now) {
                resets.push(ms);
            }
        }
        assert_eq!(resets, [0, 1000, 2000]);
    }

    #[tokio::test]
    async fn a_wish_is_kept_until_it_may_be_fulfilled() {
        let start = Instant::now();
        let mut key_frames = KeyFrames::default();
        key_frames.wanted(start);
        assert!(key_frames.take(start));
        key_frames.wanted(start + Duration::from_millis(10));
        assert!(!key_frames.take(start + Duration::from_millis(999)));
        assert_eq!(key_frames.due(), Some(start + MIN_GAP));
        assert!(key_frames.take(start + MIN_GAP));
        assert!(!key_frames.take(start + MIN_GAP * 9), "nobody asked again");
    }
}
