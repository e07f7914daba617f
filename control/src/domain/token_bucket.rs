//! A token bucket: so many requests at once, so many per second after that.

use std::time::{Duration, Instant};

/// How much is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Requests at once.
    pub burst: u32,
    /// One more request each.
    pub every: Duration,
}

/// One caller's bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self {
            tokens: f64::from(rate.burst),
            at: now,
        }
    }

    /// Takes one request out.
    ///
    /// # Errors
    /// How long until there is one again.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.fill(rate, now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            Ok(())
        } else {
            Err(rate.every.mul_f64(1.0 - self.tokens))
        }
    }

    /// Whether nothing is remembered: a full bucket may be forgotten.
    pub fn is_full(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        self.tokens >= f64::from(rate.burst)
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        let gained = passed.as_secs_f64() / rate.every.as_secs_f64();
        self.tokens = (self.tokens + gained).min(f64::from(rate.burst));
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        every: Duration::from_secs(6),
    };

    #[test]
    fn a_burst_passes_and_then_one_each_six_seconds() {
        let start = Instant::now();
        let mut bucket = Bucket::full(RATE, start);
        assert_eq!([(); 3].map(|()| bucket.take(RATE, start)), [Ok(()); 3]);
        assert_eq!(bucket.take(RATE, start), Err(Duration::from_secs(6)));
        let later = start + Duration::from_secs(6);
        assert_eq!(bucket.take(RATE, later), Ok(()));
        assert!(bucket.take(RATE, later).is_err());
        assert!(!bucket.is_full(RATE, later));
        assert!(bucket.is_full(RATE, later + Duration::from_secs(18)));
    }

    #[test]
    fn a_bucket_that_was_left_alone_for_long_holds_no_more_than_its_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::full(RATE, start);
        let later = start + Duration::from_secs(3600);
        assert_eq!([(); 3].map(|()| bucket.take(RATE, later)), [Ok(()); 3]);
        assert!(bucket.take(RATE, later).is_err());
    }

    #[test]
    fn who_comes_too_early_is_told_how_long_it_still_is() {
        let start = Instant::now();
        let mut bucket = Bucket::full(RATE, start);
        assert_eq!([(); 3].map(|()| bucket.take(RATE, start)), [Ok(()); 3]);
        let left = bucket.take(RATE, start + Duration::from_secs(2)).unwrap_err();
        assert!(
            left.abs_diff(Duration::from_secs(4)) < Duration::from_millis(1),
            "{left:?}"
        );
    }
}
