//! How long to wait before the next try: doubling, capped, with jitter.
//!
//! ```text
//!   first ─► 2 × first ─► 4 × first ─► … ─► cap, cap, …        each ± 20 %, drawn anew
//!     ▲                                      │
//!     └────────────── succeeded ◄────────────┘
//! ```
//!
//! The jitter keeps many devices that were lost together from coming back together. Randomness is an
//! argument, and nothing here knows what is tried or sleeps: whoever owns a retry owns one of these.

use std::time::Duration;

/// Width of the jitter to each side, in percent of the delay.
const JITTER_PERCENT: u32 = 20;

/// Counts the failures in a row and turns them into delays.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// Delays from `first` to `cap`, both before jitter.
    pub(crate) const fn new(first: Duration, cap: Duration) -> Self {
        Self {
            first,
            cap,
            failures: 0,
        }
    }

    /// Notes a failure: how long to wait now. `random` is any number, evenly drawn.
    pub(crate) fn failed(&mut self, random: u32) -> Duration {
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let delay = self.first.saturating_mul(1 << doublings).min(self.cap);
        let percent = 100 - JITTER_PERCENT + random % (2 * JITTER_PERCENT + 1);
        delay * percent / 100
    }

    /// Notes a success: the next failure waits as the first did.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last success.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

/// A number for [`Backoff::failed`]. Where the system has no randomness the delay has no jitter.
pub(crate) fn draw() -> u32 {
    getrandom::u32().unwrap_or(JITTER_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u32 = JITTER_PERCENT;

    #[test]
    fn delays_double_up_to_the_cap_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(8));
        let delays: Vec<_> = (0..8).map(|_| backoff.failed(MIDDLE).as_millis()).collect();
        assert_eq!(delays, [250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(backoff.failures(), 8);
        backoff.succeeded();
        assert_eq!(backoff.failed(MIDDLE).as_millis(), 250);
    }

    #[test]
    fn jitter_stays_within_a_fifth_and_reaches_both_ends() {
        let delay = |random| Backoff::new(Duration::from_secs(1), Duration::from_secs(1)).failed(random);
        assert_eq!(delay(0).as_millis(), 800);
        assert_eq!(delay(2 * JITTER_PERCENT).as_millis(), 1200);
        assert!((0..1000).all(|random| (800..=1200).contains(&delay(random).as_millis())));
    }

    #[test]
    fn a_device_that_stays_away_for_ever_overflows_nothing() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::MAX);
        for _ in 0..100 {
            backoff.failed(0);
        }
        assert_eq!(backoff.failures(), 100);
    }
}
