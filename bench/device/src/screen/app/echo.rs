//! The echo app: a card with the text that was typed, and a cursor that does not blink.

use super::{INK, SOFT_INK, title_bar, wrap};
use crate::screen::canvas::{Canvas, Rgb};
use crate::screen::font::{Fonts, Style};
use crate::screen::layout::{Rect, dp, full};

const GROUND: Rgb = Rgb(0xee_f3f0);
const ACCENT: Rgb = Rgb(0x2d_9c6f);

pub(in crate::screen) fn draw(canvas: &mut Canvas, fonts: &mut Fonts, typed: &str) {
    let below = title_bar(canvas, fonts, ACCENT, "Echo");
    let full = full(canvas.size());
    let ground = Rect {
        y: below,
        h: full.h - below,
        ..full
    };
    canvas.fill(ground, GROUND);
    text(canvas, fonts, typed);
}

/// The card anew, with the end of the text if it is too long.
pub(in crate::screen) fn text(canvas: &mut Canvas, fonts: &mut Fonts, typed: &str) {
    let dp = dp(canvas.size());
    let full = full(canvas.size());
    let card = Rect {
        x: 16 * dp,
        y: 96 * dp,
        w: full.w - 32 * dp,
        h: full.h - 116 * dp,
    };
    canvas.round_rect(card, 12 * dp, Rgb(0xff_ffff));
    let hint = Style {
        px: 14 * dp,
        colour: SOFT_INK,
    };
    let count = typed.chars().count();
    let note = match count {
        0 => "Type something".to_owned(),
        1 => "1 character".to_owned(),
        _ => format!("{count} characters"),
    };
    fonts.text(canvas, (card.x + 18 * dp, card.y + 30 * dp), hint, &note);
    let body = Style {
        px: 24 * dp,
        colour: INK,
    };
    let (left, line_height) = (card.x + 18 * dp, 36 * dp);
    let lines = wrap(fonts, body.px, card.w - 36 * dp, typed);
    let room = usize::try_from((card.h - 56 * dp) / line_height)
        .unwrap_or(0)
        .max(1);
    let mut cursor = (left, card.y + 72 * dp);
    for (row, line) in (0..).zip(&lines[lines.len().saturating_sub(room)..]) {
        let baseline = card.y + 72 * dp + row * line_height;
        cursor = (fonts.text(canvas, (left, baseline), body, line), baseline);
    }
    let bar = Rect {
        x: cursor.0 + dp,
        y: cursor.1 - 22 * dp,
        w: 2 * dp,
        h: 28 * dp,
    };
    canvas.fill(bar, ACCENT);
}
