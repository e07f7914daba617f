//! Pixels and the few shapes that the apps are made of. Colours are `0xRRGGBB`, a pixel per u32.
//!
//! Everything that is drawn adds to the damage, one rectangle around all of it, so that only that part is converted
//! for an encoder. Shapes with an edge that is not straight are blended there by how much of a pixel they cover;
//! strokes of the paint app are not, so that a test can say exactly which pixels they own.

use super::layout::{Rect, full};
use crate::android::Size;

/// A colour, `0xRRGGBB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rgb(pub u32);

impl Rgb {
    /// Red, green, blue.
    pub fn parts(self) -> [u32; 3] {
        [self.0 >> 16 & 0xff, self.0 >> 8 & 0xff, self.0 & 0xff]
    }

    /// This colour under `over`, which covers `alpha` of 256.
    #[must_use]
    pub fn under(self, over: Self, alpha: u32) -> Self {
        let ([r, g, b], [or, og, ob]) = (self.parts(), over.parts());
        let mix = |below: u32, above: u32| (below * (256 - alpha) + above * alpha) >> 8;
        Self(mix(r, or) << 16 | mix(g, og) << 8 | mix(b, ob))
    }
}

/// A picture that is drawn on.
#[derive(Debug, Clone)]
pub struct Canvas {
    size: Size,
    pixels: Vec<u32>,
    damage: Option<Rect>,
    clip: Rect,
}

/// A part of a picture as it was.
#[derive(Debug, Clone)]
pub struct Patch {
    rect: Rect,
    /// Row by row.
    pixels: Vec<u32>,
}

impl Canvas {
    /// A black picture, all of it damaged.
    pub fn new(size: Size) -> Self {
        Self {
            size,
            pixels: vec![0; usize::from(size.width) * usize::from(size.height)],
            damage: Some(full(size)),
            clip: full(size),
        }
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        self.size
    }

    /// All pixels, row by row, `0xRRGGBB`.
    pub fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// The colour of a pixel on the picture.
    pub fn pixel(&self, x: i32, y: i32) -> Option<Rgb> {
        let inside = full(self.size).contains((x, y));
        inside.then(|| Rgb(self.pixels[self.index(x, y)]))
    }

    /// What was drawn on since the last call.
    pub fn take_damage(&mut self) -> Option<Rect> {
        self.damage.take()
    }

    /// Draws with everything outside `clip` protected.
    pub fn clipped(&mut self, clip: Rect, draw: impl FnOnce(&mut Self)) {
        let before = self.clip;
        self.clip = clip.on(self.size);
        draw(self);
        self.clip = before;
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, rect: Rect, colour: Rgb) {
        let rect = self.visible(rect);
        for y in rect.y..rect.y + rect.h {
            self.row_mut(rect, y).fill(colour.0);
        }
    }

    /// Fills a rectangle by a function of the position.
    pub fn fill_with(&mut self, rect: Rect, colour: impl Fn(i32, i32) -> Rgb) {
        let rect = self.visible(rect);
        for y in rect.y..rect.y + rect.h {
            for (x, pixel) in (rect.x..).zip(self.row_mut(rect, y)) {
                *pixel = colour(x, y).0;
            }
        }
    }

    /// Copies rows of the picture's full width to `y` and below.
    pub fn copy_rows(&mut self, y: i32, rows: &[u32]) {
        let width = i32::from(self.size.width);
        let h = i32::try_from(rows.len()).unwrap_or(i32::MAX) / width;
        let rect = self.visible(Rect { x: 0, y, w: width, h });
        let from = usize::try_from(rect.y - y).unwrap_or(0) * usize::from(self.size.width);
        let len = usize::try_from(rect.w * rect.h).unwrap_or(0);
        let at = self.index(0, rect.y);
        if rect.w == width {
            self.pixels[at..at + len].copy_from_slice(&rows[from..from + len]);
        }
    }

    /// What is on a rectangle now, as far as that lies on the picture.
    pub fn patch(&self, rect: Rect) -> Patch {
        let rect = rect.on(self.size);
        let len = usize::try_from(rect.w).unwrap_or(0);
        let pixels = (rect.y..rect.y + rect.h).flat_map(|y| {
            let start = self.index(rect.x, y);
            &self.pixels[start..start + len]
        });
        Patch {
            rect,
            pixels: pixels.copied().collect(),
        }
    }

