//! What each app looks like. One file an app; each has `draw`, for a picture that shows nothing of it yet, and what it
//! needs to bring a picture up to date.

pub(super) mod echo;
pub(super) mod latency;
pub(super) mod launcher;
pub(super) mod motion;
pub(super) mod page;
pub mod paint;
pub(super) mod still;

use super::canvas::{Canvas, Rgb};
use super::font::{Fonts, Style};
use super::layout::{Rect, dp, full};

/// Text on light ground.
const INK: Rgb = Rgb(0x1b_2333);
/// Lesser text on light ground.
const SOFT_INK: Rgb = Rgb(0x5d_6880);
/// Text on dark ground.
const WHITE: Rgb = Rgb(0xff_ffff);

/// The strip at the top: whose device this is, signal and battery. No clock: a still screen has to stay still.
fn status_bar(canvas: &mut Canvas, fonts: &mut Fonts, colour: Rgb) {
    let size = canvas.size();
    let (dp, right) = (dp(size), i32::from(size.width));
    let style = Style { px: 13 * dp, colour };
    fonts.text(canvas, (16 * dp, 19 * dp), style, "Farglass");
    for bar in 0..4 {
        let height = (4 + 2 * bar) * dp;
        let signal = Rect {
            x: right - 64 * dp + bar * 5 * dp,
            y: 19 * dp - height,
            w: 3 * dp,
            h: height,
        };
        canvas.round_rect(signal, dp, colour);
    }
    let battery = Rect {
        x: right - 38 * dp,
        y: 9 * dp,
        w: 20 * dp,
        h: 10 * dp,
    };
    canvas.round_rect(battery, 3 * dp, colour);
    let tip = Rect {
        x: battery.x + battery.w + dp,
        y: battery.y + 3 * dp,
        w: 2 * dp,
        h: 4 * dp,
    };
    canvas.round_rect(tip, dp, colour);
}

/// The title below the status bar, in a band of one colour; returns the first row below.
fn title_bar(canvas: &mut Canvas, fonts: &mut Fonts, band: Rgb, title: &str) -> i32 {
    let (dp, full) = (dp(canvas.size()), full(canvas.size()));
    let height = 76 * dp;
    canvas.fill(Rect { h: height, ..full }, band);
    status_bar(canvas, fonts, WHITE);
    let style = Style {
        px: 22 * dp,
        colour: WHITE,
    };
    fonts.text(canvas, (20 * dp, 60 * dp), style, title);
    height
}

/// Text in lines of at most `width`, parted at spaces, and inside a word that is too long.
fn wrap(fonts: &mut Fonts, px: i32, width: i32, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let (mut line, mut used) = (String::new(), 0);
        for piece in paragraph.split_inclusive(' ') {
            let wide = fonts.width(px, piece.trim_end());
            if used + wide > width && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            for c in piece.chars() {
                let advance = fonts.advance(c, px);
                if used + advance > width && !line.is_empty() && c != ' ' {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push(c);
                used += advance;
            }
        }
        lines.push(line);
    }
    lines
}
