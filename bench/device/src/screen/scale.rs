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

/// The size of a capture: the longer side at most `max`, then both rounded down to a multiple of `alignment`.
pub fn capture_size(display: Size, max: Option<u16>, alignment: u16) -> Size {
    let longer = display.width.max(display.height);
    let max = max.unwrap_or(longer).min(longer);
    let fit = |side: u16| {
        let side = u32::from(side) * u32::from(max) / u32::from(longer);
        let aligned = side / u32::from(alignment) * u32::from(alignment);
        u16::try_from(aligned).unwrap_or(u16::MAX).max(alignment)
    };
    Size {
        width: fit(display.width),
        height: fit(display.height),
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
        assert_eq!(capture_size(PHONE, None, 2), PHONE);
        assert_eq!(capture_size(PHONE, Some(4_000), 8), PHONE);
        let half = Size {
            width: 360,
            height: 640,
        };
        assert_eq!(capture_size(PHONE, Some(640), 8), half);
        let odd = Size {
            width: 560,
            height: 1_000,
        };
        assert_eq!(capture_size(PHONE, Some(1_001), 8), odd);
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
