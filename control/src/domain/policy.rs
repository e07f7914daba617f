//! What a link says about the length of a session.
//!
//! ```text
//!   idle_timeout   nobody acted for this long        ► idle
//!   max_duration   held for this long, once ready    ► max_duration
//!   on_expiry      the link's own time is over       ► cut: link_expired · finish: goes on to the other two
//! ```
//!
//! The values are bounded when they are taken in, so that nothing after this asks again. How the time is
//! measured is `deadlines`.

use std::time::Duration;

/// How long nobody may act before the device is given back, if a link says nothing.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Shortest and longest idle timeout. An agent tells of the last input every 5 s, so that a shorter end than
/// that may come as much later.
pub const IDLE_TIMEOUT_BOUNDS: (Duration, Duration) =
    (Duration::from_secs(2), Duration::from_secs(24 * 3600));
/// Shortest and longest greatest length of a session.
pub const MAX_DURATION_BOUNDS: (Duration, Duration) =
    (Duration::from_secs(2), Duration::from_secs(7 * 24 * 3600));
/// How long before an end the holder is warned; no more than half of what is measured.
pub const WARNING: Duration = Duration::from_secs(60);

/// The policy of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Nobody acted for this long: the device is given back.
    pub idle_timeout: Duration,
    /// How long a session lasts at most; none means as long as somebody acts.
    pub max_duration: Option<Duration>,
    /// What becomes of a session that runs when the link's time is over.
    pub on_expiry: OnExpiry,
}

/// What becomes of a session that runs when its link's time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExpiry {
    /// It ends with the link.
    Cut,
    /// It goes on until it ends by itself; nobody can come in any more.
    Finish,
}

/// Which value of a policy is out of its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfBounds {
    /// The idle timeout.
    IdleTimeout,
    /// The greatest length.
    MaxDuration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            idle_timeout: IDLE_TIMEOUT,
            max_duration: None,
            on_expiry: OnExpiry::Cut,
        }
    }
}

impl Policy {
    /// A policy from outside, in whole seconds; what is left out is as always.
    ///
    /// # Errors
    /// When a value is out of its bounds.
    pub fn parse(
        idle_timeout_s: Option<u64>,
        max_duration_s: Option<u64>,
        on_expiry: OnExpiry,
    ) -> Result<Self, OutOfBounds> {
        let within = |value: Duration, (least, most): (Duration, Duration)| (least..=most).contains(&value);
        let idle_timeout = idle_timeout_s.map_or(IDLE_TIMEOUT, Duration::from_secs);
        let max_duration = max_duration_s.map(Duration::from_secs);
        if !within(idle_timeout, IDLE_TIMEOUT_BOUNDS) {
            return Err(OutOfBounds::IdleTimeout);
        }
        if max_duration.is_some_and(|max| !within(max, MAX_DURATION_BOUNDS)) {
            return Err(OutOfBounds::MaxDuration);
        }
        Ok(Self {
            idle_timeout,
            max_duration,
            on_expiry,
        })
    }
}

impl OnExpiry {
    /// The name in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Finish => "finish",
        }
    }

    /// Reads the name; none when it is no such name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Cut, Self::Finish]
            .into_iter()
            .find(|policy| policy.as_str() == text)
    }
}

/// How long before the end of a span its holder is warned.
#[must_use]
pub fn warning_of(span: Duration) -> Duration {
    WARNING.min(span / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_says_nothing_gives_an_idle_device_back_after_five_minutes() {
        let policy = Policy::parse(None, None, OnExpiry::Cut).unwrap();
        assert_eq!(policy, Policy::default());
        assert_eq!(policy.idle_timeout, Duration::from_secs(300));
        assert_eq!(policy.max_duration, None);
    }

    #[test]
    fn values_out_of_bounds_are_refused_and_those_on_the_bounds_are_not() {
        let idle = |seconds| Policy::parse(Some(seconds), None, OnExpiry::Cut).map(|_| ());
        let max = |seconds| Policy::parse(None, Some(seconds), OnExpiry::Finish).map(|_| ());
        assert_eq!((idle(2), idle(86_400)), (Ok(()), Ok(())));
        assert_eq!(
            (idle(1), idle(86_401)),
            (Err(OutOfBounds::IdleTimeout), Err(OutOfBounds::IdleTimeout))
        );
        assert_eq!((max(2), max(604_800)), (Ok(()), Ok(())));
        assert_eq!(
            (max(0), max(604_801)),
            (Err(OutOfBounds::MaxDuration), Err(OutOfBounds::MaxDuration))
        );
    }

    #[test]
    fn a_short_span_is_warned_of_at_its_half() {
        assert_eq!(warning_of(Duration::from_secs(3600)), WARNING);
        assert_eq!(warning_of(Duration::from_secs(2)), Duration::from_secs(1));
    }
}
