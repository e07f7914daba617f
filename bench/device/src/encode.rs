//! The device's video encoder: openh264, set up as a phone's encoder is for mirroring.
//!
//! ```text
//!   planes ── encode ──► Encoded { config: SPS+PPS (with the first picture only), unit: one access unit }
//! ```
//!
//! As a rule constrained baseline, no reordering, one slice a picture, Annex B with four-byte start codes. As on a
//! phone the parameter sets are given out apart and are not repeated before later key frames, if the client did not ask
//! for that. A [`Habit`] is what some
//! phone's encoder does otherwise. It does not know why or when a picture is encoded.

use std::ffi::c_int;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use openh264::OpenH264API;
use openh264::Timestamp;
use openh264::encoder::{
    BitRate, Complexity, Encoder as OpenH264, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile,
    RateControlMode, UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;
use openh264_sys2::ENCODER_OPTION_TRACE_LEVEL;
use scrcpy::options::CodecOption;
use thiserror::Error;

use crate::android::Size;
use crate::screen::planes::Planes;

mod wishes;

pub use wishes::{AskedProfile, Wishes};

/// Pictures a second that scrcpy tells every encoder, by which that counts the seconds between key frames.
const TOLD_FRAME_RATE: f64 = 60.0;

/// When key frames come, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFrames {
    /// Pictures from one to the next; `None` = only the first is one.
    pub every: Option<NonZeroU32>,
    /// Whether the parameter sets are repeated in each.
    pub with_parameters: bool,
}

impl KeyFrames {
    /// As scrcpy asks for them: 10 s at 60 pictures a second.
    pub const USUAL: Self = Self {
        every: NonZeroU32::new(600),
        with_parameters: false,
    };

    /// As scrcpy asks for them, or as the client's options do.
    #[must_use]
    pub fn new(options: &[CodecOption]) -> Self {
        let number = |key| wishes::number(options, key);
        // A negative interval has no end, and 0 makes each picture a key frame. A cast keeps within a u32.
        let pictures = |seconds: f64| NonZeroU32::new((seconds * TOLD_FRAME_RATE).round() as u32);
        Self {
            every: match number("i-frame-interval") {
                None => Self::USUAL.every,
                Some(seconds) if seconds < 0.0 => None,
                Some(seconds) => pictures(seconds).or(Some(NonZeroU32::MIN)),
            },
            with_parameters: number("prepend-sps-pps-to-idr-frames") == Some(1.0),
        }
    }
}

/// How an encoder of the field differs from the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Habit {
    /// Not at all.
    #[default]
    Usual,
    /// Says Main profile.
    Main,
    /// Many slices a picture, each below [`SLICE_LEN_MAX`].
    Slices,
    /// A delimiter and a message before every picture, and parameter sets before every key frame.
    Noisy,
    /// Takes [`SLOW_RESET`] to begin anew, as some phones' drivers do.
    SlowReset,
    /// Encodes another size than it was asked for: both sides rounded down to [`IGNORED_ALIGNMENT`], and says nothing.
    SizeIgnored,
    /// Software in a guest that manages 10 pictures a second.
    Guest10,
    /// Software in a guest that manages 25 pictures a second.
    Guest25,
    /// There is none: the server gives up as soon as it needs one.
    Missing,
}

/// There is no such habit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no encoder of this name; there are {}", Habit::ALL.map(Habit::name).join(", "))]
pub struct UnknownHabit;

/// Longest slice of [`Habit::Slices`] in bytes.
pub const SLICE_LEN_MAX: u32 = 1_000;

/// How long [`Habit::SlowReset`] takes from the order to the first new picture.
pub const SLOW_RESET: Duration = Duration::from_millis(800);

/// What [`Habit::SizeIgnored`] makes a multiple of: two macroblocks, so that the usual sizes of phones change.
pub const IGNORED_ALIGNMENT: u16 = 32;

impl Habit {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Usual,
        Self::Main,
        Self::Slices,
        Self::Noisy,
        Self::SlowReset,
        Self::SizeIgnored,
        Self::Guest10,
        Self::Guest25,
        Self::Missing,
    ];

    /// As it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Main => "main",
            Self::Slices => "slices",
            Self::Noisy => "noisy",
            Self::SlowReset => "slow-reset",
            Self::SizeIgnored => "size-ignored",
            Self::Guest10 => "guest-10",
            Self::Guest25 => "guest-25",
            Self::Missing => "missing",
        }
    }

    /// Pictures a second that it manages; `None` = as many as there are.
    pub fn fps_max(self) -> Option<f32> {
        match self {
            Self::Guest10 => Some(10.0),
            Self::Guest25 => Some(25.0),
            _ => None,
        }
    }

    /// The size that it encodes when it is asked for one.
    pub fn size_of(self, asked: Size) -> Size {
        let cut = |side: u16| (side / IGNORED_ALIGNMENT * IGNORED_ALIGNMENT).max(IGNORED_ALIGNMENT);
        match self {
            Self::SizeIgnored => Size {
                width: cut(asked.width),
                height: cut(asked.height),
            },
            _ => asked,
        }
    }
}

impl FromStr for Habit {
    type Err = UnknownHabit;

    fn from_str(text: &str) -> Result<Self, UnknownHabit> {
        let found = Self::ALL.into_iter().find(|habit| habit.name() == text);
        found.ok_or(UnknownHabit)
    }
}

