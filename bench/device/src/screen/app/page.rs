//! The plain page of an installed package: what it is called. Its code does not run here, and the page says so.

use super::{INK, SOFT_INK, title_bar, wrap};
use crate::screen::canvas::{Canvas, Rgb};
use crate::screen::font::{Fonts, Style};
use crate::screen::layout::{dp, full};

pub(in crate::screen) fn draw(canvas: &mut Canvas, fonts: &mut Fonts, label: &str, package: &str) {
    let (dp, full) = (dp(canvas.size()), full(canvas.size()));
    canvas.fill(full, Rgb(0xf6_f7fa));
    let top = title_bar(canvas, fonts, Rgb(0x3a_4a63), label);
    let left = 24 * dp;
    let name = Style {
        px: 18 * dp,
        colour: INK,
    };
    let note = Style {
        px: 15 * dp,
        colour: SOFT_INK,
    };
    let mut y = top + 48 * dp;
    for (style, text) in [
        (name, package),
        (note, "Installed. Its code does not run on this device."),
    ] {
        for line in wrap(fonts, style.px, full.w - 2 * left, text) {
            fonts.text(canvas, (left, y), style, &line);
            y += style.px * 3 / 2;
        }
    }
}
