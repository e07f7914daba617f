//! Sequence parameter sets: what size a stream has, and the promise that it does not reorder.
//!
//! A decoder that is not told otherwise may hold back as many frames as its picture buffer has room
//! for. Devices' encoders do not reorder (no B slices in low-latency mode), but many do not say so.
//! So every SPS that passes through gets a `bitstream_restriction` with `max_num_reorder_frames = 0`;
//! a VUI is added when there is none. All other bits stay as they were.
//!
//! ```text
//! profile level id ... size ... crop │ vui_present │ VUI ... │ bitstream_restriction ... │ stop bit
//! └──────────── copied ─────────────┘               └ copied ┘ └────── written anew ─────┘
//! ```
//!
//! ITU-T H.264 (08/2021), sections 7.3.2.1.1 and E.1.1. It does not know RTP, sources or viewers.

use crate::bits::{BitReader, BitWriter, OutOfBits, escape, unescape};
use crate::limits::PARAMETER_SET_BYTES_MAX;

/// What a sequence parameter set says about its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sps {
    /// `profile_idc`, constraint flags and `level_idc`: the `profile-level-id` of RFC 6184.
    pub profile_level_id: [u8; 3],
    /// Width after cropping, pixels.
    pub width: u16,
    /// Height after cropping, pixels.
    pub height: u16,
    /// Frames that later ones may refer to.
    pub reference_frames: u32,
    /// Frames that a decoder may hold back; `None` when it is not said, which means many.
    pub reorder_frames: Option<u32>,
}

