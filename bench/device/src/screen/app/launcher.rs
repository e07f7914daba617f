//! The launcher: a wallpaper, a greeting, an icon for each app.

use super::{WHITE, status_bar};
use crate::android::{App, Size};
use crate::screen::canvas::{Canvas, Rgb};
use crate::screen::font::{Fonts, Style};
use crate::screen::layout::{self, Rect, dp, full};

const TOP: Rgb = Rgb(0x1a_1f4d);
const BOTTOM: Rgb = Rgb(0x0d_7f8c);
const GLOW: Rgb = Rgb(0x8f_6bff);

pub(in crate::screen) fn draw(canvas: &mut Canvas, fonts: &mut Fonts, apps: &[App]) {
    let size = canvas.size();
    let dp = dp(size);
    canvas.fill_with(full(size), |x, y| wallpaper(size, x, y));
    status_bar(canvas, fonts, WHITE);
    if size.height > size.width {
        let big = Style {
            px: 40 * dp,
            colour: WHITE,
        };
        let small = Style {
            px: 16 * dp,
            colour: Rgb(0xc9_d6f2),
        };
        let middle = i32::from(size.width) / 2;
        fonts.centred(canvas, (middle, 116 * dp), big, "Hello");
        fonts.centred(canvas, (middle, 148 * dp), small, "Touch an app to open it");
    }
    for index in 0..apps.len() {
        icon(canvas, fonts, apps, index, false);
    }
}

/// One icon with its label, on a fresh piece of wallpaper.
pub(in crate::screen) fn icon(
    canvas: &mut Canvas,
    fonts: &mut Fonts,
    apps: &[App],
    index: usize,
    pressed: bool,
) {
    let Some(&app) = apps.get(index) else {
        return;
    };
    let size = canvas.size();
    let dp = dp(size);
    let tile = layout::icon(size, index);
    let around = Rect {
        h: tile.h + 40 * dp,
        ..tile
    };
    let around = Rect {
        x: around.x - 20 * dp,
        w: around.w + 40 * dp,
        ..around
    };
    canvas.fill_with(around, |x, y| wallpaper(size, x, y));
    face(
        canvas,
        fonts,
        app,
        if pressed { tile.inset(4 * dp) } else { tile },
    );
    let label = Style {
        px: 14 * dp,
        colour: WHITE,
    };
    let below = (tile.x + tile.w / 2, tile.y + tile.h + 22 * dp);
    fonts.centred(canvas, below, label, app.label());
}

/// A diagonal of two colours with a soft light in a corner.
fn wallpaper(size: Size, x: i32, y: i32) -> Rgb {
    let (w, h) = (i32::from(size.width), i32::from(size.height));
    let down = (y * 192 / h + x * 64 / w).clamp(0, 256) as u32;
    let ground = TOP.under(BOTTOM, down);
    let (dx, dy) = (x - w * 4 / 5, y - h / 8);
    let reach = i64::from(w.max(h)) * i64::from(w.max(h)) / 6;
    let far = i64::from(dx) * i64::from(dx) + i64::from(dy) * i64::from(dy);
    let glow = ((reach - far).max(0) * 120 / reach) as u32;
    ground.under(GLOW, glow)
}

fn face(canvas: &mut Canvas, fonts: &mut Fonts, app: App, tile: Rect) {
    let unit = tile.w / 16;
    let (cx, cy) = (tile.x + tile.w / 2, tile.y + tile.h / 2);
    let ground = |canvas: &mut Canvas, colour: u32| canvas.round_rect(tile, 4 * unit, Rgb(colour));
    match app {
        App::Paint => {
            ground(canvas, 0xff_f6e8);
            canvas.disc((cx - 2 * unit, cy - 2 * unit), 4 * unit, Rgb(0xff_5a5f));
            canvas.disc_alpha((cx + 2 * unit, cy - unit), 4 * unit, Rgb(0x2f_80ed), 220);
            canvas.disc_alpha((cx, cy + 3 * unit), 4 * unit, Rgb(0xf2_b705), 220);
        }
        App::Echo => {
            ground(canvas, 0x2d_9c6f);
            let letters = Style {
                px: 9 * unit,
                colour: WHITE,
            };
            fonts.centred(canvas, (cx, cy + 3 * unit), letters, "Aa");
        }
        App::Still => {
            ground(canvas, 0x79_c2f2);
            canvas.clipped(tile.inset(unit), |canvas| {
                canvas.disc((cx + 3 * unit, cy - 3 * unit), 2 * unit, Rgb(0xff_e08a));
                canvas.disc((cx - 4 * unit, cy + 9 * unit), 8 * unit, Rgb(0x2b_6e8f));
                canvas.disc((cx + 4 * unit, cy + 10 * unit), 8 * unit, Rgb(0x1f_4f6b));
            });
        }
        App::Motion => {
            ground(canvas, 0xff_7a45);
            for (bar, length) in [(0, 10), (1, 7), (2, 9)] {
                let stripe = Rect {
                    x: tile.x + 3 * unit + bar * unit / 2,
                    y: tile.y + 4 * unit + bar * 3 * unit,
                    w: length * unit,
                    h: 2 * unit,
                };
                canvas.round_rect(stripe, unit, WHITE);
            }
        }
        App::Latency => {
            ground(canvas, 0x22_2b45);
            for (radius, colour) in [(6, 0xff_ffff), (4, 0xe5_3e5a), (2, 0xff_ffff)] {
                canvas.disc((cx, cy), radius * unit, Rgb(colour));
            }
        }
        App::Launcher | App::Installed(_) => ground(canvas, 0x55_5f7a),
    }
}
