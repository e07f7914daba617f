//! RTP payloads for H.264: once per picture, shared by every viewer.
//!
//! ```text
//! small NAL units    one after the other in a STAP-A as long as they fit      78 │ len │ NAL │ len │ NAL
//! alone and small    as it is                                                                       NAL
//! large              FU-A, cut into equal parts                               7c │ S.. │ 1 … part … 1160
//! ```
//!
//! Equal parts, because one GSO send takes datagrams of one length and a shorter last one: a picture
//! with one slice is one send. A key frame begins with its parameter sets; those are short, would end
//! the run at once, and cost one send of their own (`burst` cuts there). When the slice is small they
//! share its packet. The marker stands on the last payload, always at once: nothing is awaited.
//!
//! RFC 6184, packetization-mode 1. It does not know sequence numbers, SSRCs or sockets.

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits::RTP_PAYLOAD_BYTES_MAX;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;

/// Cuts the NAL units of one picture into RTP payloads, each at most [`RTP_PAYLOAD_BYTES_MAX`]. Empty
/// units are skipped. All payloads share one allocation.
#[must_use]
pub fn packetize(nals: &[&[u8]]) -> Vec<Bytes> {
    let bytes: usize = nals.iter().map(|nal| nal.len() + 3).sum();
    let mut packets = Packets {
        buffer: BytesMut::with_capacity(bytes + 2 * (bytes / (RTP_PAYLOAD_BYTES_MAX / 2) + 1)),
        payloads: Vec::with_capacity(bytes / RTP_PAYLOAD_BYTES_MAX + 4),
    };
    let mut group: Vec<&[u8]> = Vec::new();
    let mut group_bytes = 1;
    for nal in nals.iter().filter(|nal| !nal.is_empty()) {
        let fits = group_bytes + 2 + nal.len() <= RTP_PAYLOAD_BYTES_MAX;
        if !fits {
            packets.group(&group);
            group.clear();
            group_bytes = 1;
        }
        if nal.len() > RTP_PAYLOAD_BYTES_MAX {
            packets.fragments(nal);
        } else {
            group.push(nal);
            group_bytes += 2 + nal.len();
        }
    }
    packets.group(&group);
    packets.payloads
}

struct Packets {
    buffer: BytesMut,
    payloads: Vec<Bytes>,
}

impl Packets {
    fn group(&mut self, group: &[&[u8]]) {
        match group {
            [] => return,
            [alone] => self.buffer.put_slice(alone),
            several => {
                // The most important unit decides for all (RFC 6184, section 5.7.1).
                let importance = several.iter().map(|nal| nal[0] & 0x60).max().unwrap_or(0);
                let forbidden = several.iter().fold(0, |bits, nal| bits | nal[0] & 0x80);
                self.buffer.put_u8(forbidden | importance | STAP_A);
                for nal in several {
                    self.buffer.put_u16(nal.len() as u16);
                    self.buffer.put_slice(nal);
                }
            }
        }
        self.cut();
    }

    fn fragments(&mut self, nal: &[u8]) {
        let (indicator, kind) = (nal[0] & 0xe0 | FU_A, nal[0] & 0x1f);
        let body = &nal[1..];
        let count = body.len().div_ceil(RTP_PAYLOAD_BYTES_MAX - 2);
        let part = body.len().div_ceil(count);
        for (index, chunk) in body.chunks(part).enumerate() {
            let start = if index == 0 { FU_START } else { 0 };
            let end = if (index + 1) * part >= body.len() {
                FU_END
            } else {
                0
            };
            self.buffer.put_slice(&[indicator, start | end | kind]);
            self.buffer.put_slice(chunk);
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.payloads.push(self.buffer.split().freeze());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Puts NAL units together again, as a receiver does.
    fn depacketize(payloads: &[Bytes]) -> Vec<Vec<u8>> {
        let mut nals: Vec<Vec<u8>> = Vec::new();
        let mut open: Option<Vec<u8>> = None;
        for payload in payloads {
            match payload[0] & 0x1f {
                STAP_A => {
                    let mut rest = &payload[1..];
                    while !rest.is_empty() {
                        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                        nals.push(rest[2..2 + length].to_vec());
                        rest = &rest[2 + length..];
                    }
                }
                FU_A => {
                    if payload[1] & FU_START != 0 {
                        assert!(open.is_none());
                        open = Some(vec![payload[0] & 0xe0 | payload[1] & 0x1f]);
                    }
                    let nal = open.as_mut().expect("a fragment before the first one");
                    nal.extend_from_slice(&payload[2..]);
                    if payload[1] & FU_END != 0 {
                        nals.extend(open.take());
                    }
                }
                _ => nals.push(payload.to_vec()),
            }
        }
        assert!(open.is_none());
        nals
    }

    fn nal_of(length: usize) -> Vec<u8> {
        std::iter::once(0x65)
            .chain((1..length).map(|n| n as u8))
            .collect()
    }

    #[test]
    fn a_large_slice_becomes_equal_parts_with_a_shorter_last_one() {
        let nal = nal_of(10_000);
        let payloads = packetize(&[&nal[..]]);
        let lengths: Vec<_> = payloads.iter().map(Bytes::len).collect();
        assert_eq!(lengths.len(), 9);
        assert!(
            lengths[..8].iter().all(|&length| length == lengths[0]),
            "{lengths:?}"
        );
        assert!(lengths[8] <= lengths[0] && lengths[0] <= RTP_PAYLOAD_BYTES_MAX);
    }

    #[test]
    fn parameter_sets_precede_a_large_slice_in_one_packet() {
        let (sps, pps, idr) = (vec![0x67; 20], vec![0x68; 6], nal_of(5_000));
        let payloads = packetize(&[&sps[..], &pps, &idr]);
        assert_eq!(payloads[0][0], 0x60 | STAP_A);
        assert_eq!(payloads[0].len(), 1 + 2 + 20 + 2 + 6);
        assert_eq!(payloads.len(), 1 + 5);
    }

    #[test]
    fn a_small_key_frame_is_one_packet() {
        let (sps, pps, idr) = (vec![0x67; 20], vec![0x68; 6], nal_of(500));
        assert_eq!(packetize(&[&sps[..], &pps, &idr]).len(), 1);
    }

    #[test]
    fn all_payloads_share_one_allocation() {
        let nal = nal_of(200_000);
        let payloads = packetize(&[&nal[..]]);
        let bounds = payloads.iter().map(|payload| payload.as_ptr() as usize);
        let total: usize = payloads.iter().map(Bytes::len).sum();
        assert_eq!(
            bounds.clone().max().unwrap() - bounds.min().unwrap() + payloads.last().unwrap().len(),
            total
        );
    }

    proptest! {
        #[test]
        fn a_receiver_puts_the_same_units_together(
            nals in prop::collection::vec((prop::sample::select(vec![0x67u8, 0x68, 0x65, 0x41, 0x06]), prop_oneof![1usize..60, 1usize..4_000]), 0..12)
        ) {
            let nals: Vec<Vec<u8>> = nals.into_iter().enumerate()
                .map(|(n, (header, length))| std::iter::once(header).chain((1..length).map(|at| (at * 7 + n) as u8)).collect())
                .collect();
            let payloads = packetize(&nals.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert!(payloads.iter().all(|payload| payload.len() <= RTP_PAYLOAD_BYTES_MAX));
            prop_assert_eq!(depacketize(&payloads), nals);
        }
    }
}