/// Why bytes are not an SPS that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpsError {
    /// Not NAL unit type 7, or empty.
    #[error("not a sequence parameter set")]
    NotSps,
    /// Longer than `limits::PARAMETER_SET_BYTES_MAX`.
    #[error("the parameter set is too long")]
    TooLong,
    /// Its bits end early.
    #[error(transparent)]
    Bits(#[from] OutOfBits),
    /// A field has a value outside its range.
    #[error("{0} is out of range")]
    Range(&'static str),
}

impl Sps {
    /// Reads a whole NAL unit, with its header byte and without start code.
    ///
    /// # Errors
    /// [`SpsError`].
    pub fn parse(nal: &[u8]) -> Result<Self, SpsError> {
        let rbsp = payload(nal)?;
        Layout::parse(&rbsp).map(|layout| layout.sps)
    }
}

/// Rewrites a whole NAL unit so that decoders hold nothing back, and says what is in it. Rewriting
/// twice changes nothing.
///
/// # Errors
/// [`SpsError`].
pub fn rewrite(nal: &[u8]) -> Result<(Sps, Vec<u8>), SpsError> {
    let rbsp = payload(nal)?;
    let Layout {
        mut sps,
        head_bits,
        vui,
        restriction,
    } = Layout::parse(&rbsp)?;
    let mut out = BitWriter::default();
    let mut reader = BitReader::new(&rbsp);
    out.copy(&mut reader, head_bits)?;
    out.bit(true); // vui_parameters_present_flag
    match vui {
        Some(range) => {
            reader.bit()?;
            out.copy(&mut reader, range.end - range.start)?;
        }
        None => out.bits(0, 8), // aspect, overscan, signal, chroma, timing, two HRDs, pic_struct: none
    }
    out.bit(true); // bitstream_restriction_flag
    let restriction = restriction.unwrap_or_default();
    out.bit(restriction.vectors_over_boundaries);
    restriction.limits.into_iter().for_each(|limit| out.ue(limit));
    out.ue(0); // max_num_reorder_frames
    // Must not be below the number of reference frames; a decoder shows each frame at once anyway.
    out.ue(sps.reference_frames);
    sps.reorder_frames = Some(0);
    Ok((sps, escape(nal[0], &out.finish())))
}

fn payload(nal: &[u8]) -> Result<Vec<u8>, SpsError> {
    let (header, payload) = nal.split_first().ok_or(SpsError::NotSps)?;
    if header & 0x9f != 7 {
        return Err(SpsError::NotSps);
    }
    if nal.len() > PARAMETER_SET_BYTES_MAX {
        return Err(SpsError::TooLong);
    }
    Ok(unescape(payload))
}

/// Where the parts of an SPS lie, in bits of its RBSP.
struct Layout {
    sps: Sps,
    /// Everything before `vui_parameters_present_flag`.
    head_bits: usize,
    /// The VUI without its bitstream restriction.
    vui: Option<std::ops::Range<usize>>,
    restriction: Option<Restriction>,
}

/// The part of a bitstream restriction that is kept.
struct Restriction {
    vectors_over_boundaries: bool,
    /// `max_bytes_per_pic_denom`, `max_bits_per_mb_denom`, `log2_max_mv_length_horizontal`, `…_vertical`.
    limits: [u32; 4],
    reorder_frames: u32,
}

impl Default for Restriction {
    /// What a decoder assumes when nothing is said (E.2.1).
    fn default() -> Self {
        Self {
            vectors_over_boundaries: true,
            limits: [2, 1, 15, 15],
            reorder_frames: 0,
        }
    }
}

impl Layout {
    fn parse(rbsp: &[u8]) -> Result<Self, SpsError> {
        let mut r = BitReader::new(rbsp);
        let profile_level_id = [r.bits(8)? as u8, r.bits(8)? as u8, r.bits(8)? as u8];
        if r.ue()? > 31 {
            return Err(SpsError::Range("seq_parameter_set_id"));
        }
        let chroma = Chroma::parse(&mut r, profile_level_id[0])?;
        if r.ue()? > 12 {
            return Err(SpsError::Range("log2_max_frame_num"));
        }
        skip_picture_order(&mut r)?;
        let reference_frames = r.ue()?;
        if reference_frames > 16 {
            return Err(SpsError::Range("max_num_ref_frames"));
        }
        r.bit()?; // gaps_in_frame_num_value_allowed_flag
        let (width, height) = parse_size(&mut r, chroma)?;
        let head_bits = r.position();
        let mut vui = None;
        let mut restriction = None;
        if r.bit()? {
            let start = r.position();
            skip_vui(&mut r)?;
            vui = Some(start..r.position());
            restriction = if r.bit()? {
                Some(Restriction::parse(&mut r)?)
            } else {
                None
            };
        }
        let reorder_frames = restriction.as_ref().map(|restriction| restriction.reorder_frames);
        let sps = Sps {
            profile_level_id,
            width,
            height,
            reference_frames,
            reorder_frames,
        };
        Ok(Self {
            sps,
            head_bits,
            vui,
            restriction,
        })
    }
}

impl Restriction {
    fn parse(r: &mut BitReader<'_>) -> Result<Self, SpsError> {
        let vectors_over_boundaries = r.bit()?;
        let limits = [r.ue()?, r.ue()?, r.ue()?, r.ue()?];
        if limits.iter().any(|&limit| limit > 16) {
            return Err(SpsError::Range("bitstream_restriction"));
        }
        let reorder_frames = r.ue()?;
        r.ue()?; // max_dec_frame_buffering
        Ok(Self {
            vectors_over_boundaries,
            limits,
            reorder_frames,
        })
    }
}

/// How chroma samples lie under luma samples, for the unit of cropping.
#[derive(Clone, Copy)]
struct Chroma {
    /// Luma samples per unit of horizontal cropping.
    crop_x: u32,
    /// Luma rows of a frame per unit of vertical cropping, before interlacing.
    crop_y: u32,
}

impl Chroma {
    fn parse(r: &mut BitReader<'_>, profile: u8) -> Result<Self, SpsError> {
        const WITH_CHROMA_FORMAT: [u8; 13] = [44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244];
        if !WITH_CHROMA_FORMAT.contains(&profile) {
            return Ok(Self { crop_x: 2, crop_y: 2 });
        }
        let format = r.ue()?;
        let separate_planes = format == 3 && r.bit()?;
        if r.ue()? > 6 || r.ue()? > 6 {
            return Err(SpsError::Range("bit_depth"));
        }
        r.bit()?; // qpprime_y_zero_transform_bypass_flag
        if r.bit()? {
            let lists = if format == 3 { 12 } else { 8 };
            for list in 0..lists {
                if r.bit()? {
                    skip_scaling_list(r, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        match format {
            _ if separate_planes => Ok(Self { crop_x: 1, crop_y: 1 }),
            0 | 3 => Ok(Self { crop_x: 1, crop_y: 1 }),
            1 => Ok(Self { crop_x: 2, crop_y: 2 }),
            2 => Ok(Self { crop_x: 2, crop_y: 1 }),
            _ => Err(SpsError::Range("chroma_format_idc")),
        }
    }
}

fn skip_scaling_list(r: &mut BitReader<'_>, size: usize) -> Result<(), SpsError> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            let delta = r.se()?;
            if !(-128..=127).contains(&delta) {
                return Err(SpsError::Range("delta_scale"));
            }
            next = (last + delta + 256) % 256;
        }
        last = if next == 0 { last } else { next };
    }
    Ok(())
}

fn skip_picture_order(r: &mut BitReader<'_>) -> Result<(), SpsError> {
    match r.ue()? {
        0 => {
            if r.ue()? > 12 {
                return Err(SpsError::Range("log2_max_pic_order_cnt_lsb"));
            }
        }
        1 => {
            r.bit()?;
            r.se()?;
            r.se()?;
            let cycle = r.ue()?;
            if cycle > 255 {
                return Err(SpsError::Range("num_ref_frames_in_pic_order_cnt_cycle"));
            }
            for _ in 0..cycle {
                r.se()?;
            }
        }
        2 => {}
        _ => return Err(SpsError::Range("pic_order_cnt_type")),
    }
    Ok(())
}

fn parse_size(r: &mut BitReader<'_>, chroma: Chroma) -> Result<(u16, u16), SpsError> {
    let (columns, rows) = (u64::from(r.ue()?) + 1, u64::from(r.ue()?) + 1);
    let frames_only = r.bit()?;
    if !frames_only {
        r.bit()?; // mb_adaptive_frame_field_flag
    }
    r.bit()?; // direct_8x8_inference_flag
    let fields = if frames_only { 1 } else { 2 };
    let (mut crop_x, mut crop_y) = (0, 0);
    if r.bit()? {
        crop_x = u64::from(chroma.crop_x) * (u64::from(r.ue()?) + u64::from(r.ue()?));
        crop_y = u64::from(chroma.crop_y) * fields * (u64::from(r.ue()?) + u64::from(r.ue()?));
    }
    let side = |macroblocks: u64, crop: u64| {
        let pixels = macroblocks.checked_mul(16)?.checked_sub(crop)?;
        u16::try_from(pixels).ok().filter(|&pixels| pixels > 0)
    };
    side(columns, crop_x)
        .zip(side(rows * fields, crop_y))
        .ok_or(SpsError::Range("picture size"))
}

/// Reads a VUI up to `bitstream_restriction_flag`.
fn skip_vui(r: &mut BitReader<'_>) -> Result<(), SpsError> {
    if r.bit()? && r.bits(8)? == 255 {
        r.bits(32)?; // extended sample aspect ratio
    }
    if r.bit()? {
        r.bit()?; // overscan_appropriate_flag
    }
    if r.bit()? {
        r.bits(4)?; // video_format, video_full_range_flag
        if r.bit()? {
            r.bits(24)?; // colour description
        }
    }
    if r.bit()? {
        r.ue()?; // chroma sample location
        r.ue()?;
    }
    if r.bit()? {
        r.bits(32)?; // timing
        r.bits(32)?;
        r.bit()?;
    }
    let nal_hrd = r.bit()?;
    if nal_hrd {
        skip_hrd(r)?;
    }
    let vcl_hrd = r.bit()?;
    if vcl_hrd {
        skip_hrd(r)?;
    }
    if nal_hrd || vcl_hrd {
        r.bit()?; // low_delay_hrd_flag
    }
    r.bit()?; // pic_struct_present_flag
    Ok(())
}

fn skip_hrd(r: &mut BitReader<'_>) -> Result<(), SpsError> {
    let count = r.ue()?;
    if count > 31 {
        return Err(SpsError::Range("cpb_cnt"));
    }
    r.bits(8)?;
    for _ in 0..=count {
        r.ue()?;
        r.ue()?;
        r.bit()?;
    }
    r.bits(20)?;
    Ok(())
}

#[cfg(test)]
mod tests {
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
}
