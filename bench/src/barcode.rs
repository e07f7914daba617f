//! The latency target's barcode: a picture of when and why the picture was drawn.
//!
//! ```text
//!  cell = floor(min(w, h) / 45) px   left = cell   top = 2 · cell   3 rows × 40 cells
//!  ┌─────┬─────┬──────────────────────────────────────────────┐
//!  │white│black│ 38 data bits, most significant first, white=1 │  × 3 rows = 114 bits
//!  └─────┴─────┴──────────────────────────────────────────────┘
//!   frame u32 · input u32 · time u32 · crc16 · 00
//! ```
//!
//! `frame` counts drawn frames, `input` is the number of the last touch down (0 for none), `time` is
//! the Unix time of drawing in units of 100 µs, its low 32 bits. The checksum is CRC-16/CCITT-FALSE
//! over the first 12 bytes. A code that cannot be read says why; a wrong bit is never guessed away.
//!
//! Bits arrive here as 15 packed bytes (the page's reader does the sampling, see
//! `page/barcode.js`), or are sampled from the luma plane of a picture. Knows no browser.

use std::fmt;

/// Bytes of a packed code: 114 bits and 6 bits of padding.
pub const CODE_BYTES: usize = 15;
const ROWS: usize = 3;
const COLUMNS: usize = 40;
const FIRST_DATA_COLUMN: usize = 2;
/// Cells across the smaller side of the picture; part of the drawing's definition.
const CELLS_ACROSS: usize = 45;
/// A white cell must be this much brighter than a black one (of 255). Well above the ringing of a
/// codec at a low rate, well below the 219 steps between studio black and white.
const CONTRAST_MIN: u8 = 60;
/// One step of `time`.
const TIME_STEP_US: u64 = 100;

/// What one drawn frame says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Counts the frames that the target drew, from its start.
    pub frame: u32,
    /// The number of the last touch down that the target had seen, 0 for none.
    pub input: u32,
    /// Unix time of drawing in units of 100 µs, low 32 bits.
    pub time: u32,
}

impl Reading {
    /// The time of drawing, Unix µs: the one time nearest to `near_us` that has these low bits (they
    /// come around every five days).
    #[must_use]
    pub fn drawn_us(&self, near_us: u64) -> u64 {
        let near = near_us / TIME_STEP_US;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the low 32 bits are what is compared"
        )]
        let ahead = self.time.wrapping_sub(near as u32).cast_signed();
        near.saturating_add_signed(i64::from(ahead)) * TIME_STEP_US
    }
}

/// Why a code cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Damage {
    /// The picture is too small to hold a code, or its planes are shorter than they say.
    NoPicture,
    /// A row does not begin with a white and a black cell: no code is drawn here.
    NoContrast,
    /// The checksum or the closing zeros are wrong.
    Checksum,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPicture => "no picture",
            Self::NoContrast => "no contrast",
            Self::Checksum => "checksum",
        })
    }
}

/// Reads a packed code.
///
/// # Errors
/// [`Damage::Checksum`] when any bit is wrong.
pub fn decode(code: &[u8; CODE_BYTES]) -> Result<Reading, Damage> {
    let [f0, f1, f2, f3, i0, i1, i2, i3, t0, t1, t2, t3, c0, c1, tail] = *code;
    if crc16(&code[..12]) != u16::from_be_bytes([c0, c1]) || tail != 0 {
        return Err(Damage::Checksum);
    }
    Ok(Reading {
        frame: u32::from_be_bytes([f0, f1, f2, f3]),
        input: u32::from_be_bytes([i0, i1, i2, i3]),
        time: u32::from_be_bytes([t0, t1, t2, t3]),
    })
}

/// Reads a packed code written as hexadecimal digits, as the page's reader hands it over.
///
/// # Errors
/// [`Damage::Checksum`] also when the text is not 30 hexadecimal digits.
pub fn decode_hex(text: &str) -> Result<Reading, Damage> {
    let bytes = unhex(text).ok_or(Damage::Checksum)?;
    let code: [u8; CODE_BYTES] = bytes.try_into().map_err(|_| Damage::Checksum)?;
    decode(&code)
}

/// Bytes from hexadecimal digits, `None` when they are not.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    bytes
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

/// The brightness of a picture, 8 bits for each pixel.
#[derive(Debug, Clone, Copy)]
pub struct Luma<'a> {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Rows from the top.
    pub plane: &'a [u8],
}

/// Samples the middle of each cell of a picture and reads the code.
///
/// # Errors
/// Any [`Damage`].
pub fn decode_luma(picture: Luma<'_>) -> Result<Reading, Damage> {
    let cell = picture.width.min(picture.height) / CELLS_ACROSS;
    if cell == 0 {
        return Err(Damage::NoPicture);
    }
    let mut code = [0u8; CODE_BYTES];
    let mut bit = 0;
    for row in 0..ROWS {
        let y = (2 + row) * cell + cell / 2;
        let at = |column: usize| {
            let x = (1 + column) * cell + cell / 2;
            picture
                .plane
                .get(y * picture.stride + x)
                .copied()
                .ok_or(Damage::NoPicture)
        };
        let (white, black) = (at(0)?, at(1)?);
        if white.saturating_sub(black) < CONTRAST_MIN {
            return Err(Damage::NoContrast);
        }
        let middle = white.midpoint(black);
        for column in FIRST_DATA_COLUMN..COLUMNS {
            if at(column)? > middle {
                code[bit / 8] |= 0x80 >> (bit % 8);
            }
            bit += 1;
        }
    }
    decode(&code)
}

/// CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xffff, nothing reflected.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const READING: Reading = Reading {
        frame: 70_000,
        input: 3,
        time: 0xfedc_ba98,
    };

    fn encode(reading: Reading) -> [u8; CODE_BYTES] {
        let mut code = [0; CODE_BYTES];
        code[0..4].copy_from_slice(&reading.frame.to_be_bytes());
        code[4..8].copy_from_slice(&reading.input.to_be_bytes());
        code[8..12].copy_from_slice(&reading.time.to_be_bytes());
        let crc = crc16(&code[..12]);
        code[12..14].copy_from_slice(&crc.to_be_bytes());
        code
    }

    /// Draws a code the way PLAN and SPECIFICATION describe it, `dark` and `bright` as a codec might
    /// leave them.
    fn draw(reading: Reading, width: usize, height: usize, (dark, bright): (u8, u8)) -> Vec<u8> {
        let code = encode(reading);
        let cell = width.min(height) / 45;
        let mut plane = vec![128; width * height];
        for row in 0..3 {
            for column in 0..40 {
                let white = match column {
                    0 => true,
                    1 => false,
                    _ => {
                        let bit = row * 38 + column - 2;
                        code[bit / 8] >> (7 - bit % 8) & 1 == 1
                    }
                };
                for y in 0..cell {
                    let start = ((2 + row) * cell + y) * width + (1 + column) * cell;
                    plane[start..start + cell].fill(if white { bright } else { dark });
                }
            }
        }
        plane
    }

    #[test]
    fn the_checksum_has_its_published_check_value() {
        assert_eq!(crc16(b"123456789"), 0x29b1);
    }

    #[test]
    fn a_drawn_code_is_read_at_any_size_and_in_both_orientations() {
        for (width, height) in [(720, 1280), (1280, 720), (360, 640), (1080, 2340), (47, 99)] {
            let plane = draw(READING, width, height, (16, 235));
            let read = decode_luma(Luma {
                width,
                height,
                stride: width,
                plane: &plane,
            });
            assert_eq!(read, Ok(READING), "{width}x{height}");
        }
    }

    #[test]
    fn a_code_is_read_through_a_weak_contrast() {
        let plane = draw(READING, 720, 1280, (90, 155));
        assert_eq!(
            decode_luma(Luma {
                width: 720,
                height: 1280,
                stride: 720,
                plane: &plane
            }),
            Ok(READING)
        );
    }

    #[test]
    fn every_single_wrong_bit_is_reported() {
        let code = encode(READING);
        for bit in 0..CODE_BYTES * 8 {
            let mut wrong = code;
            wrong[bit / 8] ^= 0x80 >> (bit % 8);
            assert_eq!(decode(&wrong), Err(Damage::Checksum), "bit {bit}");
        }
    }

    #[test]
    fn every_pair_of_wrong_bits_is_reported() {
        let code = encode(READING);
        for first in 0..114 {
            for second in first + 1..114 {
                let mut wrong = code;
                wrong[first / 8] ^= 0x80 >> (first % 8);
                wrong[second / 8] ^= 0x80 >> (second % 8);
                assert_eq!(decode(&wrong), Err(Damage::Checksum), "bits {first} and {second}");
            }
        }
    }

    #[test]
    fn a_picture_without_a_code_has_no_contrast() {
        let plane = vec![128; 720 * 1280];
        let read = decode_luma(Luma {
            width: 720,
            height: 1280,
            stride: 720,
            plane: &plane,
        });
        assert_eq!(read, Err(Damage::NoContrast));
    }

    #[test]
    fn a_picture_that_is_too_small_or_cut_short_is_no_picture() {
        let plane = vec![128; 44 * 44];
        assert_eq!(
            decode_luma(Luma {
                width: 44,
                height: 44,
                stride: 44,
                plane: &plane
            }),
            Err(Damage::NoPicture)
        );
        let cut = Luma {
            width: 720,
            height: 1280,
            stride: 720,
            plane: &plane,
        };
        assert_eq!(decode_luma(cut), Err(Damage::NoPicture));
    }

    #[test]
    fn the_time_of_drawing_is_found_around_the_present_also_where_its_bits_turn_over() {
        let turn_us = (7u64 << 32) * 100;
        let before = Reading {
            frame: 0,
            input: 0,
            time: u32::MAX,
        };
        assert_eq!(before.drawn_us(turn_us + 20_000), turn_us - 100);
        let after = Reading {
            frame: 0,
            input: 0,
            time: 5,
        };
        assert_eq!(after.drawn_us(turn_us + 20_000), turn_us + 500);
        assert_eq!(after.drawn_us(turn_us - 20_000), turn_us + 500);
    }

    #[test]
    fn the_pages_text_is_read_or_refused_and_never_panics() {
        let text: String = encode(READING).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(decode_hex(&text), Ok(READING));
        for wrong in ["", "0", "zz", &text[..28], "é0", &"00".repeat(15)] {
            assert_eq!(decode_hex(wrong), Err(Damage::Checksum), "{wrong}");
        }
    }
}
