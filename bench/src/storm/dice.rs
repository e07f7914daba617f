//! The dice of a storm: who acts, who dies, and when. SplitMix64 (Steele, Lea, Flood 2014).
//!
//! ```text
//!   seed ─► Dice ─┬─ child(0) ─► who dies when
//!                 ├─ child(1) ─► the first person …
//! ```
//!
//! One seed, the same throws for everybody who acts. Real processes and a real network decide what comes between
//! them: a seed brings back the plan of a storm, not its every step. It knows nothing of what is thrown for.

use std::time::Duration;

/// A row of throws.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice of their own for one who acts.
    pub(crate) fn child(&self, number: u64) -> Self {
        let mut child = Self(self.0 ^ number.wrapping_mul(0xA076_1D64_78BD_642F));
        child.throw();
        child
    }

    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// One of `0..sides`; 0 when there are none.
    pub(crate) fn below(&mut self, sides: usize) -> usize {
        let sides = u64::try_from(sides).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.throw() % sides).unwrap_or_default()
    }

    /// True in this many of a hundred throws.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// A time within a range of milliseconds, both ends included.
    pub(crate) fn ms(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.throw() % (to - from + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same_and_everybody_throws_for_himself() {
        let throws = |mut dice: Dice| [(); 8].map(|()| dice.below(1000));
        let throws = |number| throws(Dice::new(7).child(number));
        assert_eq!(throws(1), throws(1));
        assert_ne!(throws(1), throws(2));
    }
}
