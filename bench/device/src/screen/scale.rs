//! Makes a picture smaller for a capture with `max_size`: every new pixel is the mean of the old ones that it covers.

use super::canvas::{Canvas, Rgb};
use super::layout::full;
use crate::android::Size;

/// A smaller copy of a picture.
pub fn scaled(canvas: &Canvas, to: Size) -> Canvas {
    let from = canvas.size();
    let columns = spans(from.width, to.width);
    let rows = spans(from.height, to.height);
    let width = usize::from(from.width);
    let mut out = Canvas::new(to);
    out.fill_with(full(to), |x, y| {
        let (columns, rows) = (span(&columns, x), span(&rows, y));
        let (mut sums, mut count) = ([0u32; 3], 0);
        for row in rows.0..rows.1 {
            for pixel in &canvas.pixels()[row * width + columns.0..row * width + columns.1] {
                for (sum, part) in sums.iter_mut().zip(Rgb(*pixel).parts()) {
                    *sum += part;
                }
                count += 1;
            }
        }
        let [r, g, b] = sums.map(|sum| sum / count);
        Rgb(r << 16 | g << 8 | b)
    });
    out
}

/// How the sides of a capture become what an encoder takes: by the server's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Before 3.0: the display's sides down to a multiple of 8, and when it is made smaller, the shorter to the nearest.
    BeforeScaling,
    /// From 3.0 and before 4.0: the longer side down to a multiple of 8, the shorter to the nearest.
    ShorterToNearest,
    /// From 4.0: both down to a multiple of this, a power of two.
    Down(u16),
}

impl Rounding {
    fn down(side: u32, to: u32) -> u32 {
        side / to * to
    }

    fn nearest_8(side: u32) -> u32 {
        Self::down(side + 4, 8)
    }
}

/// The size of a capture whose longer side is at most `max`.
pub fn capture_size(display: Size, max: Option<u16>, rounding: Rounding) -> Size {
    let portrait = display.height > display.width;
    let (longer, shorter) = match portrait {
        true => (display.height.into(), display.width.into()),
        false => (display.width.into(), display.height.into()),
    };
    // Before 4.0 an odd limit is none that is a multiple of 8, and less than 8 is no limit.
    let max = max.map_or(0, u32::from);
    let max = match rounding {
        Rounding::Down(_) => max,
        _ => Rounding::down(max, 8),
    };
    let (longer, shorter) = sides(longer, shorter, max, rounding);
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
    match portrait {
        true => Size {
            width: side(shorter),
            height: side(longer),
        },
        false => Size {
            width: side(longer),
            height: side(shorter),
        },
    }
}

/// The longer and the shorter side; no limit is 0.
fn sides(longer: u32, shorter: u32, max: u32, rounding: Rounding) -> (u32, u32) {
    let (longer, shorter) = match rounding {
        Rounding::BeforeScaling => (Rounding::down(longer, 8), Rounding::down(shorter, 8)),
        _ => (longer, shorter),
    };
    let scaled = max > 0 && longer > max;
    let (longer, shorter) = match scaled {
        true => (max, shorter * max / longer),
        false => (longer, shorter),
    };
    match rounding {
        Rounding::BeforeScaling if !scaled => (longer, shorter),
        Rounding::BeforeScaling => (longer, Rounding::nearest_8(shorter)),
        Rounding::ShorterToNearest => {
            let longer = Rounding::down(longer, 8);
            (longer, Rounding::nearest_8(shorter).min(longer))
        }
        Rounding::Down(to) => {
            let to = u32::from(to);
            (
                Rounding::down(longer, to).max(to),
                Rounding::down(shorter, to).max(to),
            )
        }
    }
}

/// For each new pixel the old ones from and up to; never empty.
fn spans(from: u16, to: u16) -> Vec<(usize, usize)> {
    let (from, to) = (usize::from(from), usize::from(to));
    (0..to)
        .map(|i| (i * from / to, ((i + 1) * from / to).max(i * from / to + 1)))
        .collect()
}

fn span(spans: &[(usize, usize)], at: i32) -> (usize, usize) {
    spans[usize::try_from(at).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::layout::Rect;

    const PHONE: Size = Size {
        width: 720,
        height: 1280,
    };

    #[test]
    fn a_capture_keeps_the_shape_and_the_alignment() {
        assert_eq!(capture_size(PHONE, None, Rounding::Down(2)), PHONE);
        assert_eq!(
            capture_size(PHONE, Some(4_000), Rounding::ShorterToNearest),
            PHONE
        );
        let half = Size {
            width: 360,
            height: 640,
        };
        assert_eq!(capture_size(PHONE, Some(640), Rounding::Down(8)), half);
        let odd = Size {
            width: 560,
            height: 1_000,
        };
        assert_eq!(capture_size(PHONE, Some(1_001), Rounding::Down(8)), odd);
    }

    #[test]
    fn a_smaller_pixel_is_the_mean() {
        let mut canvas = Canvas::new(Size { width: 4, height: 2 });
        canvas.fill(
            Rect {
                x: 0,
                y: 0,
                w: 1,
                h: 2,
            },
            Rgb(0xff_ffff),
        );
        let small = scaled(&canvas, Size { width: 2, height: 1 });
        assert_eq!(small.pixels(), [0x7f_7f7f, 0]);
    }
}
