//! The bit rate of the device's encoder, which it aims at over pictures of given times: no clock is asked.

use device::android::Size;
use device::encode::{Encoder, EncoderSettings, Habit, Wishes};
use device::screen::canvas::{Canvas, Rgb};
use device::screen::layout::{Rect, full};
use device::screen::planes::Planes;

const SIZE: Size = Size {
    width: 360,
    height: 640,
};
const FPS: u32 = 30;
/// Seconds of pictures.
const LENGTH: u32 = 4;
/// Patches of another colour in each picture.
const PATCHES: u32 = 24;

/// Bits a second of a page that goes on changing.
fn bit_rate(aim: u32) -> u32 {
    let settings = EncoderSettings {
        habit: Habit::Usual,
        bit_rate: aim,
        frame_rate: FPS as f32,
        wishes: Wishes::USUAL,
    };
    let mut encoder = Encoder::new(settings).unwrap();
    let (mut canvas, mut planes) = (Canvas::new(SIZE), Planes::new(SIZE));
    let mut state = 1_u32;
    let mut roll = |sides: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % sides
    };
    let mut bytes = 0;
    for picture in 0..LENGTH * FPS {
        for _ in 0..PATCHES {
            let (x, y) = (roll(340).cast_signed(), roll(620).cast_signed());
            let rect = Rect { x, y, w: 20, h: 20 };
            canvas.fill(rect, Rgb(roll(1 << 24)));
        }
        planes.update(&canvas, full(SIZE));
        let at_ms = u64::from(picture * 1_000 / FPS);
        let encoded = encoder.encode(&planes, at_ms, picture == 0).unwrap();
        bytes += encoded.map_or(0, |encoded| encoded.unit.len());
    }
    8 * u32::try_from(bytes).unwrap() / LENGTH
}

#[test]
fn a_second_of_pictures_has_about_the_bits_that_are_asked_for() {
    for aim in [500_000, 1_000_000] {
        let is = bit_rate(aim);
        assert!(4 * is > 3 * aim && 4 * is < 5 * aim, "{is} and not {aim}");
    }
}
