//! What waits for somebody who is away: a lease for its device, a wipe for its host.
//!
//! ```text
//!   first seen away ────── GONE_AFTER, by the clock of whoever looks ─────► given up
//!        └── seen there: forgotten            time in which nobody could look does not count
//! ```
//!
//! A host that burnt down never says so. Whoever waits for it gets an end here, long after every partition that is
//! healed in time. It does not know what is done about those who are given up.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::time::Steady;

/// Who is away for this long is given up: a partition of ten minutes is one that ends (the faults that are planned for).
pub const GONE_AFTER: Duration = Duration::from_secs(15 * 60);

/// What waits, and since when it does: an entry for each lease and each reset at most.
#[derive(Debug)]
pub struct Absences<K>(HashMap<K, Steady>);

impl<K> Default for Absences<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Copy + Eq + Hash> Absences<K> {
    /// These wait for somebody who is away; the others do not any more. Those that waited for long enough.
    pub fn look(&mut self, waiting: impl IntoIterator<Item = K>, now: Steady) -> Vec<K> {
        let waiting = waiting.into_iter();
        self.0 = waiting
            .map(|key| (key, self.0.get(&key).copied().unwrap_or(now)))
            .collect();
        let long = self
            .0
            .iter()
            .filter(|(_, since)| now.since(**since) >= GONE_AFTER);
        long.map(|(key, _)| *key).collect()
    }

    /// Nobody could look for so long.
    pub fn missed(&mut self, pause: Duration) {
        for since in self.0.values_mut() {
            *since = since.plus(pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: [u32; 0] = [];

    const fn at(minutes: u64) -> Steady {
        Steady(Duration::from_secs(60 * minutes))
    }

    #[test]
    fn who_is_away_for_long_is_given_up_and_who_was_there_meanwhile_is_not() {
        let mut absences = Absences::<u32>::default();
        assert_eq!(absences.look([1, 2], at(0)), NOBODY);
        assert_eq!(absences.look([1], at(10)), NOBODY);
        assert_eq!(absences.look([1, 2], at(14)), NOBODY);
        assert_eq!(absences.look([1, 2], at(15)), [1]);
        assert_eq!(absences.look([2], at(29)), [2]);
    }

    #[test]
    fn time_in_which_nobody_could_look_does_not_count() {
        let mut absences = Absences::<u32>::default();
        absences.look([1], at(0));
        absences.missed(Duration::from_secs(600));
        assert_eq!(absences.look([1], at(24)), NOBODY);
        assert_eq!(absences.look([1], at(25)), [1]);
    }
}
