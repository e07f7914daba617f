//! Bytes that come between two packets of adb at a moment, once.
//!
//! ```text
//!   packet ─ packet ─ packet ─┐ the moment is over
//!                             └─ the bytes ─ packet ─ packet …
//! ```
//!
//! It follows what passes only as far as it must to know where a packet ends: a header of 24 bytes with the length of
//! what follows in its fourth word. It does not know sockets; under TLS it would count records for packets.

use adb::packet::HEADER_LEN;
use bytes::{Buf, Bytes};
use tokio::time::Instant;

/// Where the payload's length stands in a header.
const LENGTH_AT: usize = 12;

/// The bytes, and where in its packet what passed has ended.
pub(super) struct Nonsense {
    at: Instant,
    bytes: Bytes,
    /// Whether the first of them have come.
    begun: bool,
    header: Vec<u8>,
    /// Of the packet whose header has passed.
    payload_left: usize,
}

impl Nonsense {
    /// From this moment on.
    pub(super) fn new(at: Instant, bytes: Vec<u8>) -> Self {
        Self {
            at,
            bytes: bytes.into(),
            begun: false,
            header: Vec::with_capacity(HEADER_LEN),
            payload_left: 0,
        }
    }

    /// What has to come before anything else passes.
    pub(super) fn due(&self, now: Instant) -> Option<&[u8]> {
        let between = self.header.is_empty() && self.payload_left == 0;
        let due = self.begun || between && now >= self.at;
        (due && !self.bytes.is_empty()).then_some(&self.bytes[..])
    }

    /// So many of them have come.
    pub(super) fn came(&mut self, written: usize) {
        self.begun = true;
        self.bytes.advance(written);
    }

    /// How much may pass before it is asked again.
    pub(super) fn left(&self) -> usize {
        match self.payload_left {
            0 => HEADER_LEN - self.header.len(),
            left => left,
        }
    }

    /// This has passed; at most what was left.
    pub(super) fn passed(&mut self, bytes: &[u8]) {
        if self.payload_left > 0 {
            self.payload_left -= bytes.len();
            return;
        }
        self.header.extend_from_slice(bytes);
        if self.header.len() == HEADER_LEN {
            let length = self.header[LENGTH_AT..].first_chunk();
            let length = length.map_or(0, |length| u32::from_le_bytes(*length));
            self.payload_left = usize::try_from(length).unwrap_or(usize::MAX);
            self.header.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_bytes_come_once_between_two_packets_and_not_before_their_time() {
        let start = Instant::now();
        let now = start + Duration::from_secs(1);
        let mut nonsense = Nonsense::new(now, b"xyz".to_vec());
        let mut header = [0; HEADER_LEN];
        header[LENGTH_AT] = 5;
        assert_eq!((nonsense.due(start), nonsense.left()), (None, HEADER_LEN));
        nonsense.passed(&header[..20]);
        assert_eq!((nonsense.due(now), nonsense.left()), (None, 4));
        nonsense.passed(&header[20..]);
        assert_eq!((nonsense.due(now), nonsense.left()), (None, 5));
        nonsense.passed(b"12345");
        assert_eq!(nonsense.due(now), Some(&b"xyz"[..]));
        nonsense.came(2);
        assert_eq!(nonsense.due(now), Some(&b"z"[..]));
        nonsense.came(1);
        assert_eq!((nonsense.due(now), nonsense.left()), (None, HEADER_LEN));
    }
}
