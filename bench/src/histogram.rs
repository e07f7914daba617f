//! Durations in, percentiles out: an HDR histogram of microseconds, three significant digits.
//!
//! Range 1 µs to one minute. A longer duration is recorded as one minute and counted as clipped, so
//! that a stall can never vanish from a table. Knows nothing of frames or taps.

use hdrhistogram::Histogram;
use serde::Serialize;

/// One minute: longer than any deadline of the bench, so that clipping means a broken run.
const HIGHEST_US: u64 = 60_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Durations of one kind.
#[derive(Debug, Clone)]
pub struct Durations {
    histogram: Histogram<u64>,
    clipped: u64,
}

impl Default for Durations {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, HIGHEST_US, SIGNIFICANT_DIGITS)
            .expect("the bounds are constants that the histogram accepts");
        Self {
            histogram,
            clipped: 0,
        }
    }
}

impl Durations {
    /// Adds one duration.
    pub fn record_us(&mut self, us: u64) {
        if us > HIGHEST_US {
            self.clipped += 1;
        }
        self.histogram.saturating_record(us.min(HIGHEST_US));
    }

    /// Adds all of another's.
    pub fn merge(&mut self, other: &Self) {
        self.clipped += other.clipped;
        self.histogram
            .add(&other.histogram)
            .expect("all histograms of this file have the same bounds");
    }

    /// How many were added.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.histogram.len()
    }

    /// Whether none was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.histogram.is_empty()
    }

    /// The percentiles, `None` when nothing was added.
    #[must_use]
    pub fn spread(&self) -> Option<Spread> {
        let at = |quantile| ms(self.histogram.value_at_quantile(quantile));
        (!self.is_empty()).then(|| Spread {
            n: self.histogram.len(),
            min: ms(self.histogram.min()),
            p50: at(0.50),
            p95: at(0.95),
            p99: at(0.99),
            max: ms(self.histogram.max()),
            mean: self.histogram.mean() / 1e3,
            clipped: self.clipped,
        })
    }
}

impl FromIterator<u64> for Durations {
    fn from_iter<I: IntoIterator<Item = u64>>(us: I) -> Self {
        let mut durations = Self::default();
        us.into_iter().for_each(|us| durations.record_us(us));
        durations
    }
}

/// What a table shows of some durations. All times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// How many durations.
    pub n: u64,
    /// The shortest.
    pub min: f64,
    /// Half are no longer than this.
    pub p50: f64,
    /// 95 of 100 are no longer than this.
    pub p95: f64,
    /// 99 of 100 are no longer than this.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// The average.
    pub mean: f64,
    /// How many were longer than one minute, and stand as one minute.
    pub clipped: u64,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "at most a minute of microseconds: exact in f64"
)]
fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_recorded_has_no_percentiles() {
        assert_eq!(Durations::default().spread(), None);
    }

    #[test]
    fn percentiles_are_exact_to_three_digits() {
        let spread = (1..=1000u64)
            .map(|n| n * 100)
            .collect::<Durations>()
            .spread()
            .unwrap();
        for (got, want) in [
            (spread.p50, 50.0),
            (spread.p95, 95.0),
            (spread.p99, 99.0),
            (spread.max, 100.0),
        ] {
            assert!((got - want).abs() <= want / 1000.0, "{got} is not {want}");
        }
        assert_eq!(spread.n, 1000);
    }

    #[test]
    fn two_kinds_put_together_lose_nothing() {
        let mut all: Durations = [1_000, 2_000].into_iter().collect();
        all.merge(&[3_000, 120_000_000].into_iter().collect());
        let spread = all.spread().unwrap();
        assert_eq!((spread.n, spread.clipped), (4, 1));
        assert!(
            (spread.min - 1.0).abs() < 0.01 && spread.max >= 60_000.0,
            "{spread:?}"
        );
    }

    #[test]
    fn a_duration_beyond_the_range_is_kept_as_the_longest_and_counted() {
        let spread = [5, 120_000_000]
            .into_iter()
            .collect::<Durations>()
            .spread()
            .unwrap();
        assert_eq!((spread.n, spread.clipped), (2, 1));
        assert!(spread.max >= 60_000.0);
    }
}
