//! The still app: a page to look at that never changes.

use super::{INK, SOFT_INK, WHITE, status_bar, wrap};
use crate::screen::canvas::{Canvas, Rgb};
use crate::screen::font::{Fonts, Style};
use crate::screen::layout::{Rect, dp, full};

const STORY: &str = "The lake lies where two valleys meet. In the morning the far shore is only a line, and then, \
    slowly, there are trees on it.\n\nNothing on this page moves. A device that shows it sends a picture or two and \
    then falls silent, until someone touches it.";

pub(in crate::screen) fn draw(canvas: &mut Canvas, fonts: &mut Fonts) {
    let (dp, full) = (dp(canvas.size()), full(canvas.size()));
    canvas.fill(full, Rgb(0xfa_fbfd));
    let picture = Rect {
        h: (full.h * 2 / 5).max(120 * dp),
        ..full
    };
    landscape(canvas, picture);
    status_bar(canvas, fonts, WHITE);
    let title = Style {
        px: 30 * dp,
        colour: INK,
    };
    let left = 24 * dp;
    fonts.text(canvas, (left, picture.h + 52 * dp), title, "A quiet lake");
    let small = Style {
        px: 14 * dp,
        colour: SOFT_INK,
    };
    fonts.text(
        canvas,
        (left, picture.h + 78 * dp),
        small,
        "Still · two minutes to read",
    );
    let body = Style {
        px: 18 * dp,
        colour: INK,
    };
    let lines = wrap(fonts, body.px, full.w - 2 * left, STORY);
    for (row, line) in (0..).zip(&lines) {
        fonts.text(canvas, (left, picture.h + 122 * dp + row * 28 * dp), body, line);
    }
}

fn landscape(canvas: &mut Canvas, picture: Rect) {
    let (w, h) = (picture.w, picture.h);
    let (dawn, day) = (Rgb(0xff_b88c), Rgb(0x4a_7fc1));
    canvas.fill_with(picture, |_, y| {
        day.under(dawn, (y * 256 / h).clamp(0, 256) as u32)
    });
    canvas.clipped(picture, |canvas| {
        canvas.disc_alpha((w * 7 / 10, h * 9 / 20), h / 5, Rgb(0xff_f3d6), 70);
        canvas.disc((w * 7 / 10, h * 9 / 20), h / 9, Rgb(0xff_f3d6));
        for (x, y, radius, colour) in [
            (w / 5, h * 5 / 4, h * 3 / 4, 0x6d_86b3),
            (w * 4 / 5, h * 27 / 20, h * 4 / 5, 0x57_739f),
            (w / 2, h * 31 / 20, h * 9 / 10, 0x3f_5b85),
            (0, h * 8 / 5, h * 4 / 5, 0x2c_4566),
        ] {
            canvas.disc((x, y), radius, Rgb(colour));
        }
        let shore = h * 4 / 5;
        let water = Rect {
            y: shore,
            h: h - shore,
            ..picture
        };
        let (near, far) = (Rgb(0x27_4b6d), Rgb(0x86_9fbd));
        canvas.fill_with(water, |_, y| {
            far.under(near, ((y - shore) * 256 / (h - shore)).clamp(0, 256) as u32)
        });
    });
}
