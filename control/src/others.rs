//! Which of the other controls on the same database are gone.
//!
//! ```text
//!   what another one wrote last ── stays the same for GONE_AFTER, by our clock, while we looked ──► it is gone
//! ```
//!
//! Only our own clock that never jumps counts: what a wall clock somewhere else shows is read for nothing but whether it
//! changed. And only time in which we looked counts: while the database was away, or we were stopped, everybody was
//! silent to us, and that says nothing about them. It does not know the database.

use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::time::{Steady, UnixMs};

/// A control that was silent for this long is gone.
pub(crate) const GONE_AFTER: Duration = Duration::from_secs(10);
/// A pause between two looks after which the silence before it does not count: two looks were missed.
const PAUSE_MAX: Duration = Duration::from_secs(6);

/// What was seen of the others: an entry for each.
#[derive(Debug, Default)]
pub(crate) struct Others {
    looked: Option<Steady>,
    /// What each wrote last, and since when we know it.
    known: HashMap<Uuid, (UnixMs, Steady)>,
}

impl Others {
    /// They were looked at, and this is what each wrote last. Those that are gone, with what they wrote.
    pub(crate) fn look(&mut self, wrote: &[(Uuid, UnixMs)], now: Steady) -> Vec<(Uuid, UnixMs)> {
        if self.looked.is_some_and(|looked| now.since(looked) > PAUSE_MAX) {
            self.known.clear();
        }
        self.looked = Some(now);
        self.known
            .retain(|id, _| wrote.iter().any(|(other, _)| other == id));
        let mut gone = Vec::new();
        for (id, at) in wrote {
            let (known, since) = self.known.entry(*id).or_insert((*at, now));
            if known != at {
                (*known, *since) = (*at, now);
            } else if now.since(*since) > GONE_AFTER {
                gone.push((*id, *at));
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: Uuid = Uuid::from_u128(7);

    fn at(seconds: u64) -> Steady {
        Steady(Duration::from_secs(seconds))
    }

    /// Looks every two seconds of `times` at somebody who wrote this.
    fn look(others: &mut Others, times: std::ops::RangeInclusive<u64>, wrote: UnixMs) -> bool {
        let looks = times.step_by(2);
        looks.fold(false, |_, time| {
            !others.look(&[(OTHER, wrote)], at(time)).is_empty()
        })
    }

    #[test]
    fn whoever_writes_nothing_for_long_is_gone_whatever_its_clock_shows() {
        for clock in [UnixMs(0), UnixMs(4_000_000_000_000)] {
            let mut others = Others::default();
            assert!(!look(&mut others, 0..=10, clock));
            assert!(look(&mut others, 12..=12, clock));
            assert!(
                !look(&mut others, 14..=14, clock.plus(Duration::from_millis(1))),
                "it wrote again"
            );
            assert!(!look(&mut others, 16..=24, clock.plus(Duration::from_millis(1))));
            assert!(look(&mut others, 26..=26, clock.plus(Duration::from_millis(1))));
        }
    }

    #[test]
    fn silence_while_nobody_looked_does_not_count() {
        let mut others = Others::default();
        assert!(!look(&mut others, 0..=8, UnixMs(1)));
        // The database was away, or this process was stopped.
        assert!(!look(&mut others, 23..=33, UnixMs(1)));
        assert!(look(&mut others, 35..=35, UnixMs(1)));
    }
}
