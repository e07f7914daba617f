//! The paint app: strokes on paper, a colour per pointer. Every pixel of a stroke has exactly its colour.

use super::title_bar;
use crate::android::{Segment, Size};
use crate::screen::canvas::{Canvas, Rgb};
use crate::screen::font::Fonts;
use crate::screen::layout::{PALETTE_LEN, Rect, dp, full};

/// What is not painted on, below the title.
pub const PAPER: Rgb = Rgb(0xff_fbf2);

/// The colours of strokes, by the pointer's number modulo ten.
pub const PALETTE: [Rgb; PALETTE_LEN as usize] = [
    Rgb(0x2f_80ed),
    Rgb(0xeb_5757),
    Rgb(0x27_ae60),
    Rgb(0xf2_994a),
    Rgb(0x9b_51e0),
    Rgb(0x00_a8b5),
    Rgb(0xd6_3384),
    Rgb(0x6b_4f3a),
    Rgb(0x85_b716),
    Rgb(0x22_2b45),
];

/// Half a stroke's width in pixels.
pub fn stroke_radius(size: Size) -> i32 {
    4 * dp(size)
}

pub(in crate::screen) fn draw(canvas: &mut Canvas, fonts: &mut Fonts) {
    let below = title_bar(canvas, fonts, Rgb(0x3d_4f9f), "Paint");
    let full = full(canvas.size());
    let sheet = Rect {
        y: below,
        h: full.h - below,
        ..full
    };
    canvas.fill(sheet, PAPER);
    let dp = dp(canvas.size());
    for (index, colour) in (0..).zip(PALETTE) {
        canvas.disc((full.w - (16 + 20 * index) * dp, 54 * dp), 6 * dp, colour);
    }
}

pub(in crate::screen) fn strokes(canvas: &mut Canvas, segments: &[Segment]) {
    let radius = stroke_radius(canvas.size());
    for segment in segments {
        let colour = PALETTE[usize::from(segment.colour % PALETTE_LEN)];
        canvas.stroke(segment.from, segment.to, radius, colour);
    }
}
