//! The dice of a world: a small generator (SplitMix64, Steele and others 2014), the same for ever for one seed.

/// A row of throws.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xA076_1D64_78BD_642F))
    }

    pub(super) fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One of `0..sides`.
    pub(super) fn below(&mut self, sides: usize) -> usize {
        (self.throw() % sides.max(1) as u64) as usize
    }

    /// True in this many of a hundred throws.
    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.throw() % 100 < chance
    }

    /// One of a range of milliseconds, both ends included.
    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.throw() % (to - from + 1)
    }
}