    /// Makes a part of the picture again what it was.
    pub fn put_back(&mut self, patch: &Patch) {
        let Rect { x, y, w, .. } = patch.rect;
        let rect = self.visible(patch.rect);
        let (width, skipped) = (
            usize::try_from(w).unwrap_or(0),
            usize::try_from(rect.x - x).unwrap_or(0),
        );
        for row in rect.y..rect.y + rect.h {
            let from = usize::try_from(row - y).unwrap_or(0) * width + skipped;
            let pixels = self.row_mut(rect, row);
            pixels.copy_from_slice(&patch.pixels[from..from + pixels.len()]);
        }
    }

    /// A rectangle with round corners.
    pub fn round_rect(&mut self, rect: Rect, radius: i32, colour: Rgb) {
        let (w, h, r) = (rect.w as f32 / 2.0, rect.h as f32 / 2.0, radius as f32);
        let (cx, cy) = (rect.x as f32 + w, rect.y as f32 + h);
        self.cover(rect, colour, |x, y| {
            let (dx, dy) = ((x - cx).abs() - (w - r), (y - cy).abs() - (h - r));
            let outside = (dx.max(0.0).powi(2) + dy.max(0.0).powi(2)).sqrt();
            r - outside - dx.max(dy).min(0.0)
        });
    }

    /// A full circle.
    pub fn disc(&mut self, (cx, cy): (i32, i32), radius: i32, colour: Rgb) {
        self.disc_alpha((cx, cy), radius, colour, 256);
    }

    /// A full circle that lets through what is below; `alpha` of 256.
    pub fn disc_alpha(&mut self, (cx, cy): (i32, i32), radius: i32, colour: Rgb, alpha: u32) {
        let (fx, fy, r) = (cx as f32, cy as f32, radius as f32);
        let around = Rect {
            x: cx - radius - 1,
            y: cy - radius - 1,
            w: 2 * radius + 2,
            h: 2 * radius + 2,
        };
        self.cover_alpha(around, colour, alpha, |x, y| {
            r - ((x - fx).powi(2) + (y - fy).powi(2)).sqrt()
        });
    }

    /// A line with round ends whose pixels are exactly those with a centre at most `radius` from it: no blending.
    pub fn stroke(&mut self, from: (i32, i32), to: (i32, i32), radius: i32, colour: Rgb) {
        // Far outside any picture; keeps the squares of `on_stroke` inside an i64.
        let near = |(x, y): (i32, i32)| (x.clamp(-16_384, 16_384), y.clamp(-16_384, 16_384));
        let (from, to) = (near(from), near(to));
        let around = |(x, y): (i32, i32)| Rect {
            x: x - radius,
            y: y - radius,
            w: 2 * radius + 1,
            h: 2 * radius + 1,
        };
        let rect = self.visible(around(from).union(around(to)));
        for y in rect.y..rect.y + rect.h {
            for (x, pixel) in (rect.x..).zip(self.row_mut(rect, y)) {
                if on_stroke((x, y), from, to, radius) {
                    *pixel = colour.0;
                }
            }
        }
    }

    /// Blends one colour over a pixel, `alpha` of 256.
    pub fn blend(&mut self, x: i32, y: i32, colour: Rgb, alpha: u32) {
        if self.clip.contains((x, y)) {
            let index = self.index(x, y);
            self.pixels[index] = Rgb(self.pixels[index]).under(colour, alpha).0;
        }
    }

    /// Counts a rectangle as drawn on; for those who [`blend`](Self::blend).
    pub fn damage(&mut self, rect: Rect) {
        self.visible(rect);
    }

    fn cover(&mut self, rect: Rect, colour: Rgb, inside: impl Fn(f32, f32) -> f32) {
        self.cover_alpha(rect, colour, 256, inside);
    }

    /// `inside` is the distance from the edge in pixels, positive inside.
    fn cover_alpha(&mut self, rect: Rect, colour: Rgb, alpha: u32, inside: impl Fn(f32, f32) -> f32) {
        let rect = self.visible(rect);
        for y in rect.y..rect.y + rect.h {
            for (x, pixel) in (rect.x..).zip(self.row_mut(rect, y)) {
                let covered = (inside(x as f32 + 0.5, y as f32 + 0.5) + 0.5).clamp(0.0, 1.0);
                // A float in 0…1 times 256 fits.
                let alpha = (covered * alpha as f32) as u32;
                if alpha > 0 {
                    *pixel = Rgb(*pixel).under(colour, alpha).0;
                }
            }
        }
    }

