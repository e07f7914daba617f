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
#[path = "sps_tests.rs"]
mod tests;
