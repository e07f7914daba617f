//! The server's command line: typed options on one side, `key=value` arguments on the other.
//!
//! ```text
//!   CLASSPATH=/data/local/tmp/x.jar app_process / com.genymobile.scrcpy.Server 4.1 scid=0000abcd log_level=info audio=false …
//!                                               └ ignored                      └ exactly the server's own version
//! ```
//!
//! Only options that differ from the server's default are written, plus `scid` (if any) and `log_level`. A server
//! does not refuse a key that it does not know, it warns, and a stream header that was meant to be off stays on:
//! therefore the writer picks names by version (`send_stream_meta` from 4.0, `send_codec_meta` before) and refuses
//! an option that the version lacks. The line goes through the device's shell, which expands it: a value with any
//! other character than letters, digits and `_.,:=/@+-` is refused and not quoted.
//!
//! What is here is what a display on Android can be asked for; camera and virtual displays are left out.

use std::num::NonZeroU32;

use thiserror::Error;

use crate::codec::VideoCodec;
use crate::demux::Start;
use crate::handshake::Scid;
use crate::version::ServerVersion;

/// The class that `app_process` runs.
pub const SERVER_CLASS: &str = "com.genymobile.scrcpy.Server";

/// Most arguments that [`parse`] reads; a stock client sends fewer than 40. More is refused.
pub const ARGUMENTS_MAX: usize = 128;

/// Options of a server. [`Default`] is the server's own default.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerOptions {
    /// Keeps the sockets of several servers apart.
    pub scid: Option<Scid>,
    /// What the server prints.
    pub log_level: LogLevel,
    /// Whether there is a video socket (false from 2.1).
    pub video: bool,
    /// Whether there is an audio socket.
    pub audio: bool,
    /// Whether there is a control socket.
    pub control: bool,
    /// The video's codec.
    pub video_codec: VideoCodec,
    /// Bits per second, fixed for the life of the server.
    pub video_bit_rate: u32,
    /// Longer side in pixels, `None` = as the display.
    pub max_size: Option<u16>,
    /// Width and height are rounded down to a multiple of this (from 4.0; before it is always 8).
    pub min_size_alignment: u16,
    /// Pictures per second at most, `None` = as the display.
    pub max_fps: Option<f32>,
    /// The device listens and the client connects, instead of the other way round.
    pub tunnel_forward: bool,
    /// The display to capture.
    pub display_id: u32,
    /// `key[:type]=value,…` for the encoder; empty = none.
    pub video_codec_options: String,
    /// The encoder's name; empty = the server chooses.
    pub video_encoder: String,
    /// Shows touches as dots.
    pub show_touches: bool,
    /// Keeps the screen on while plugged in.
    pub stay_awake: bool,
    /// Switches the screen on at the start.
    pub power_on: bool,
    /// Switches the screen off at the end.
    pub power_off_on_close: bool,
    /// Pushes clipboard changes to the client.
    pub clipboard_autosync: bool,
    /// Tries smaller sizes if the encoder fails.
    pub downsize_on_error: bool,
    /// Deletes the jar and restores settings at the end.
    pub cleanup: bool,
    /// Sends the device's name on the first socket.
    pub send_device_meta: bool,
    /// Sends a header before every packet.
    pub send_frame_meta: bool,
    /// Sends a byte on the first accepted socket.
    pub send_dummy_byte: bool,
    /// Sends the codec and the size.
    pub send_stream_meta: bool,
}

/// What a server prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogLevel {
    /// Everything.
    Verbose,
    /// The server's default.
    Debug,
    /// The device and what was chosen.
    Info,
    /// What may be wrong.
    Warn,
    /// What ends the server.
    Error,
}

/// Why options cannot be written for a version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The version does not have this option.
    #[error("server {version} has no option {key}")]
    NotInVersion {
        /// The option.
        key: &'static str,
        /// The version asked for.
        version: ServerVersion,
    },
    /// The shell on the device would change this value.
    #[error("the value of {key} has a character that the device's shell would expand")]
    Unsafe {
        /// The option, or `jar` for the path of the server.
        key: &'static str,
    },
}

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

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            scid: None,
            log_level: LogLevel::Debug,
            video: true,
            audio: true,
            control: true,
            video_codec: VideoCodec::H264,
            video_bit_rate: 8_000_000,
            max_size: None,
            min_size_alignment: 1,
            max_fps: None,
            tunnel_forward: false,
            display_id: 0,
            video_codec_options: String::new(),
            video_encoder: String::new(),
            show_touches: false,
            stay_awake: false,
            power_on: true,
            power_off_on_close: false,
            clipboard_autosync: true,
            downsize_on_error: true,
            cleanup: true,
            send_device_meta: true,
            send_frame_meta: true,
            send_dummy_byte: true,
            send_stream_meta: true,
        }
    }
}

impl ServerOptions {
    /// How the video socket begins for a client that has already read the dummy byte, if there is one.
    pub fn video_start(&self, version: ServerVersion) -> Start {
        Start {
            framing: version.framing(),
            dummy_byte: false,
            device_name: self.send_device_meta,
            stream_header: self.send_stream_meta,
        }
    }

