//! A picture as an encoder wants it: luma for every pixel, two chroma values for every square of four.
//!
//! ```text
//!   Y = 16 + (47 R + 157 G + 16 B) / 256        BT.709, limited range, in whole numbers;
//!   U = 128 + (-26 R - 87 G + 113 B) / 256      the H.264 stream says the same of itself
//!   V = 128 + (113 R - 103 G - 10 B) / 256      U and V of the mean of the four
//! ```

use super::canvas::Canvas;
use super::layout::Rect;
use crate::android::Size;

/// Three planes in 4:2:0.
#[derive(Debug, Clone)]
pub struct Planes {
    size: Size,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Planes {
    /// Black planes for a picture of even width and height.
    pub fn new(size: Size) -> Self {
        let len = usize::from(size.width) * usize::from(size.height);
        Self {
            size,
            y: vec![16; len],
            u: vec![128; len / 4],
            v: vec![128; len / 4],
        }
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Luma, and the two chroma planes.
    pub fn yuv(&self) -> (&[u8], &[u8], &[u8]) {
        (&self.y, &self.u, &self.v)
    }

    /// Takes over a part of a canvas of the same size; the part grows to whole squares of four.
    pub fn update(&mut self, canvas: &Canvas, part: Rect) {
        debug_assert_eq!(canvas.size(), self.size);
        let part = part.on(self.size);
        let index = |value: i32| usize::try_from(value).unwrap_or(0);
        let (left, right) = (index(part.x) & !1, (index(part.x + part.w) + 1) & !1);
        let (top, bottom) = (index(part.y) & !1, (index(part.y + part.h) + 1) & !1);
        let width = usize::from(self.size.width);
        for y in (top..bottom).step_by(2) {
            let row = y * width;
            let (upper, lower) = (row + left..row + right, row + width + left..row + width + right);
            let (above, below) = (&canvas.pixels()[upper.clone()], &canvas.pixels()[lower.clone()]);
            luma(above, &mut self.y[upper]);
            luma(below, &mut self.y[lower]);
            let chroma_row = row / 4 + left / 2..row / 4 + right / 2;
            chroma(
                above,
                below,
                &mut self.u[chroma_row.clone()],
                &mut self.v[chroma_row],
            );
        }
    }
}

fn luma(pixels: &[u32], out: &mut [u8]) {
    for (pixel, y) in pixels.iter().zip(out) {
        let (r, g, b) = (pixel >> 16 & 0xff, pixel >> 8 & 0xff, pixel & 0xff);
        *y = (((47 * r + 157 * g + 16 * b + 128) >> 8) + 16) as u8;
    }
}

fn chroma(above: &[u32], below: &[u32], u: &mut [u8], v: &mut [u8]) {
    let squares = above.chunks_exact(2).zip(below.chunks_exact(2));
    for ((above, below), (u, v)) in squares.zip(u.iter_mut().zip(v)) {
        // Red and blue are 16 bits apart, so that four of each add up without meeting.
        let red_blue: u32 = [above[0], above[1], below[0], below[1]]
            .iter()
            .map(|p| p & 0xff_00ff)
            .sum();
        let green: u32 = [above[0], above[1], below[0], below[1]]
            .iter()
            .map(|p| p >> 8 & 0xff)
            .sum();
        let (r, g, b) = ((red_blue >> 16) as i32, green as i32, (red_blue & 0xffff) as i32);
        *u = (((-26 * r - 87 * g + 113 * b + 512) >> 10) + 128) as u8;
        *v = (((113 * r - 103 * g - 10 * b + 512) >> 10) + 128) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::canvas::Rgb;
    use crate::screen::layout::full;

    #[test]
    fn grey_has_no_colour_and_white_is_235() {
        let size = Size { width: 4, height: 4 };
        let mut canvas = Canvas::new(size);
        let mut planes = Planes::new(size);
        for (grey, luma) in [(0u32, 16), (0x80, 126), (0xff, 235)] {
            canvas.fill(full(size), Rgb(grey * 0x1_0101));
            planes.update(&canvas, full(size));
            assert_eq!(planes.y, [luma; 16]);
            assert_eq!((&planes.u[..], &planes.v[..]), (&[128; 4][..], &[128; 4][..]));
        }
    }

    #[test]
    fn an_odd_part_takes_its_whole_squares() {
        let size = Size { width: 8, height: 8 };
        let mut canvas = Canvas::new(size);
        let mut planes = Planes::new(size);
        canvas.fill(full(size), Rgb(0xff_ffff));
        planes.update(
            &canvas,
            Rect {
                x: 3,
                y: 3,
                w: 1,
                h: 1,
            },
        );
        let white = planes.y.iter().filter(|&&y| y == 235).count();
        assert_eq!(white, 4);
        assert_eq!(planes.y[2 * 8 + 2], 235);
    }
}
