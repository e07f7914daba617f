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
//! What is here is what a display on Android can be asked for; the camera is left out.

mod codec_options;
mod display;
mod parse;
mod picture;
mod unused;

use thiserror::Error;

use crate::codec::{AudioCodec, VideoCodec};
use crate::demux::Start;
use crate::handshake::Scid;
use crate::version::ServerVersion;

pub use codec_options::{CodecOption, CodecValue, codec_options};
pub use display::NewDisplay;
pub use parse::{ARGUMENTS_MAX, ParseError, Parsed, parse};
pub use picture::{CaptureOrientation, Crop, Orientation, VideoLock};

/// The class that `app_process` runs.
pub const SERVER_CLASS: &str = "com.genymobile.scrcpy.Server";

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
    /// The audio's codec.
    pub audio_codec: AudioCodec,
    /// Longer side in pixels, `None` = as the display.
    pub max_size: Option<u16>,
    /// Width and height are rounded down to a multiple of this (from 4.0; before it is always 8).
    pub min_size_alignment: u16,
    /// Pictures per second at most, `None` = as the display.
    pub max_fps: Option<f32>,
    /// The part of the display to capture, `None` = all of it.
    pub crop: Option<Crop>,
    /// Degrees clockwise by which the picture is turned in its frame (from 3.0).
    pub angle: f32,
    /// Which way up the picture is (from 3.0).
    pub capture_orientation: CaptureOrientation,
    /// Which way up the picture is (before 3.0).
    pub lock_video_orientation: VideoLock,
    /// The device listens and the client connects, instead of the other way round.
    pub tunnel_forward: bool,
    /// The display to capture.
    pub display_id: u32,
    /// A virtual display to make and capture instead (from 3.0).
    pub new_display: Option<NewDisplay>,
    /// The client may resize the virtual display (from 4.0).
    pub flex_display: bool,
    /// The virtual display's apps end with it, instead of going to the main one (from 3.1).
    pub vd_destroy_content: bool,
    /// The virtual display has a launcher and the like (from 3.0).
    pub vd_system_decorations: bool,
    /// Print encoders and end.
    pub list_encoders: bool,
    /// Print displays and end.
    pub list_displays: bool,
    /// Print cameras and end (from 2.2).
    pub list_cameras: bool,
    /// Print cameras with their sizes and end (from 2.2).
    pub list_camera_sizes: bool,
    /// Print apps and end (from 3.0).
    pub list_apps: bool,
    /// `key[:type]=value,…` for the encoder; empty = none.
    pub video_codec_options: String,
    /// The encoder's name; empty = the server chooses.
    pub video_encoder: String,
    /// The sound's encoder's name; empty = the server chooses.
    pub audio_encoder: String,
    /// What is filmed (from 2.2).
    pub video_source: VideoSource,
    /// Shows touches as dots.
    pub show_touches: bool,
    /// Keeps the screen on while plugged in.
    pub stay_awake: bool,
    /// Milliseconds without input after which the screen goes off; `None` = as the device has it (from 3.0).
    pub screen_off_timeout: Option<u32>,
    /// Counts as somebody's activity every 4 s (from 4.0).
    pub keep_active: bool,
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

