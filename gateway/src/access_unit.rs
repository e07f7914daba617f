//! Coded pictures in Annex B form: finding the NAL units in them.
//!
//! ```text
//! 00 00 00 01 67 .. 00 00 00 01 68 .. 00 00 01 65 .. ..      start codes of three or four bytes
//!             └ SPS ┘           └ PPS ┘        └ IDR slice ┘  trailing zeros belong to nobody
//! ```
//!
//! ITU-T H.264 (08/2021), Annex B and table 7-1. Bounded by [`NALS_MAX`]; never panics; what comes
//! before the first start code is skipped. It does not know RTP.

use crate::limits::NALS_MAX;

/// What a NAL unit is, as far as a gateway cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NalKind {
    /// A slice that others may depend on or not, but no entry point.
    Slice,
    /// A slice of an IDR picture: decoding can start here.
    IdrSlice,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
    /// Delimiters, filler and ends of sequence, which say nothing that RTP does not say.
    Noise,
    /// Everything else is passed on.
    Other,
}

impl NalKind {
    /// The kind of a NAL unit that begins with `header`.
    #[must_use]
    pub const fn of(header: u8) -> Self {
        match header & 0x1f {
            1..=4 => Self::Slice,
            5 => Self::IdrSlice,
            7 => Self::Sps,
            8 => Self::Pps,
            // 24 and above belong to RTP payloads: inside a stream they would be read as such.
            0 | 9..=12 | 24..=31 => Self::Noise,
            _ => Self::Other,
        }
    }
}

/// The NAL units of an access unit, without start codes, at most [`NALS_MAX`], none empty.
pub fn nals(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    Nals {
        data,
        at: start_code(data, 0).map(|(_, after)| after),
    }
    .take(NALS_MAX)
}

struct Nals<'a> {
    data: &'a [u8],
    /// Where the next NAL unit begins.
    at: Option<usize>,
}

impl<'a> Iterator for Nals<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let begin = self.at?;
            let next = start_code(self.data, begin);
            self.at = next.map(|(_, after)| after);
            let end = next.map_or(self.data.len(), |(before, _)| before);
            let nal = trim_zeros(self.data.get(begin..end)?);
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    }
}

/// The next `00 00 01` at or after `from`: where it begins and where it ends.
fn start_code(data: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    // The third byte decides how far to jump: above 1 it cannot be part of a start code at all.
    while let Some(&[a, b, c]) = data.get(at..at + 3) {
        match c {
            2.. => at += 3,
            1 if a == 0 && b == 0 => return Some((at, at + 3)),
            1 => at += 3,
            0 => at += 1,
        }
    }
    None
}

fn trim_zeros(nal: &[u8]) -> &[u8] {
    let end = nal.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &nal[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bits::escape;

    fn split(data: &[u8]) -> Vec<&[u8]> {
        nals(data).collect()
    }

    #[test]
    fn start_codes_of_three_and_four_bytes_separate() {
        let data = [0, 0, 0, 1, 0x67, 9, 0, 0, 1, 0x68, 8, 0, 0, 0, 1, 0x65, 7, 0, 0];
        assert_eq!(split(&data), [&[0x67, 9][..], &[0x68, 8], &[0x65, 7]]);
    }

    #[test]
    fn nothing_is_found_where_no_start_code_is() {
        assert!(split(&[]).is_empty());
        assert!(split(&[0, 0]).is_empty());
        assert!(split(&[0x65, 1, 2, 3, 0, 0, 2]).is_empty());
        assert!(split(&[0, 0, 1]).is_empty());
        assert!(split(&[0, 0, 1, 0, 0, 1, 0, 0, 0, 1]).is_empty());
    }

    #[test]
    fn a_unit_of_start_codes_alone_is_bounded() {
        let data: Vec<u8> = std::iter::repeat_n([0, 0, 1, 0x41], 100_000).flatten().collect();
        assert_eq!(nals(&data).count(), NALS_MAX);
    }

    proptest! {
        #[test]
        fn what_is_joined_is_split_again(
            payloads in prop::collection::vec((prop::collection::vec(0u8..5, 0..40), any::<bool>()), 0..20)
        ) {
            let nals: Vec<Vec<u8>> = payloads.iter().map(|(payload, _)| {
                // A NAL unit never ends in a zero byte: its stop bit stands there.
                let mut nal = escape(0x41, payload);
                nal.push(0x80);
                nal
            }).collect();
            let mut data = Vec::new();
            for (nal, (_, long)) in nals.iter().zip(&payloads) {
                data.extend_from_slice(if *long { &[0, 0, 0, 1] } else { &[0, 0, 1] });
                data.extend_from_slice(nal);
            }
            prop_assert_eq!(split(&data), nals.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_make_it_panic(data in prop::collection::vec(0u8..4, 0..200)) {
            prop_assert!(nals(&data).all(|nal| !nal.is_empty()));
        }
    }
}