    /// The part of a rectangle that can be drawn on, which is damaged now.
    fn visible(&mut self, rect: Rect) -> Rect {
        let (x, y) = (rect.x.max(self.clip.x), rect.y.max(self.clip.y));
        let visible = Rect {
            x,
            y,
            w: ((rect.x + rect.w).min(self.clip.x + self.clip.w) - x).max(0),
            h: ((rect.y + rect.h).min(self.clip.y + self.clip.h) - y).max(0),
        };
        if visible.w > 0 && visible.h > 0 {
            self.damage = Some(self.damage.map_or(visible, |damage| damage.union(visible)));
            visible
        } else {
            Rect {
                w: 0,
                h: 0,
                ..visible
            }
        }
    }

    /// `rect` lies on the picture: it comes from `visible`.
    fn row_mut(&mut self, rect: Rect, y: i32) -> &mut [u32] {
        let start = self.index(rect.x, y);
        let len = usize::try_from(rect.w).unwrap_or(0);
        &mut self.pixels[start..start + len]
    }

    /// The position is on the picture, so neither coordinate is negative.
    fn index(&self, x: i32, y: i32) -> usize {
        usize::try_from(y).unwrap_or(0) * usize::from(self.size.width) + usize::try_from(x).unwrap_or(0)
    }
}

/// Whether a pixel is at most `radius` from the line between two pixels, in whole numbers.
fn on_stroke((x, y): (i32, i32), from: (i32, i32), to: (i32, i32), radius: i32) -> bool {
    let wide = |(x, y): (i32, i32)| (i64::from(x), i64::from(y));
    let ((x, y), (x0, y0), (x1, y1), r) = (wide((x, y)), wide(from), wide(to), i64::from(radius));
    let (dx, dy, px, py) = (x1 - x0, y1 - y0, x - x0, y - y0);
    let length = dx * dx + dy * dy;
    let along = px * dx + py * dy;
    if along <= 0 {
        px * px + py * py <= r * r
    } else if along >= length {
        (x - x1).pow(2) + (y - y1).pow(2) <= r * r
    } else {
        let across = px * dy - py * dx;
        across * across <= r * r * length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size {
        width: 40,
        height: 30,
    };

    #[test]
    fn a_stroke_owns_the_pixels_around_its_line() {
        let mut canvas = Canvas::new(SIZE);
        canvas.stroke((10, 10), (20, 10), 2, Rgb(0xff));
        let drawn = |x, y| canvas.pixel(x, y) == Some(Rgb(0xff));
        assert!(drawn(10, 8) && drawn(20, 12) && drawn(8, 10) && drawn(22, 10));
        assert!(!drawn(10, 7) && !drawn(23, 10) && !drawn(8, 8));
    }

    #[test]
    fn only_what_is_drawn_on_is_damaged() {
        let mut canvas = Canvas::new(SIZE);
        assert_eq!(canvas.take_damage(), Some(full(SIZE)));
        assert_eq!(canvas.take_damage(), None);
        canvas.fill(
            Rect {
                x: 35,
                y: -5,
                w: 10,
                h: 10,
            },
            Rgb(1),
        );
        assert_eq!(
            canvas.take_damage(),
            Some(Rect {
                x: 35,
                y: 0,
                w: 5,
                h: 5
            })
        );
        canvas.fill(
            Rect {
                x: 100,
                y: 100,
                w: 10,
                h: 10,
            },
            Rgb(1),
        );
        assert_eq!(canvas.take_damage(), None);
    }

    #[test]
    fn shapes_outside_the_picture_do_no_harm() {
        let mut canvas = Canvas::new(SIZE);
        canvas.disc((-100, 500), 20, Rgb(1));
        canvas.round_rect(
            Rect {
                x: -10,
                y: -10,
                w: 200,
                h: 200,
            },
            8,
            Rgb(2),
        );
        canvas.stroke((-5_000, 3), (i32::MAX, 3), 1, Rgb(3));
        canvas.copy_rows(-1, &[7; 40 * 40]);
        assert_eq!(canvas.pixel(0, 0), Some(Rgb(7)));
    }
}
