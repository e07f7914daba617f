//! What a client's `video_codec_options` change of what scrcpy asks an encoder for.
//!
//! ```text
//!   i-frame-interval, prepend-sps-pps-to-idr-frames    see `KeyFrames`
//!   bitrate                        bits a second, in place of video_bit_rate
//!   max-fps-to-encoder             pictures a second at most, in place of max_fps
//!   repeat-previous-frame-after    µs of rest after which the last picture is encoded once more; 0 or less: never
//!   profile                        1 and 65536 baseline, 2 main
//!   all others                     read, and without effect
//! ```
//!
//! The names are those of Android's `MediaFormat`, the numbers of `profile` those of its `MediaCodecInfo`. A number that is
//! none for its key, and a profile that openh264 does not have, leave what scrcpy asks for, as an encoder does that takes
//! a key for advice. Level, B-frames, intra refresh and the mode of the bit rate are such advice here. It does not know
//! how options are written (`scrcpy::options`).

use std::time::Duration;

use scrcpy::options::CodecOption;

use super::KeyFrames;

/// A profile that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedProfile {
    /// `AVCProfileBaseline` and `AVCProfileConstrainedBaseline`.
    Baseline,
    /// `AVCProfileMain`.
    Main,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wishes {
    /// Bits a second; `None` = as the server's own option says.
    pub bit_rate: Option<u32>,
    /// Pictures a second at most; `None` = as the server's own option says.
    pub max_fps: Option<f32>,
    /// Rest after which the last picture is encoded once more; `None` = never.
    pub repeat_after: Option<Duration>,
    /// `None` = as the encoder likes.
    pub profile: Option<AskedProfile>,
    /// When key frames come.
    pub key_frames: KeyFrames,
}

impl Wishes {
    /// What scrcpy asks for.
    pub const USUAL: Self = Self {
        bit_rate: None,
        max_fps: None,
        repeat_after: Some(Duration::from_millis(100)),
        profile: None,
        key_frames: KeyFrames::USUAL,
    };

    /// What scrcpy asks for, but for what the options say.
    #[must_use]
    pub fn new(options: &[CodecOption]) -> Self {
        let above = |key: &str| number(options, key).filter(|number| *number > 0.0);
        Self {
            // A cast keeps within a u32.
            bit_rate: above("bitrate").map(|number| number as u32),
            max_fps: above("max-fps-to-encoder").map(|number| number as f32),
            repeat_after: match number(options, "repeat-previous-frame-after") {
                None => Self::USUAL.repeat_after,
                Some(us) => (us > 0.0).then(|| Duration::from_micros(us as u64)),
            },
            profile: match number(options, "profile").map(|number| number as i64) {
                Some(1 | 65_536) => Some(AskedProfile::Baseline),
                Some(2) => Some(AskedProfile::Main),
                _ => None,
            },
            key_frames: KeyFrames::new(options),
        }
    }
}

/// The number that the last option of this key has.
pub(super) fn number(options: &[CodecOption], key: &str) -> Option<f64> {
    let of_key = options.iter().rev().find(|option| option.key == key);
    of_key.and_then(|option| option.value.number())
}

#[cfg(test)]
mod tests {
    use scrcpy::options::codec_options;

    use super::*;

    #[test]
    fn options_take_the_place_of_what_scrcpy_asks_for() {
        let wishes = |text: &str| Wishes::new(&codec_options(text).unwrap());
        assert_eq!(wishes(""), Wishes::USUAL);
        assert_eq!(wishes("level=512,latency=0,bitrate=-1,profile=8"), Wishes::USUAL);
        assert_eq!(wishes("bitrate=7,bitrate=900000").bit_rate, Some(900_000));
        assert_eq!(wishes("max-fps-to-encoder:float=12.5").max_fps, Some(12.5));
        assert_eq!(wishes("profile=65536").profile, Some(AskedProfile::Baseline));
        assert_eq!(wishes("profile=2").profile, Some(AskedProfile::Main));
        let repeat = |us: &str| wishes(&format!("repeat-previous-frame-after:long={us}")).repeat_after;
        assert_eq!(repeat("250000"), Some(Duration::from_millis(250)));
        assert_eq!(
            repeat("9223372036854775807"),
            Some(Duration::from_micros(i64::MAX as u64 + 1))
        );
        assert_eq!((repeat("0"), repeat("-1")), (None, None));
    }
}
