//! Units that cross file boundaries as types: presentation time, picture generation, fractions of
//! a picture.

use serde::{Deserialize, Serialize};

/// Presentation time of an access unit: microseconds on the device's own monotonic clock, as
/// scrcpy delivers it. It keeps counting across encoder restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pts(pub u64);

impl Pts {
    /// The same instant on the 90 kHz clock of RTP video (RFC 6184, section 8.2.1), wrapped to 32 bits.
    #[must_use]
    pub const fn rtp_90khz(self) -> u32 {
        // u128 so that no presentation time can overflow the multiplication.
        (self.0 as u128 * 9 / 100) as u32
    }
}

/// Counts the sizes that a picture has had during one connection. A touch that was aimed at an
/// older generation may lift fingers but never press or move one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u16);

impl Generation {
    /// The generation after this one; it wraps, so of two the newer is at most half the circle ahead.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// A position along one axis of a picture, as a fraction: 0 is the left or top edge and 65 535 the
/// last step before the right or bottom edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fraction(pub u16);

impl Fraction {
    /// The pixel under this fraction in a picture `size` pixels long: `floor(fraction * size / 65536)`,
    /// always below `size` when `size` is not zero.
    #[must_use]
    pub const fn pixel(self, size: u16) -> u16 {
        ((self.0 as u32 * size as u32) >> 16) as u16
    }

    /// A fraction in the middle of pixel `index` of a picture `size` pixels long, such that
    /// [`Self::pixel`] gives `index` back. `index` is held to the picture.
    #[must_use]
    pub const fn middle_of(index: u16, size: u16) -> Self {
        if size == 0 {
            return Self(0);
        }
        let index = if index >= size { size - 1 } else { index };
        Self((((index as u32 * 2 + 1) << 15) / size as u32) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_survives_the_way_to_a_fraction_and_back() {
        for size in [1u16, 2, 3, 45, 720, 1080, 1280, 1920, 2400, 4096, 32767] {
            for index in 0..size {
                assert_eq!(
                    Fraction::middle_of(index, size).pixel(size),
                    index,
                    "pixel {index} of {size}"
                );
            }
        }
    }

    #[test]
    fn the_last_fraction_is_inside_the_picture() {
        assert_eq!(Fraction(u16::MAX).pixel(720), 719);
        assert_eq!(Fraction(u16::MAX).pixel(u16::MAX), u16::MAX - 1);
        assert_eq!(Fraction::middle_of(9, 0), Fraction(0));
    }

    #[test]
    fn presentation_time_becomes_a_wrapping_rtp_timestamp() {
        assert_eq!(Pts(1_000_000).rtp_90khz(), 90_000);
        assert_eq!(
            Pts(u64::MAX).rtp_90khz(),
            ((u128::from(u64::MAX) * 9 / 100) & 0xffff_ffff) as u32
        );
    }
}
