//! Reads a server's arguments: the device's half.
//!
//! Every argument is `key=value`. A key that the version does not know is only warned of; a value that does not parse
//! keeps the server from starting. Keys that the version knows and that change neither bytes nor pictures here (the
//! camera, the audio's source) have no effect; what is no value of one is refused like any other.
//!
//! ```text
//!   key=value ──► known? ── no ──► a warning          named after its option: "Invalid value for max_size: …"
//!                   │ yes                             or in the server's words: "Audio source x not supported"
//!                   └──► a value? ── no ──► the server does not start
//! ```

use std::num::NonZeroU32;

use thiserror::Error;

use super::{Crop, FLAGS, LogLevel, ServerOptions, VideoSource, codec_options, unused};
use crate::codec::{AudioCodec, VideoCodec};
use crate::version::ServerVersion;

/// Most arguments that [`parse`] reads; a stock client sends fewer than 40. More is refused.
pub const ARGUMENTS_MAX: usize = 128;

/// Why a server refuses its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseError {
    /// An argument without `=`.
    #[error("Invalid key=value pair: \"{0}\"")]
    NotAPair(String),
    /// A value that does not parse.
    #[error("Invalid value for {key}: \"{value}\"")]
    Value {
        /// The option.
        key: String,
        /// What it was set to.
        value: String,
    },
    /// A value that is none, in the server's own words.
    #[error("{0}")]
    Refused(String),
    /// Neither video nor audio nor control.
    #[error("video, audio and control are all off")]
    NothingToDo,
    /// More than [`ARGUMENTS_MAX`].
    #[error("more than {ARGUMENTS_MAX} arguments")]
    TooMany,
}

/// What a server reads from its arguments.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The options.
    pub options: ServerOptions,
    /// Keys that the version does not know: it warns and goes on.
    pub unknown_keys: Vec<String>,
}

/// Reads the arguments after the version, as a server of this version does.
///
/// # Errors
/// An argument that makes a server refuse to start.
pub fn parse<S: AsRef<str>>(version: ServerVersion, args: &[S]) -> Result<Parsed, ParseError> {
    if args.len() > ARGUMENTS_MAX {
        return Err(ParseError::TooMany);
    }
    let mut parsed = Parsed {
        options: ServerOptions::default(),
        unknown_keys: Vec::new(),
    };
    for arg in args {
        let arg = arg.as_ref();
        let (key, value) = arg
            .split_once('=')
            .ok_or_else(|| ParseError::NotAPair(arg.to_owned()))?;
        if matches!(key, "video_codec_options" | "audio_codec_options") {
            codec_options(value).map_err(ParseError::Refused)?;
        }
        let set_in_words = set_picture(&mut parsed.options, version, key, value)
            .or_else(|| set_named(&mut parsed.options, version, key, value))
            .or_else(|| unused::check(version, key, value));
        if let Some(set) = set_in_words {
            set.map_err(ParseError::Refused)?;
            continue;
        }
        match set(&mut parsed.options, version, key, value) {
            Some(Setting::Done) => {}
            Some(Setting::Unknown) => parsed.unknown_keys.push(key.to_owned()),
            None => {
                return Err(ParseError::Value {
                    key: key.to_owned(),
                    value: value.to_owned(),
                });
            }
        }
    }
    let options = &parsed.options;
    if !options.video && !options.audio && !options.control {
        return Err(ParseError::NothingToDo);
    }
    Ok(parsed)
}

enum Setting {
    Done,
    Unknown,
}