    /// The arguments after the version, in the order of [`ServerOptions`]'s fields.
    ///
    /// # Errors
    /// The version lacks an option that is not at its default, or a value is not safe in a shell.
    pub fn to_args(&self, version: ServerVersion) -> Result<Vec<String>, EncodeError> {
        let default = Self::default();
        let mut args = Arguments {
            version,
            list: Vec::new(),
        };
        if let Some(scid) = self.scid {
            args.list.push(format!("scid={scid}"));
        }
        args.list.push(format!("log_level={}", self.log_level.name()));
        if self.video_codec != default.video_codec {
            args.text("video_codec", self.video_codec.name())?;
        }
        if self.video_bit_rate != default.video_bit_rate {
            args.text("video_bit_rate", &self.video_bit_rate.to_string())?;
        }
        if let Some(size) = self.max_size {
            args.text("max_size", &size.to_string())?;
        }
        if self.min_size_alignment != default.min_size_alignment {
            args.text("min_size_alignment", &self.min_size_alignment.to_string())?;
        }
        if let Some(fps) = self.max_fps {
            args.text("max_fps", &fps.to_string())?;
        }
        if self.display_id != 0 {
            args.text("display_id", &self.display_id.to_string())?;
        }
        for (key, value) in [
            ("video_codec_options", &self.video_codec_options),
            ("video_encoder", &self.video_encoder),
        ] {
            if !value.is_empty() {
                args.text(key, value)?;
            }
        }
        for flag in FLAGS {
            let value = *(flag.get)(self);
            if value != *(flag.get)(&default) {
                args.text(flag.name(version), if value { "true" } else { "false" })?;
            }
        }
        Ok(args.list)
    }

    /// The line for the device's shell that starts the server at `jar`.
    ///
    /// # Errors
    /// As [`to_args`](Self::to_args), or the path is not safe in a shell.
    pub fn command_line(&self, jar: &str, version: ServerVersion) -> Result<String, EncodeError> {
        if !is_shell_safe(jar) {
            return Err(EncodeError::Unsafe { key: "jar" });
        }
        let args = self.to_args(version)?.join(" ");
        Ok(format!(
            "CLASSPATH={jar} app_process / {SERVER_CLASS} {version} {args}"
        ))
    }
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
        "video_codec" => options.video_codec = VideoCodec::from_name(value)?,
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
        "display_id" => options.display_id = value.parse().ok()?,
        "video_codec_options" => value.clone_into(&mut options.video_codec_options),
        "video_encoder" => value.clone_into(&mut options.video_encoder),
        "raw_stream" if version.at_least(2, 1, 0) => set_raw(options, value),
        "raw_video_stream" if !version.at_least(2, 1, 0) => set_raw(options, value),
        _ => return Some(Setting::Unknown),
    }
    Some(Setting::Done)
}

fn set_raw(options: &mut ServerOptions, value: &str) {
    if boolean(value) {
        options.send_device_meta = false;
        options.send_frame_meta = false;
        options.send_dummy_byte = false;
        options.send_stream_meta = false;
    }
}

/// A switch and its names.
struct Flag {
    key: &'static str,
    /// The name before 4.0, if another.
    key_before_4: Option<&'static str>,
    /// Major and minor version that introduced it.
    since: (u16, u16),
    get: fn(&ServerOptions) -> &bool,
    get_mut: fn(&mut ServerOptions) -> &mut bool,
}

impl Flag {
    fn name(&self, version: ServerVersion) -> &'static str {
        match self.key_before_4 {
            Some(old) if !version.at_least(4, 0, 0) => old,
            _ => self.key,
        }
    }

    fn in_version(&self, version: ServerVersion) -> bool {
        version.at_least(self.since.0, self.since.1, 0)
    }
}

macro_rules! flag {
    ($field:ident) => {
        flag!($field, None, (2, 0))
    };
    ($field:ident, $old:expr, $since:expr) => {
        Flag {
            key: stringify!($field),
            key_before_4: $old,
            since: $since,
            get: |options| &options.$field,
            get_mut: |options| &mut options.$field,
        }
    };
}

const FLAGS: &[Flag] = &[
    flag!(video, None, (2, 1)),
    flag!(audio),
    flag!(control),
    flag!(tunnel_forward),
    flag!(show_touches),
    flag!(stay_awake),
    flag!(power_on),
    flag!(power_off_on_close),
    flag!(clipboard_autosync),
    flag!(downsize_on_error),
    flag!(cleanup),
    flag!(send_device_meta),
    flag!(send_frame_meta),
    flag!(send_dummy_byte),
    flag!(send_stream_meta, Some("send_codec_meta"), (2, 0)),
];

/// Options that are neither a switch nor in every version.
const SINCE_4_0: &[&str] = &["min_size_alignment"];

struct Arguments {
    version: ServerVersion,
    list: Vec<String>,
}

impl Arguments {
    fn text(&mut self, key: &'static str, value: &str) -> Result<(), EncodeError> {
        let too_new = SINCE_4_0.contains(&key) && !self.version.at_least(4, 0, 0)
            || FLAGS
                .iter()
                .any(|flag| flag.key == key && !flag.in_version(self.version));
        if too_new {
            return Err(EncodeError::NotInVersion {
                key,
                version: self.version,
            });
        }
        if !is_shell_safe(value) {
            return Err(EncodeError::Unsafe { key });
        }
        self.list.push(format!("{key}={value}"));
        Ok(())
    }
}

impl LogLevel {
    const ALL: [Self; 5] = [Self::Verbose, Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// The value of the option.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verbose => "verbose",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// The server takes only `true`, in any case, as true, and everything else as false.
fn boolean(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

fn is_shell_safe(value: &str) -> bool {
    value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_.,:=/@+-".contains(&b))
}
