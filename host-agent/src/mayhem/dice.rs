//! Places in a picture, as a seed decides.
//!
//! It does not know what is done there.

use device::dice::Dice;
use protocol::Fraction;

use crate::fingers::Place;

/// Anywhere.
pub(super) fn place(dice: &mut Dice) -> Place {
    let roll = dice.roll();
    Place {
        x: Fraction(roll as u16),
        y: Fraction((roll >> 16) as u16),
    }
}
