//! The barcode by which a measurement recognises a picture, wherever it sees it.
//!
//! ```text
//!   cell = floor(min(width, height) / 45) pixels, left = cell, top = 2 × cell
//!   3 rows × 40 cells: white, black, then 38 bits, most significant first, white = 1
//!   114 bits = frame u32 · touches u32 · time u32 · crc16 (CCITT-FALSE of these 12 bytes) · 00
//! ```
//!
//! Time is that of drawing: unix time in units of 100 µs, its low 32 bits.

use super::canvas::{Canvas, Rgb};
use super::layout::Rect;
use crate::android::Size;

/// What the barcode says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Barcode {
    /// Number of the picture.
    pub frame: u32,
    /// Touches that the app has seen, 0 = none yet.
    pub touches: u32,
    /// Unix time of drawing in units of 100 µs, low 32 bits.
    pub time: u32,
}

const ROWS: i32 = 3;
const COLUMNS: i32 = 40;
/// Cells at the start of a row that say where it is and how bright white and black are.
const MARKS: i32 = 2;
const WHITE: Rgb = Rgb(0xff_ffff);
const BLACK: Rgb = Rgb(0);

/// Draws it with its cells and nothing around them.
pub fn draw(canvas: &mut Canvas, barcode: Barcode) {
    let size = canvas.size();
    let bits = bits(barcode);
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let white = match column - MARKS {
                -2 => true,
                -1 => false,
                bit => bits >> (127 - (row * (COLUMNS - MARKS) + bit)) & 1 == 1,
            };
            canvas.fill(cell(size, row, column), if white { WHITE } else { BLACK });
        }
    }
}

/// Reads it from the luma plane of a picture, `None` if there is none.
pub fn read(luma: &[u8], stride: usize, size: Size) -> Option<Barcode> {
    let brightness = |row, column| {
        let cell = cell(size, row, column);
        let (x, y) = (cell.x + cell.w / 2, cell.y + cell.h / 2);
        let at = usize::try_from(y).ok()? * stride + usize::try_from(x).ok()?;
        luma.get(at).copied()
    };
    let mut bits = 0u128;
    for row in 0..ROWS {
        let (white, black) = (brightness(row, 0)?, brightness(row, 1)?);
        let middle = white.midpoint(black);
        for column in MARKS..COLUMNS {
            bits = bits << 1 | u128::from(brightness(row, column)? > middle);
        }
    }
    let bytes = (bits << 14).to_be_bytes();
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let barcode = Barcode {
        frame: word(0),
        touches: word(4),
        time: word(8),
    };
    (self::bits(barcode) == bits << 14).then_some(barcode)
}

/// The space that it takes, with a cell of quiet around it.
pub fn area(size: Size) -> Rect {
    let (first, last) = (cell(size, 0, 0), cell(size, ROWS - 1, COLUMNS - 1));
    first.union(last).inset(-first.w)
}

fn cell(size: Size, row: i32, column: i32) -> Rect {
    let side = i32::from(size.width.min(size.height)) / 45;
    Rect {
        x: side + column * side,
        y: 2 * side + row * side,
        w: side,
        h: side,
    }
}

/// 114 bits at the top of a u128.
fn bits(barcode: Barcode) -> u128 {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&barcode.frame.to_be_bytes());
    bytes[4..8].copy_from_slice(&barcode.touches.to_be_bytes());
    bytes[8..12].copy_from_slice(&barcode.time.to_be_bytes());
    let crc = crc16(&bytes[..12]);
    bytes[12..14].copy_from_slice(&crc.to_be_bytes());
    u128::from_be_bytes(bytes)
}

/// CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xffff.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
            let carry = crc & 0x8000 != 0;
            crc << 1 ^ if carry { 0x1021 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size {
        width: 720,
        height: 1280,
    };

    fn drawn(barcode: Barcode) -> Vec<u8> {
        let mut canvas = Canvas::new(SIZE);
        draw(&mut canvas, barcode);
        canvas
            .pixels()
            .iter()
            .map(|&pixel| (pixel & 0xff) as u8)
            .collect()
    }

    const SAMPLE: Barcode = Barcode {
        frame: 0x0102_0304,
        touches: u32::MAX,
        time: 0xdead_beef,
    };

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc16(b"123456789"), 0x29b1);
    }

    #[test]
    fn what_is_drawn_reads_back() {
        assert_eq!(read(&drawn(SAMPLE), 720, SIZE), Some(SAMPLE));
        assert_eq!(
            read(&drawn(Barcode::default()), 720, SIZE),
            Some(Barcode::default())
        );
    }

    #[test]
    fn a_picture_without_or_with_a_broken_barcode_has_none() {
        assert_eq!(read(&vec![90; 720 * 1280], 720, SIZE), None);
        assert_eq!(read(&[], 720, SIZE), None);
        let mut luma = drawn(SAMPLE);
        let bit = cell(SIZE, 1, 20);
        let at = usize::try_from((bit.y + bit.h / 2) * 720 + bit.x + bit.w / 2).unwrap();
        luma[at] = !luma[at];
        assert_eq!(read(&luma, 720, SIZE), None);
    }

    #[test]
    fn it_lies_where_measurements_look_for_it() {
        let area = area(SIZE);
        assert_eq!(
            area,
            Rect {
                x: 0,
                y: 16,
                w: 672,
                h: 80
            }
        );
    }
}