/// `None`: the value does not parse.
fn set(options: &mut ServerOptions, version: ServerVersion, key: &str, value: &str) -> Option<Setting> {
    if let Some(flag) = FLAGS
        .iter()
        .find(|flag| flag.name(version) == key && flag.in_version(version))
    {
        *(flag.get_mut)(options) = boolean(value);
        return Some(Setting::Done);
    }
    match key {
        "scid" if value == "-1" => options.scid = None,
        "scid" => options.scid = Some(value.parse().ok()?),
        "log_level" => options.log_level = LogLevel::from_name(value)?,
        "video_bit_rate" => options.video_bit_rate = value.parse().ok().map(NonZeroU32::get)?,
        "max_size" => options.max_size = value.parse().ok().map(|size| (size > 0).then_some(size))?,
        "min_size_alignment" if version.at_least(4, 0, 0) => {
            options.min_size_alignment = value.parse().ok().filter(|a| [1, 2, 4, 8, 16].contains(a))?;
        }
        "max_fps" => {
            let fps: f32 = value
                .parse()
                .ok()
                .filter(|fps: &f32| fps.is_finite() && *fps >= 0.0)?;
            options.max_fps = (fps > 0.0).then_some(fps);
        }
        "new_display" if version.at_least(3, 0, 0) => options.new_display = Some(value.parse().ok()?),
        "display_id" => options.display_id = value.parse().ok()?,
        "screen_off_timeout" if version.at_least(3, 0, 0) => {
            let timeout_ms: i32 = value.parse().ok().filter(|timeout| *timeout >= -1)?;
            options.screen_off_timeout = u32::try_from(timeout_ms).ok();
        }
        "video_codec_options" => value.clone_into(&mut options.video_codec_options),
        "video_encoder" => value.clone_into(&mut options.video_encoder),
        "audio_encoder" => value.clone_into(&mut options.audio_encoder),
        "raw_stream" if version.at_least(2, 1, 0) => set_raw(options, value),
        "raw_video_stream" if !version.at_least(2, 1, 0) => set_raw(options, value),
        _ => return Some(Setting::Unknown),
    }
    Some(Setting::Done)
}

/// How the picture is cut and turned; `None`: another key. What is wrong is told in the server's words.
fn set_picture(
    options: &mut ServerOptions,
    version: ServerVersion,
    key: &str,
    value: &str,
) -> Option<Result<(), String>> {
    let oriented = version.at_least(3, 0, 0);
    let set = match key {
        "crop" => Crop::parse(version, value).map(|crop| options.crop = crop),
        "angle" if oriented => value
            .parse()
            .map(|angle| options.angle = angle)
            .map_err(|_| format!("Invalid float value for angle: \"{value}\"")),
        "capture_orientation" if oriented => value
            .parse()
            .map(|orientation| options.capture_orientation = orientation),
        "lock_video_orientation" if !oriented => {
            value.parse().map(|lock| options.lock_video_orientation = lock)
        }
        _ => return None,
    };
    Some(set)
}

/// What is chosen by a name that the version has; `None`: another key. What is wrong is told in the server's words.
fn set_named(
    options: &mut ServerOptions,
    version: ServerVersion,
    key: &str,
    value: &str,
) -> Option<Result<(), String>> {
    let (what, known) = match key {
        "video_codec" => {
            let codec = VideoCodec::from_name(value).filter(|codec| codec.in_version(version));
            ("Video codec", codec.map(|codec| options.video_codec = codec))
        }
        "audio_codec" => {
            let codec = AudioCodec::from_name(value).filter(|codec| codec.in_version(version));
            ("Audio codec", codec.map(|codec| options.audio_codec = codec))
        }
        "video_source" if version.at_least(2, 2, 0) => {
            let source = VideoSource::from_name(value);
            ("Video source", source.map(|source| options.video_source = source))
        }
        _ => return None,
    };
    Some(known.ok_or_else(|| format!("{what} {value} not supported")))
}

fn set_raw(options: &mut ServerOptions, value: &str) {
    if boolean(value) {
        options.send_device_meta = false;
        options.send_frame_meta = false;
        options.send_dummy_byte = false;
        options.send_stream_meta = false;
    }
}

/// The server takes only `true`, in any case, as true, and everything else as false.
fn boolean(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}
