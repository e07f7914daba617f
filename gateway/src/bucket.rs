//! A token bucket: so many a second, and so many at once.
//!
//! It starts full. Time is an argument; it knows nothing of what it counts.

use std::time::Instant;

/// How many messages are left.
#[derive(Debug)]
pub struct Bucket {
    rate: u32,
    burst: u32,
    left: f64,
    filled: Option<Instant>,
}

impl Bucket {
    /// A full bucket that holds `burst` and gains `rate` a second.
    #[must_use]
    pub fn new(rate: u32, burst: u32) -> Self {
        Self {
            rate,
            burst,
            left: f64::from(burst),
            filled: None,
        }
    }

    /// Takes one out, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let since = self
            .filled
            .map_or(0.0, |at| now.saturating_duration_since(at).as_secs_f64());
        self.filled = Some(now);
        self.left = (self.left + since * f64::from(self.rate)).min(f64::from(self.burst));
        if self.left < 1.0 {
            return false;
        }
        self.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let (mut bucket, now) = (Bucket::new(10, 3), Instant::now());
        assert_eq!((0..10).filter(|_| bucket.take(now)).count(), 3);
        let later = now + Duration::from_millis(250);
        assert_eq!((0..10).filter(|_| bucket.take(later)).count(), 2);
        let much_later = later + Duration::from_secs(100);
        assert_eq!((0..10).filter(|_| bucket.take(much_later)).count(), 3);
    }
}
