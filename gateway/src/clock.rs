//! Three clocks: the gateway's, a device's and a viewer's, and how far they are apart.
//!
//! Only the gateway's `Instant` is trusted. Another clock is tied to it by the smallest difference
//! `arrival - stamp` of the last [`CLOCK_WINDOW`]: the message that waited least on its way. What a
//! message took longer than that one is its lateness; the constant part of the way is not visible and
//! not in it.
//!
//! ```text
//! arrival - stamp   ×     ×        ×
//!                     ×       ×  ×    ×
//!                   ───────×──────────────  smallest: offset        lateness = × above the line
//! ```

use std::time::{Duration, Instant, SystemTime};

use crate::limits::CLOCK_WINDOW;

/// The gateway's own clock, as microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    unix_us: u64,
}

impl Clock {
    /// A clock that shows `unix` at `start` and then goes with the monotonic clock, so that it never jumps.
    #[must_use]
    pub fn new(start: Instant, unix: SystemTime) -> Self {
        let since = unix.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            start,
            unix_us: micros(since),
        }
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub fn unix_us(&self, now: Instant) -> u64 {
        self.unix_us + self.us(now)
    }

    /// Microseconds since the Unix epoch of a time that is `us` after the start.
    #[must_use]
    pub fn to_unix(&self, us: u64) -> u64 {
        self.unix_us.saturating_add(us)
    }

    /// Microseconds since the engine started.
    #[must_use]
    pub fn us(&self, now: Instant) -> u64 {
        micros(now.saturating_duration_since(self.start))
    }
}

/// Ties one other clock to the gateway's.
#[derive(Debug, Default)]
pub struct Offset {
    /// The smallest difference of this half window and of the one before it, microseconds.
    smallest: [Option<i64>; 2],
    half_began: Option<Instant>,
}

impl Offset {
    /// Takes note of a message with the stamp `stamp_us` that arrived at `now`, which the gateway's
    /// clock calls `now_us`; returns how much later it was than the quickest one.
    pub fn observe(&mut self, now: Instant, now_us: u64, stamp_us: u64) -> Duration {
        let began = *self.half_began.get_or_insert(now);
        if now.saturating_duration_since(began) > CLOCK_WINDOW / 2 {
            self.smallest = [None, self.smallest[0]];
            self.half_began = Some(now);
        }
        let difference = now_us.wrapping_sub(stamp_us) as i64;
        let smallest = self.smallest[0].map_or(difference, |smallest| smallest.min(difference));
        self.smallest[0] = Some(smallest);
        let offset = self.get().unwrap_or(difference);
        Duration::from_micros(difference.wrapping_sub(offset).max(0) as u64)
    }

    /// The other clock's time `stamp_us` on the gateway's clock, microseconds.
    #[must_use]
    pub fn to_ours(&self, stamp_us: u64) -> Option<u64> {
        Some(stamp_us.wrapping_add(self.get()? as u64))
    }

    /// The gateway's time `our_us` on the other clock, microseconds.
    #[must_use]
    pub fn to_theirs(&self, our_us: u64) -> Option<u64> {
        Some(our_us.wrapping_sub(self.get()? as u64))
    }

    fn get(&self) -> Option<i64> {
        self.smallest.iter().flatten().copied().min()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_quickest_message_ties_the_clocks() {
        let start = Instant::now();
        let clock = Clock::new(start, SystemTime::UNIX_EPOCH);
        let mut offset = Offset::default();
        let mut arrive =
            |at_ms, stamp_us| offset.observe(start + ms(at_ms), clock.us(start + ms(at_ms)), stamp_us);
        assert_eq!(arrive(100, 5_000_000), ms(0));
        assert_eq!(arrive(150, 5_020_000), ms(30));
        assert_eq!(arrive(160, 5_070_000), ms(0));
        assert_eq!(arrive(170, 5_080_000), ms(0));
        assert_eq!(arrive(190, 5_080_000), ms(20));
        assert_eq!(offset.to_ours(5_080_000), Some(170_000));
        assert_eq!(offset.to_theirs(170_000), Some(5_080_000));
    }

    #[test]
    fn a_clock_that_drifts_is_followed() {
        let start = Instant::now();
        let mut offset = Offset::default();
        offset.observe(start, 0, 0);
        let mut late = Duration::ZERO;
        for n in 1..100 {
            let at = CLOCK_WINDOW / 4 * n;
            // The other clock loses a millisecond each time.
            late = offset.observe(start + at, micros(at), micros(at) - 1_000 * u64::from(n));
        }
        assert!(late <= ms(5), "{late:?}");
    }
}
