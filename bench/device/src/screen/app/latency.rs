//! The latency app: a target that turns over from one colour to the other when a finger comes down, and the barcode
//! that counts the touches. All of the target changes, so that any part of it shows the answer. The barcode changes at
//! every tick of the display, so that the age of every picture can be told, touched or not.

use crate::screen::app::WHITE;
use crate::screen::barcode::{self, Barcode};
use crate::screen::canvas::{Canvas, Rgb};
use crate::screen::font::{Fonts, Style};
use crate::screen::layout::{Rect, dp, full};

/// The target after an even number of touches.
const EVEN: Rgb = Rgb(0x14_3a66);
/// The target after an odd number of touches.
const ODD: Rgb = Rgb(0xff_d23f);
const GROUND: Rgb = Rgb(0x22_2b45);

pub(in crate::screen) fn draw(canvas: &mut Canvas, fonts: &mut Fonts, code: Barcode) {
    canvas.fill(full(canvas.size()), GROUND);
    update(canvas, fonts, code);
}

/// The target and the barcode anew.
pub(in crate::screen) fn update(canvas: &mut Canvas, fonts: &mut Fonts, code: Barcode) {
    let (dp, full) = (dp(canvas.size()), full(canvas.size()));
    let code_area = barcode::area(canvas.size());
    let top = code_area.y + code_area.h + 12 * dp;
    let target = Rect {
        x: 16 * dp,
        y: top,
        w: full.w - 32 * dp,
        h: full.h - top - 16 * dp,
    };
    let odd = code.touches % 2 == 1;
    canvas.fill(target, if odd { ODD } else { EVEN });
    let middle = (target.x + target.w / 2, target.y + target.h / 2);
    let number = Style {
        px: 72 * dp,
        colour: if odd { EVEN } else { WHITE },
    };
    fonts.centred(canvas, middle, number, &code.touches.to_string());
    let hint = Style {
        px: 18 * dp,
        ..number
    };
    fonts.centred(canvas, (middle.0, middle.1 + 44 * dp), hint, "Touch anywhere");
    barcode::draw(canvas, code);
}
