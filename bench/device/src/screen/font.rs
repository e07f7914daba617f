//! Text on the screen: outlines for Latin, Greek and Cyrillic, bitmaps for every other script.
//!
//! Outlines are Noto Sans, drawn by fontdue at any size; a character that it lacks is taken from GNU Unifont, 16
//! pixels high, in whole multiples. Both fonts are used under the SIL Open Font License. A character that neither
//! has leaves a box. There is no shaping: one character, one glyph, left to right.

use std::collections::HashMap;
use std::sync::OnceLock;

use fontdue::{Font, FontSettings, Metrics};
use unifont::Glyph;

use super::canvas::{Canvas, Rgb};
use super::layout::Rect;

/// Outline glyphs kept; when there are more, all are forgotten and made again.
const GLYPHS_MAX: usize = 2_048;

/// How text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Height of a capital letter and what is around it, in pixels.
    pub px: i32,
    /// Its colour.
    pub colour: Rgb,
}

/// Fonts with the glyphs that were used.
#[derive(Debug, Default)]
pub struct Fonts {
    glyphs: HashMap<(char, i32), (Metrics, Vec<u8>)>,
}

impl Fonts {
    /// Draws a line of text with its baseline at `y`, and tells where it ends.
    pub fn text(&mut self, canvas: &mut Canvas, (x, y): (i32, i32), style: Style, text: &str) -> i32 {
        let end = text
            .chars()
            .fold(x, |x, c| x + self.draw(canvas, (x, y), style, c));
        canvas.damage(Rect {
            x: x - style.px,
            y: y - 2 * style.px,
            w: end - x + 2 * style.px,
            h: 3 * style.px,
        });
        end
    }

    /// As [`text`](Self::text), with its middle at `x`.
    pub fn centred(&mut self, canvas: &mut Canvas, (x, y): (i32, i32), style: Style, text: &str) {
        let width = self.width(style.px, text);
        self.text(canvas, (x - width / 2, y), style, text);
    }

    /// How wide a line of text is.
    pub fn width(&mut self, px: i32, text: &str) -> i32 {
        text.chars().map(|c| self.advance(c, px)).sum()
    }

    /// How far a character moves on.
    pub fn advance(&mut self, c: char, px: i32) -> i32 {
        match (outlined(c), unifont::get_glyph(c)) {
            (false, Some(glyph)) => i32::try_from(glyph.get_width()).unwrap_or(16) * bitmap_scale(px),
            _ => self.glyph(c, px).0.advance_width.round() as i32,
        }
    }

    fn draw(&mut self, canvas: &mut Canvas, at: (i32, i32), style: Style, c: char) -> i32 {
        match (outlined(c), unifont::get_glyph(c)) {
            (false, Some(glyph)) => draw_bitmap(canvas, at, style, glyph),
            _ => {
                let (metrics, coverage) = self.glyph(c, style.px);
                draw_coverage(canvas, at, style.colour, metrics, coverage);
            }
        }
        self.advance(c, style.px)
    }

    fn glyph(&mut self, c: char, px: i32) -> &(Metrics, Vec<u8>) {
        if self.glyphs.len() >= GLYPHS_MAX {
            self.glyphs.clear();
        }
        self.glyphs
            .entry((c, px))
            .or_insert_with(|| outlines().rasterize(c, px as f32))
    }
}

/// The one place that parses the font; a few milliseconds, once.
fn outlines() -> &'static Font {
    static FONT: OnceLock<Font> = OnceLock::new();
    FONT.get_or_init(|| {
        Font::from_bytes(ttf_noto_sans::REGULAR, FontSettings::default())
            .expect("the font that is built in parses")
    })
}

fn outlined(c: char) -> bool {
    outlines().lookup_glyph_index(c) != 0
}

/// Unifont's pixels are as large as makes it about as high as the outlines.
fn bitmap_scale(px: i32) -> i32 {
    ((px + 4) / 16).max(1)
}

fn draw_bitmap(canvas: &mut Canvas, (x, y): (i32, i32), style: Style, glyph: &Glyph) {
    /// Rows of a glyph above the baseline.
    const ASCENT: i32 = 14;
    let scale = bitmap_scale(style.px);
    for row in 0..16 {
        for column in 0..16 {
            let (px, py) = (
                usize::try_from(column).unwrap_or(0),
                usize::try_from(row).unwrap_or(0),
            );
            if glyph.get_pixel(px, py) {
                let dot = Rect {
                    x: x + column * scale,
                    y: y + (row - ASCENT) * scale,
                    w: scale,
                    h: scale,
                };
                canvas.fill(dot, style.colour);
            }
        }
    }
}

fn draw_coverage(canvas: &mut Canvas, (x, y): (i32, i32), colour: Rgb, metrics: &Metrics, coverage: &[u8]) {
    let height = i32::try_from(metrics.height).unwrap_or(0);
    let top = y - metrics.ymin - height;
    for (row, line) in (top..).zip(coverage.chunks(metrics.width.max(1))) {
        for (column, &covered) in (x + metrics.xmin..).zip(line) {
            if covered > 0 {
                canvas.blend(column, row, colour, u32::from(covered) * 256 / 255);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::android::Size;

    fn ink(text: &str) -> usize {
        let mut canvas = Canvas::new(Size {
            width: 200,
            height: 80,
        });
        let style = Style {
            px: 40,
            colour: Rgb(0xff_ffff),
        };
        Fonts::default().text(&mut canvas, (10, 60), style, text);
        canvas.pixels().iter().filter(|&&pixel| pixel != 0).count()
    }

    #[test]
    fn every_script_leaves_ink() {
        for text in ["A", "é", "Ж", "日", "語", "한", "あ", "ع", "€"] {
            assert!(ink(text) > 60, "{text}: {}", ink(text));
        }
        assert_eq!(ink(" "), 0);
    }

    #[test]
    fn an_accent_is_more_ink_than_its_letter() {
        assert!(ink("é") > ink("e"));
    }

    #[test]
    fn a_wide_character_takes_more_room() {
        let mut fonts = Fonts::default();
        assert!(fonts.width(40, "日本") > fonts.width(40, "il"));
    }
}
