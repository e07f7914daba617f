//! The motion app: a feed that rolls by, a new picture at every tick of the display.
//!
//! The feed is drawn once, higher than the screen; a picture is two copies of its rows. Above it are the barcode and a
//! player whose waves change everywhere at once: what merely rolls by costs an encoder next to nothing.

use std::time::Duration;

use super::{INK, SOFT_INK, WHITE};
use crate::android::Size;
use crate::screen::barcode;
use crate::screen::canvas::{Canvas, Rgb};
use crate::screen::font::{Fonts, Style};
use crate::screen::layout::{Rect, dp, full};

/// Pixels that the feed rolls in a second: two a picture at 60 Hz, so that chroma moves by whole samples.
const PIXELS_PER_SECOND: u128 = 120;

const CARDS: [(&str, u32); 8] = [
    ("Harbour", 0x2f_80ed),
    ("Orchard", 0x27_ae60),
    ("Lantern", 0xf2_994a),
    ("Meadow", 0x85_b716),
    ("Canyon", 0xeb_5757),
    ("Glacier", 0x00_a8b5),
    ("Orchid", 0xd6_3384),
    ("Twilight", 0x9b_51e0),
];

/// The feed, drawn once for a size.
#[derive(Debug)]
pub(in crate::screen) struct Feed {
    canvas: Canvas,
    /// A turn of a sine in 256 steps, 0 to 63.
    wave: [i32; 256],
    /// Of the sums of four waves.
    colours: [Rgb; 256],
}

impl Feed {
    pub(in crate::screen) fn new(size: Size, fonts: &mut Fonts) -> Self {
        let dp = dp(size);
        let step = 180 * dp;
        let height = step * i32::try_from(CARDS.len()).unwrap_or(1);
        let mut canvas = Canvas::new(Size {
            width: size.width,
            height: u16::try_from(height).unwrap_or(u16::MAX),
        });
        canvas.fill(full(canvas.size()), Rgb(0xef_f2f8));
        for (row, (name, colour)) in (0..).zip(CARDS) {
            card(&mut canvas, fonts, row * step, name, Rgb(colour));
        }
        let sine = |step: usize| (step as f32 / 256.0 * std::f32::consts::TAU).sin();
        let dark = Rgb(0x16_1c3d);
        Self {
            canvas,
            // From 0 to 63: four of them stay below 256.
            wave: std::array::from_fn(|step| ((sine(step) + 1.0) * 31.5) as i32),
            colours: std::array::from_fn(|sum| {
                let heat = (sum * 2) as u32;
                match heat {
                    0..=255 => dark.under(Rgb(0xd6_3384), heat),
                    _ => Rgb(0xd6_3384).under(Rgb(0xff_e08a), heat - 255),
                }
            }),
        }
    }

    /// The picture at a time since the display was switched on.
    pub(in crate::screen) fn draw(&self, canvas: &mut Canvas, elapsed: Duration, code: barcode::Barcode) {
        let size = canvas.size();
        let rows = self.canvas.pixels();
        let height = u128::from(self.canvas.size().height);
        let offset = elapsed.as_micros() * PIXELS_PER_SECOND / 1_000_000 / 2 * 2 % height;
        let width = usize::from(size.width);
        let mut y = header(size) + player_height(size);
        let mut from = usize::try_from(offset).unwrap_or(0) * width;
        while y < i32::from(size.height) {
            let part = &rows[from..];
            canvas.copy_rows(y, part);
            y += i32::try_from(part.len() / width).unwrap_or(i32::MAX);
            from = 0;
        }
        self.waves(canvas, elapsed);
        barcode::draw(canvas, code);
    }

    /// Three waves that run through each other, in pixels of two by two.
    fn waves(&self, canvas: &mut Canvas, elapsed: Duration) {
        let size = canvas.size();
        let at = Rect {
            y: header(size),
            h: player_height(size),
            ..full(size)
        };
        // A quarter of a turn a second is 64 of the table's 256 steps.
        let time = (elapsed.as_millis() * 64 / 1_000 % 25_600) as i32;
        let wave = |turn: i32| self.wave[(turn & 0xff) as usize];
        let unit = dp(size);
        canvas.fill_with(at, |x, y| {
            let (x, y) = ((x & !1) / unit, (y & !1) / unit);
            let sum = wave(x + time) + wave(2 * y - 2 * time) + wave((x + y) / 2 + 3 * time);
            self.colours[(sum + wave(x / 2 - y + time)) as usize & 0xff]
        });
    }

    /// What stands still: the band behind the barcode.
    pub(in crate::screen) fn draw_header(canvas: &mut Canvas) {
        let band = Rect {
            h: header(canvas.size()),
            ..full(canvas.size())
        };
        canvas.fill(band, Rgb(0x22_2b45));
    }
}

fn player_height(size: Size) -> i32 {
    full(size).h / 4
}

fn header(size: Size) -> i32 {
    let area = barcode::area(size);
    area.y + area.h + dp(size) * 4
}

fn card(canvas: &mut Canvas, fonts: &mut Fonts, top: i32, name: &str, colour: Rgb) {
    let dp = dp(canvas.size());
    let tile = Rect {
        x: 16 * dp,
        y: top + 10 * dp,
        w: full(canvas.size()).w - 32 * dp,
        h: 160 * dp,
    };
    canvas.round_rect(tile, 14 * dp, WHITE);
    let picture = Rect {
        x: tile.x + 14 * dp,
        y: tile.y + 14 * dp,
        w: 96 * dp,
        h: 132 * dp,
    };
    canvas.round_rect(picture, 10 * dp, colour);
    canvas.clipped(picture, |canvas| {
        let (cx, cy) = (picture.x + picture.w / 2, picture.y + picture.h);
        canvas.disc_alpha((cx - 20 * dp, cy), 50 * dp, WHITE, 70);
        canvas.disc_alpha((cx + 30 * dp, cy + 10 * dp), 60 * dp, WHITE, 50);
    });
    let left = picture.x + picture.w + 18 * dp;
    let title = Style {
        px: 24 * dp,
        colour: INK,
    };
    let small = Style {
        px: 15 * dp,
        colour: SOFT_INK,
    };
    fonts.text(canvas, (left, tile.y + 48 * dp), title, name);
    fonts.text(canvas, (left, tile.y + 76 * dp), small, "A place that rolls by");
    for (row, length) in [(0, 150), (1, 120), (2, 90)] {
        let line = Rect {
            x: left,
            y: tile.y + (94 + row * 16) * dp,
            w: length * dp,
            h: 6 * dp,
        };
        canvas.round_rect(line, 3 * dp, Rgb(0xdd_e3ee));
    }
}
