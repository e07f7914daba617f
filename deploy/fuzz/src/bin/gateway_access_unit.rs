//! Access units in Annex B: cut into units, none outside the data, none with a start code inside; and what is sent of
//! them, cut into RTP payloads that fit, and whole again by the rules of RFC 6184.
#![no_main]

use gateway::access_unit::{NalKind, nals};
use gateway::limits::RTP_PAYLOAD_BYTES_MAX;
use gateway::packetize::packetize;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let units: Vec<&[u8]> = nals(bytes).collect();
    for nal in &units {
        assert!(
            !nal.windows(3).any(|three| three == [0, 0, 1]),
            "a unit holds no start code"
        );
    }
    let sent: Vec<&[u8]> = units
        .into_iter()
        .filter(|nal| NalKind::of(nal[0]) != NalKind::Noise)
        .collect();
    let payloads = packetize(&sent);
    assert!(
        payloads
            .iter()
            .all(|payload| (1..=RTP_PAYLOAD_BYTES_MAX).contains(&payload.len())),
        "a payload is empty or too long"
    );
    assert!(joined(&payloads) == sent, "what is joined is what was cut");
});

/// Single units, STAP-A (24) and FU-A (28).
fn joined<P: AsRef<[u8]>>(payloads: &[P]) -> Vec<Vec<u8>> {
    let mut nals: Vec<Vec<u8>> = Vec::new();
    for payload in payloads.iter().map(AsRef::as_ref) {
        match payload[0] & 0x1f {
            24 => {
                let mut rest = &payload[1..];
                while let Some((length, after)) = rest.split_first_chunk() {
                    let (nal, after) = after.split_at(u16::from_be_bytes(*length).into());
                    nals.push(nal.to_vec());
                    rest = after;
                }
            }
            28 if payload[1] & 0x80 != 0 => {
                let header = payload[0] & 0xe0 | payload[1] & 0x1f;
                nals.push([&[header], &payload[2..]].concat());
            }
            28 => {
                let open = nals.last_mut().expect("a later part follows the first");
                open.extend_from_slice(&payload[2..]);
            }
            _ => nals.push(payload.to_vec()),
        }
    }
    nals
}
