//! What an SPS says and what it says once rewritten, against an independent reader: the crate `h264-reader`.
//!
//! The cases are parameter sets of x264 in hexadecimal, one for each shape that encoders make: with and without
//! cropping, reordering, interlacing and VUI.

use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitReader as OracleBits, decode_nal};
use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// An independent reader: the crate `h264-reader`.
fn oracle(nal: &[u8]) -> SeqParameterSet {
    let rbsp = decode_nal(nal).unwrap();
    SeqParameterSet::from_bits(OracleBits::new(&*rbsp)).unwrap()
}

struct Case {
    name: &'static str,
    nal: &'static str,
    size: (u16, u16),
    reorder_before: Option<u32>,
}

const CASES: [Case; 6] = [
    Case {
        name: "x264 baseline",
        nal: "6742c01fd900b40a1b0110000003001000000303c0f1832480",
        size: (720, 1280),
        reorder_before: Some(0),
    },
    Case {
        name: "x264 high, cropped",
        nal: "67640032acd94044012de5f0110000030001000003003c0f183196",
        size: (1080, 2400),
        reorder_before: Some(2),
    },
    Case {
        name: "x264 main, cropped",
        nal: "674d4032eca0220096f2f80880000003008000001e078c18cb",
        size: (1080, 2400),
        reorder_before: Some(2),
    },
    Case {
        name: "x264 high, reordering",
        nal: "6764001eacd9417065e5f0110000030001000003003c0f162d96",
        size: (360, 800),
        reorder_before: Some(2),
    },
    Case {
        name: "x264 high, zero latency",
        nal: "6764000dacb20283f60220000003002000000791e28549",
        size: (320, 240),
        reorder_before: Some(0),
    },
    Case {
        name: "x264 high, interlaced",
        nal: "67640028acd94078044fde0220000003002000000783e2c5b2c0",
        size: (1920, 1080),
        reorder_before: Some(2),
    },
];

/// An SPS without VUI: that of a baseline stream with the flag cleared.
fn without_vui() -> Vec<u8> {
    let nal = hex(CASES[0].nal);
    let rbsp = payload(&nal).unwrap();
    let layout = Layout::parse(&rbsp).unwrap();
    let mut out = BitWriter::default();
    out.copy(&mut BitReader::new(&rbsp), layout.head_bits).unwrap();
    out.bit(false);
    escape(nal[0], &out.finish())
}

#[test]
fn rewriting_forbids_reordering_and_keeps_everything_else() {
    for case in &CASES {
        let nal = hex(case.nal);
        let before = Sps::parse(&nal).unwrap();
        assert_eq!((before.width, before.height), case.size, "{}", case.name);
        assert_eq!(before.reorder_frames, case.reorder_before, "{}", case.name);
        let (after, rewritten) = rewrite(&nal).unwrap();
        assert_eq!(
            after,
            Sps {
                reorder_frames: Some(0),
                ..before
            },
            "{}",
            case.name
        );
        assert_eq!(Sps::parse(&rewritten).unwrap(), after, "{}", case.name);
        check_against_oracle(case.name, &nal, &rewritten);
    }
}

fn check_against_oracle(name: &str, nal: &[u8], rewritten: &[u8]) {
    let (mut was, mut is) = (oracle(nal), oracle(rewritten));
    let restriction = is
        .vui_parameters
        .as_ref()
        .unwrap()
        .bitstream_restrictions
        .as_ref()
        .unwrap();
    assert_eq!(restriction.max_num_reorder_frames, 0, "{name}");
    assert_eq!(
        restriction.max_dec_frame_buffering, is.max_num_ref_frames,
        "{name}"
    );
    for sps in [&mut was, &mut is] {
        if let Some(vui) = &mut sps.vui_parameters {
            vui.bitstream_restrictions = None;
        }
    }
    if was.vui_parameters.is_none() {
        is.vui_parameters = None;
    }
    assert_eq!(format!("{was:?}"), format!("{is:?}"), "{name}");
}

#[test]
fn a_vui_is_added_where_there_is_none() {
    let nal = without_vui();
    assert_eq!(Sps::parse(&nal).unwrap().reorder_frames, None);
    let (sps, rewritten) = rewrite(&nal).unwrap();
    assert_eq!((sps.width, sps.height), (720, 1280));
    check_against_oracle("no VUI", &nal, &rewritten);
}

#[test]
fn rewriting_twice_changes_nothing() {
    for nal in CASES.iter().map(|case| hex(case.nal)).chain([without_vui()]) {
        let (_, once) = rewrite(&nal).unwrap();
        assert_eq!(rewrite(&once).unwrap().1, once);
    }
}

#[test]
fn the_profile_level_id_is_the_first_three_bytes() {
    assert_eq!(
        Sps::parse(&hex(CASES[1].nal)).unwrap().profile_level_id,
        [0x64, 0x00, 0x32]
    );
}

#[test]
fn what_is_no_sps_is_refused() {
    assert_eq!(rewrite(&[]), Err(SpsError::NotSps));
    assert_eq!(rewrite(&[0x68, 1, 2]), Err(SpsError::NotSps));
    assert_eq!(
        rewrite(&[0x67; PARAMETER_SET_BYTES_MAX + 1]),
        Err(SpsError::TooLong)
    );
    let nal = hex(CASES[1].nal);
    assert_eq!(rewrite(&nal[..8]), Err(SpsError::Bits(OutOfBits)));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut nal in prop::collection::vec(any::<u8>(), 1..80), profile in prop::sample::select(vec![66u8, 100, 244])) {
        nal[0] = 0x67;
        if nal.len() > 1 {
            nal[1] = profile;
        }
        if let Ok((sps, rewritten)) = rewrite(&nal) {
            prop_assert_eq!(Sps::parse(&rewritten), Ok(sps));
        }
    }
}
