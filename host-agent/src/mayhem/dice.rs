//! What a seed decides: numbers, and places in a picture.
//!
//! ```text
//!   seed ─► roll ─► roll ─► …     each a number of 64 bits, the same on every machine
//! ```
//!
//! It does not know what is done with them.

use protocol::Fraction;

use crate::fingers::Place;

/// SplitMix64: small, and the same on every machine.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    pub(super) fn place(&mut self) -> Place {
        let roll = self.roll();
        Place {
            x: Fraction(roll as u16),
            y: Fraction((roll >> 16) as u16),
        }
    }
}
