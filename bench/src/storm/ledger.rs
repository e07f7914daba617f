//! What clients were told, and whether all of it can be true.
//!
//! ```text
//!   a ── sent ───── heard ─┐ "you hold device D under epoch 5"
//!                          │      b ── sent ───── heard ─┐ "you hold device D under epoch 9"
//!                          │                             │     a ── sent …  "you hold it under 5": a lie
//! ```
//!
//! Control decides somewhere between `sent` and `heard`. Two words contradict each other only where no order of
//! those moments makes both true. It knows answers and times, and nothing of rows or fences (`rows.rs`).

use std::collections::{BTreeMap, HashMap, HashSet};

/// Somebody was told that he holds a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) holder: usize,
    pub(crate) device: usize,
    pub(crate) link: usize,
    pub(crate) session: String,
    pub(crate) epoch: u64,
    /// Microseconds since the storm began.
    pub(crate) sent: u64,
    pub(crate) heard: u64,
}

/// All that was told.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    words: Vec<Word>,
    /// When the answer to a revocation was heard, by link.
    revoked: HashMap<usize, u64>,
    /// When the answer to an end was heard, by session.
    ended: HashMap<String, u64>,
}

impl Ledger {
    pub(crate) fn holds(&mut self, word: Word) {
        self.words.push(word);
    }

    pub(crate) fn revoked(&mut self, link: usize, heard: u64) {
        self.revoked.entry(link).or_insert(heard);
    }

    pub(crate) fn ended(&mut self, session: &str, heard: u64) {
        self.ended.entry(session.to_owned()).or_insert(heard);
    }

    /// Every session that somebody was told to hold, with its epoch.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (&str, u64)> {
        let mut known = HashSet::new();
        let words = self.words.iter().filter(move |word| known.insert(&word.session));
        words.map(|word| (word.session.as_str(), word.epoch))
    }

    /// What cannot be true.
    pub(crate) fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.two_holders(&mut found);
        self.after_the_end(&mut found);
        let mut devices: BTreeMap<usize, Vec<&Word>> = BTreeMap::new();
        for word in &self.words {
            devices.entry(word.device).or_default().push(word);
        }
        for (device, words) in devices {
            overlapping(device, words, &mut found);
        }
        found
    }

    fn two_holders(&self, found: &mut Vec<String>) {
        let (mut sessions, mut epochs) = (HashMap::new(), HashMap::new());
        for word in &self.words {
            let holder = *sessions.entry(&word.session).or_insert(word.holder);
            if holder != word.holder {
                found.push(format!("two holders of one session: {holder} and {word:?}"));
            }
            let session = *epochs.entry((word.device, word.epoch)).or_insert(&word.session);
            if *session != word.session {
                found.push(format!("two sessions under one epoch: {session} and {word:?}"));
            }
        }
    }

    fn after_the_end(&self, found: &mut Vec<String>) {
        for word in &self.words {
            if self.revoked.get(&word.link).is_some_and(|at| word.sent > *at) {
                found.push(format!("a hold after its link was revoked: {word:?}"));
            }
            if self.ended.get(&word.session).is_some_and(|at| word.sent > *at) {
                found.push(format!("a hold after its session was ended: {word:?}"));
            }
        }
    }
}

/// Nobody who asked after somebody else was told of a newer epoch may still be told that he holds an older one.
fn overlapping(device: usize, mut words: Vec<&Word>, found: &mut Vec<String>) {
    words.sort_by_key(|word| std::cmp::Reverse(word.epoch));
    // The earliest moment at which anything newer than the present epoch was known, and at the present epoch.
    let (mut newer, mut same, mut epoch) = (u64::MAX, u64::MAX, u64::MAX);
    for word in words {
        if word.epoch != epoch {
            newer = newer.min(same);
            (same, epoch) = (u64::MAX, word.epoch);
        }
        same = same.min(word.heard);
        if word.sent > newer {
            found.push(format!("device {device} had a newer holder already: {word:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(holder: usize, epoch: u64, sent: u64, heard: u64) -> Word {
        Word {
            holder,
            device: 0,
            link: holder,
            session: format!("s{epoch}"),
            epoch,
            sent,
            heard,
        }
    }

    fn ledger(words: &[Word]) -> Ledger {
        let mut ledger = Ledger::default();
        words.iter().cloned().for_each(|word| ledger.holds(word));
        ledger
    }

    #[test]
    fn one_after_the_other_is_no_contradiction_even_where_the_answers_cross() {
        let words = [
            word(1, 5, 0, 10),
            word(1, 5, 20, 90),
            word(2, 9, 30, 40),
            word(3, 12, 50, 60),
        ];
        assert_eq!(ledger(&words).contradictions(), [""; 0]);
        assert_eq!(ledger(&words).sessions().count(), 3);
    }

    #[test]
    fn an_older_holder_who_asks_after_a_newer_one_was_told_holds_twice() {
        let words = [word(1, 5, 0, 10), word(2, 9, 30, 40), word(1, 5, 41, 50)];
        let found = ledger(&words).contradictions();
        assert!(found.len() == 1 && found[0].contains("newer holder"), "{found:?}");
    }

    #[test]
    fn two_people_under_one_epoch_or_in_one_session_are_found() {
        let mut other = word(2, 5, 0, 10);
        assert!(ledger(&[word(1, 5, 0, 10), other.clone()]).contradictions()[0].contains("one session"));
        other.session = "another".to_owned();
        assert!(ledger(&[word(1, 5, 0, 10), other]).contradictions()[0].contains("one epoch"));
    }

    #[test]
    fn whoever_asks_after_a_revocation_or_an_end_was_answered_holds_no_more() {
        let mut ledger = ledger(&[word(1, 5, 0, 10), word(1, 5, 21, 30)]);
        ledger.revoked(1, 21);
        assert_eq!(ledger.contradictions(), [""; 0], "asked before the answer");
        ledger.revoked.insert(1, 20);
        assert!(ledger.contradictions()[0].contains("revoked"));
        ledger.revoked.clear();
        ledger.ended("s5", 20);
        assert!(ledger.contradictions()[0].contains("ended"));
    }
}
