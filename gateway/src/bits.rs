//! Bits of an H.264 parameter set: bounded reading and writing, and emulation prevention both ways.
//!
//! ```text
//! on the wire   67 .. 00 00 03 01 ..      NAL: header byte, then payload with 03 after any 00 00
//! unescaped     .. 00 00 01 ..            RBSP: what the bits below are read from
//! ue(v)         1 │ 01x │ 001xx │ ..      leading zeros = length of the suffix
//! ```
//!
//! ITU-T H.264 (08/2021), sections 7.3.1 and 9.1. It knows nothing of what the bits mean.

/// The bits end, or a code is longer than 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the parameter set ends early")]
pub struct OutOfBits;

/// Reads bits, most significant first.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn bit(&mut self) -> Result<bool, OutOfBits> {
        let byte = self.bytes.get(self.at / 8).ok_or(OutOfBits)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit == 1)
    }

    /// The next `n` ≤ 32 bits.
    pub(crate) fn bits(&mut self, n: u32) -> Result<u32, OutOfBits> {
        let mut value = 0;
        for _ in 0..n {
            value = value << 1 | u32::from(self.bit()?);
        }
        Ok(value)
    }

    /// An Exp-Golomb code, below 2^32 - 1.
    pub(crate) fn ue(&mut self) -> Result<u32, OutOfBits> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return Err(OutOfBits);
            }
        }
        Ok(((1u64 << zeros) - 1 + u64::from(self.bits(zeros)?)) as u32)
    }

    /// A signed Exp-Golomb code.
    pub(crate) fn se(&mut self) -> Result<i64, OutOfBits> {
        let code = i64::from(self.ue()?);
        Ok(if code % 2 == 0 { -(code / 2) } else { code / 2 + 1 })
    }

    /// Bits read so far.
    pub(crate) fn position(&self) -> usize {
        self.at
    }
}

/// Writes bits, most significant first.
#[derive(Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    free: u32,
}

impl BitWriter {
    pub(crate) fn bit(&mut self, bit: bool) {
        if self.free == 0 {
            self.bytes.push(0);
            self.free = 8;
        }
        self.free -= 1;
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << self.free;
        }
    }

    pub(crate) fn bits(&mut self, value: u32, n: u32) {
        for shift in (0..n).rev() {
            self.bit(value >> shift & 1 == 1);
        }
    }

    pub(crate) fn ue(&mut self, value: u32) {
        let code = u64::from(value) + 1;
        let length = 64 - code.leading_zeros();
        for _ in 1..length {
            self.bit(false);
        }
        for shift in (0..length).rev() {
            self.bit(code >> shift & 1 == 1);
        }
    }

    /// Copies the next `n` bits of `reader`.
    pub(crate) fn copy(&mut self, reader: &mut BitReader<'_>, n: usize) -> Result<(), OutOfBits> {
        for _ in 0..n {
            self.bit(reader.bit()?);
        }
        Ok(())
    }

    /// Ends the payload with its stop bit and zeros up to a whole byte.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bit(true);
        self.bytes
    }
}

/// Takes the emulation prevention bytes out of what follows a NAL header.
pub(crate) fn unescape(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len());
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Puts emulation prevention bytes in, behind `header`.
pub(crate) fn escape(header: u8, rbsp: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rbsp.len() + rbsp.len() / 8 + 2);
    out.push(header);
    let mut zeros = 0;
    for &byte in rbsp {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn escaping_hides_every_start_code_and_can_be_undone(
            rbsp in prop::collection::vec(prop_oneof![3 => 0u8..=4, 1 => any::<u8>()], 0..200)
        ) {
            let nal = escape(0x67, &rbsp);
            prop_assert!(!nal.windows(3).any(|w| w[0] == 0 && w[1] == 0 && w[2] < 3));
            prop_assert_eq!(unescape(&nal[1..]), rbsp);
        }

        #[test]
        fn codes_survive_writing_and_reading(values in prop::collection::vec(0..u32::MAX, 0..50)) {
            let mut writer = BitWriter::default();
            values.iter().for_each(|&value| writer.ue(value));
            writer.bits(0b1011, 4);
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for &value in &values {
                prop_assert_eq!(reader.ue(), Ok(value));
            }
            prop_assert_eq!(reader.bits(4), Ok(0b1011));
        }
    }

    #[test]
    fn signed_codes_alternate_around_zero() {
        let mut writer = BitWriter::default();
        (0..5).for_each(|code| writer.ue(code));
        let bytes = writer.finish();
        let mut reader = BitReader::new(&bytes);
        assert_eq!(
            (0..5).map(|_| reader.se().unwrap()).collect::<Vec<_>>(),
            [0, 1, -1, 2, -2]
        );
    }

    #[test]
    fn reading_past_the_end_is_an_error() {
        assert_eq!(BitReader::new(&[0xff]).bits(9), Err(OutOfBits));
        assert_eq!(BitReader::new(&[0; 8]).ue(), Err(OutOfBits));
    }
}