/// What a server films.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoSource {
    /// A display.
    Display,
    /// A camera.
    Camera,
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
    /// The version does not have this option, or not with this value.
    #[error("server {version} has no option {key}, or not with this value")]
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
            audio_codec: AudioCodec::Opus,
            max_size: None,
            min_size_alignment: 1,
            max_fps: None,
            crop: None,
            angle: 0.0,
            capture_orientation: CaptureOrientation::default(),
            lock_video_orientation: VideoLock::default(),
            tunnel_forward: false,
            display_id: 0,
            new_display: None,
            flex_display: false,
            vd_destroy_content: true,
            vd_system_decorations: true,
            list_encoders: false,
            list_displays: false,
            list_cameras: false,
            list_camera_sizes: false,
            list_apps: false,
            video_codec_options: String::new(),
            video_encoder: String::new(),
            audio_encoder: String::new(),
            video_source: VideoSource::Display,
            show_touches: false,
            stay_awake: false,
            screen_off_timeout: None,
            keep_active: false,
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
            let codec = self.video_codec;
            args.named("video_codec", codec.name(), codec.in_version(version))?;
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
        self.picture_args(&mut args)?;
        if self.display_id != 0 {
            args.text("display_id", &self.display_id.to_string())?;
        }
        if self.audio_codec != default.audio_codec {
            let codec = self.audio_codec;
            args.named("audio_codec", codec.name(), codec.in_version(version))?;
        }
        if let Some(display) = self.new_display {
            args.text("new_display", &display.to_string())?;
        }
        if self.video_source != default.video_source {
            args.text("video_source", self.video_source.name())?;
        }
        if let Some(timeout_ms) = self.screen_off_timeout {
            args.text("screen_off_timeout", &timeout_ms.to_string())?;
        }
        for (key, value) in [
            ("video_codec_options", &self.video_codec_options),
            ("video_encoder", &self.video_encoder),
            ("audio_encoder", &self.audio_encoder),
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

    /// How the picture is cut and turned.
    fn picture_args(&self, args: &mut Arguments) -> Result<(), EncodeError> {
        if let Some(crop) = self.crop {
            args.text("crop", &crop.to_string())?;
        }
        if self.angle != 0.0 {
            args.text("angle", &self.angle.to_string())?;
        }
        if self.capture_orientation != CaptureOrientation::default() {
            args.text("capture_orientation", &self.capture_orientation.to_string())?;
        }
        match self.lock_video_orientation {
            VideoLock::Unlocked => Ok(()),
            lock => args.text("lock_video_orientation", &lock.to_string()),
        }
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
    flag!(flex_display, None, (4, 0)),
    flag!(vd_destroy_content, None, (3, 1)),
    flag!(vd_system_decorations, None, (3, 0)),
    flag!(list_encoders),
    flag!(list_displays),
    flag!(list_cameras, None, (2, 2)),
    flag!(list_camera_sizes, None, (2, 2)),
    flag!(list_apps, None, (3, 0)),
    flag!(show_touches),
    flag!(stay_awake),
    flag!(keep_active, None, (4, 0)),
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

/// Options that are neither a switch nor in every version, with the version that introduced them.
const SINCE: &[(&str, (u16, u16))] = &[
    ("angle", (3, 0)),
    ("capture_orientation", (3, 0)),
    ("min_size_alignment", (4, 0)),
    ("new_display", (3, 0)),
    ("screen_off_timeout", (3, 0)),
    ("video_source", (2, 2)),
];

/// Options that a version took out again.
const UNTIL: &[(&str, (u16, u16))] = &[("lock_video_orientation", (3, 0))];

struct Arguments {
    version: ServerVersion,
    list: Vec<String>,
}

impl Arguments {
    fn text(&mut self, key: &'static str, value: &str) -> Result<(), EncodeError> {
        let is_at_least = |(major, minor)| self.version.at_least(major, minor, 0);
        let missing = SINCE
            .iter()
            .any(|&(name, since)| name == key && !is_at_least(since))
            || UNTIL
                .iter()
                .any(|&(name, until)| name == key && is_at_least(until))
            || FLAGS
                .iter()
                .any(|flag| flag.key == key && !flag.in_version(self.version));
        if missing {
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

    /// An option of every version whose value may be none of this one's.
    fn named(&mut self, key: &'static str, value: &str, is_known: bool) -> Result<(), EncodeError> {
        if is_known {
            return self.text(key, value);
        }
        let version = self.version;
        Err(EncodeError::NotInVersion { key, version })
    }
}

impl VideoSource {
    /// The value of the option.
    pub fn name(self) -> &'static str {
        match self {
            Self::Display => "display",
            Self::Camera => "camera",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Display, Self::Camera]
            .into_iter()
            .find(|source| source.name() == name)
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

fn is_shell_safe(value: &str) -> bool {
    value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_.,:=/@+-".contains(&b))
}
