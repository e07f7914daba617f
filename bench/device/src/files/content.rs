//! What is in a file: bytes in pieces, so that a large file grows and is read without ever being copied as a whole.
//!
//! ```text
//!   push ─► [ 64 KiB ][ 64 KiB ][ 7 B ]      small appends fill up the last piece, larger ones get their own
//!   clone ─► the same pieces, shared         who reads goes on with what was there
//! ```
//!
//! It does not know names, attributes or how much room there is.

use bytes::{Bytes, BytesMut};

/// Up to this many bytes appends are put together: what adb sends in one DATA at most.
const PIECE: usize = 64 * 1024;

/// A file's bytes; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Content {
    pieces: Vec<Bytes>,
    len: usize,
}

impl Content {
    /// Appends a copy of these bytes.
    pub fn push(&mut self, data: &[u8]) {
        self.len += data.len();
        match self.pieces.last_mut() {
            Some(last) if last.len() + data.len() <= PIECE => {
                let mut both = BytesMut::with_capacity(last.len() + data.len());
                both.extend_from_slice(last);
                both.extend_from_slice(data);
                *last = both.freeze();
            }
            _ => self.pieces.extend(data.chunks(PIECE).map(Bytes::copy_from_slice)),
        }
    }

    /// Bytes in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its bytes in order, in pieces of any length.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// Its bytes in one piece: a copy, unless it is one already.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self.pieces.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            pieces => pieces.concat().into(),
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self {
            len: bytes.len(),
            pieces: if bytes.is_empty() { Vec::new() } else { vec![bytes] },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_appends_share_a_piece_and_large_ones_do_not_move_it() {
        let mut content = Content::default();
        for _ in 0..1_000 {
            content.push(b"12345");
        }
        assert_eq!(content.pieces().count(), 1);
        let before = content.clone();
        content.push(&[7; 3 * PIECE]);
        assert_eq!((content.pieces().count(), content.len()), (4, 5_000 + 3 * PIECE));
        assert_eq!(before.len(), 5_000, "who reads keeps what was there");
        assert_eq!(content.to_bytes().len(), content.len());
        assert_eq!(&content.to_bytes()[4_995..5_002], b"12345\x07\x07");
    }

    #[test]
    fn nothing_is_no_piece() {
        let mut content = Content::from(Bytes::new());
        content.push(b"");
        assert!(content.is_empty() && content.to_bytes().is_empty());
        assert_eq!(content.pieces().count(), 0);
    }
}