/// How a stream is encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EncoderSettings {
    /// What is not usual.
    pub habit: Habit,
    /// Bits per second.
    pub bit_rate: u32,
    /// Pictures per second that the bit rate is shared by.
    pub frame_rate: f32,
    /// What a client asks for.
    pub wishes: Wishes,
}

/// An encoder for one session: its first picture is a key frame.
pub struct Encoder {
    inner: OpenH264,
    habit: Habit,
    with_parameters: bool,
}

/// One picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Parameter sets, with the first picture of an encoder.
    pub config: Option<Bytes>,
    /// The access unit, without parameter sets if nothing says otherwise.
    pub unit: Bytes,
    /// Whether it is a key frame.
    pub key: bool,
}

/// The encoder failed; what it says is all there is to know.
#[derive(Debug, Error)]
#[error("the video encoder failed")]
pub struct EncodeError(#[from] openh264::Error);

impl Encoder {
    /// A new encoder; the size comes with the first picture.
    ///
    /// # Errors
    /// The settings are refused.
    pub fn new(settings: EncoderSettings) -> Result<Self, EncodeError> {
        let config = EncoderConfig::new()
            .usage_type(UsageType::CameraVideoRealTime)
            .complexity(Complexity::Low)
            .profile(match (settings.wishes.profile, settings.habit) {
                (Some(AskedProfile::Main), _) | (None, Habit::Main) => Profile::Main,
                _ => Profile::Baseline,
            })
            .rate_control_mode(RateControlMode::Bitrate)
            .bitrate(BitRate::from_bps(settings.bit_rate))
            .max_frame_rate(FrameRate::from_hz(settings.frame_rate))
            .skip_frames(false)
            .scene_change_detect(false)
            .adaptive_quantization(false)
            .background_detection(false)
            .intra_frame_period(IntraFramePeriod::from_num_frames(
                settings.wishes.key_frames.every.map_or(0, NonZeroU32::get),
            ))
            .num_threads(1)
            .vui(VuiConfig::bt709());
        let config = match settings.habit {
            Habit::Slices => config.max_slice_len(SLICE_LEN_MAX),
            _ => config,
        };
        let mut inner = OpenH264::with_api_config(OpenH264API::from_source(), config)?;
        silence(&mut inner);
        Ok(Self {
            inner,
            habit: settings.habit,
            with_parameters: settings.wishes.key_frames.with_parameters,
        })
    }

    /// Encodes a picture; `None` if the encoder gave nothing out.
    ///
    /// # Errors
    /// The encoder failed and should be made anew.
    pub fn encode(
        &mut self,
        planes: &Planes,
        at_ms: u64,
        first: bool,
    ) -> Result<Option<Encoded>, EncodeError> {
        let (width, height) = (
            usize::from(planes.size().width),
            usize::from(planes.size().height),
        );
        let source = YUVSlices::new(planes.yuv(), (width, height), (width, width / 2, width / 2));
        let stream = self.inner.encode_at(&source, Timestamp::from_millis(at_ms))?;
        let key = matches!(stream.frame_type(), FrameType::IDR | FrameType::I);
        let noisy = self.habit == Habit::Noisy;
        let (mut config, mut unit) = (BytesMut::new(), BytesMut::new());
        if noisy {
            unit.extend_from_slice(DELIMITER);
        }
        let noise = unit.len();
        for layer in (0..stream.num_layers()).filter_map(|index| stream.layer(index)) {
            for nal in (0..layer.nal_count()).filter_map(|index| layer.nal_unit(index)) {
                let parameters = is_parameter_set(nal);
                if parameters {
                    config.extend_from_slice(nal);
                }
                if !parameters || (noisy || self.with_parameters) && key {
                    unit.extend_from_slice(nal);
                }
            }
        }
        Ok((unit.len() > noise).then(|| Encoded {
            config: (first && !config.is_empty()).then(|| config.freeze()),
            unit: unit.freeze(),
            key,
        }))
    }
}

/// A delimiter for any kind of slice, and a message of user data (16 bytes of its own number, one byte of content).
const DELIMITER: &[u8] = &[
    0, 0, 0, 1, 9, 0xf0, // delimiter
    0, 0, 0, 1, 6, 5, 17, // message: type 5, 17 bytes
    0xfa, 0x46, 0x1a, 0x55, 0xf0, 0x15, 0x4e, 0x77, 0x9a, 0x10, 0x5e, 0x1f, 0x6c, 0xd1, 0x2b, 0x80, 0x21,
    0x80,
];

/// Keeps the library from printing: it warns on stderr, at every start, that without skipping pictures the bit rate
/// is a goal and not a bound, which is what we want.
#[expect(
    unsafe_code,
    reason = "the safe wrapper sets the level only after the library has printed"
)]
fn silence(encoder: &mut OpenH264) {
    let mut level: c_int = 0;
    // SAFETY: the option takes a pointer to an int, which is read during the call; no parameter that the wrapper
    // relies on is touched.
    unsafe {
        encoder
            .raw_api()
            .set_option(ENCODER_OPTION_TRACE_LEVEL, (&raw mut level).cast());
    }
}

/// Whether a NAL unit with its start code is an SPS or a PPS.
fn is_parameter_set(nal: &[u8]) -> bool {
    const SPS: u8 = 7;
    const PPS: u8 = 8;
    let header = nal
        .iter()
        .position(|&byte| byte == 1)
        .and_then(|one| nal.get(one + 1));
    header.is_some_and(|header| matches!(header & 0x1f, SPS | PPS))
}
