//! The two clocks of control.
//!
//! ```text
//!   UnixMs   whole milliseconds since 1970, UTC: what people read and what is kept. It may jump.
//!   Steady   time since this process started: what deadlines are measured by. It never jumps.
//! ```
//!
//! JSON shows RFC 3339 with milliseconds. Only the driver, the routes and the jobs ask the clocks;
//! everything else gets `now` as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// Asks the clock. For drivers, routes and jobs only.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// This much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// How far away a later time is; nothing when it is not later.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// RFC 3339 with milliseconds.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let timestamp = Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::MAX);
        format!("{timestamp:.3}")
    }

    /// Reads RFC 3339 text; none when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<Timestamp>()
            .ok()
            .map(|timestamp| Self(timestamp.as_millisecond()))
    }
}

/// Time since this process started, by the clock that never jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Steady(pub Duration);

impl Steady {
    /// This much later.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long ago an earlier time was; nothing when it was not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The same moment by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What is measured by.
    pub steady: Steady,
    /// What is written down.
    pub wall: UnixMs,
}

impl From<SystemTime> for UnixMs {
    fn from(time: SystemTime) -> Self {
        // A clock before 1970 is broken; the epoch is as good as any answer.
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(0).plus(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_and_read_as_rfc_3339() {
        let time = UnixMs(1_800_000_000_123);
        assert_eq!(time.rfc3339(), "2027-01-15T08:00:00.123Z");
        assert_eq!(UnixMs::parse(&time.rfc3339()), Some(time));
        assert_eq!(UnixMs::parse("2027-01-15T10:00:00.123+02:00"), Some(time));
        assert_eq!(UnixMs::parse("tomorrow"), None);
    }
}
