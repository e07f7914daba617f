//! What a seed decides: numbers, the same on every machine.
//!
//! ```text
//!   seed ─► roll ─► roll ─► …     each a number of 64 bits
//! ```
//!
//! SplitMix64, as Steele, Lea and Flood describe it: small, and good enough for moments and for input that should be anything.
//! It does not know what is done with the numbers, and nothing that has to be secret may come from it.

use std::time::Duration;

/// The dice of one seed.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The same seed, the same numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// One of the first so many numbers; `n` is at least 1.
    pub fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    /// An index into something of this length, which is at least 1.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub(crate) fn ms(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.between(least, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of two seeds, as Vigna's splitmix64 gives them.
    #[test]
    fn a_seed_gives_the_numbers_that_it_gives_everywhere() {
        for (seed, numbers) in [
            (
                0,
                [
                    0xe220_a839_7b1d_cdaf,
                    0x6e78_9e6a_a1b9_65f4,
                    0x06c4_5d18_8009_454f,
                ],
            ),
            (
                1_234_567,
                [
                    0x599e_d017_fb08_fc85,
                    0x2c73_f084_5854_0fa5,
                    0x883e_bce5_a3f2_7c77,
                ],
            ),
        ] {
            let mut dice = Dice::new(seed);
            assert_eq!(std::array::from_fn(|_| dice.roll()), numbers);
        }
    }
}
