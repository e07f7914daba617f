//! Codec numbers: four ASCII letters read as a big-endian u32, shorter names padded with zeros in front.
//!
//! An audio socket may carry two numbers that are no codec: 0 says that the device has no audio to give, 1 that it
//! was set up wrongly. Neither concerns the video.

use crate::version::ServerVersion;

/// A video codec that a server can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// H.264, Annex B, one access unit per packet.
    H264,
    /// H.265, Annex B.
    H265,
    /// AV1, one temporal unit per packet.
    Av1,
    /// VP8, from 4.1.
    Vp8,
    /// VP9, from 4.1.
    Vp9,
}

/// An audio codec that a server can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// Opus at 48 kHz stereo.
    Opus,
    /// AAC.
    Aac,
    /// FLAC, from 2.3.
    Flac,
    /// Signed 16-bit little-endian samples, interleaved.
    Raw,
}

/// What the first four bytes of an audio socket say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioStart {
    /// Packets of this codec follow.
    Codec(AudioCodec),
    /// The device cannot capture audio; go on without.
    Disabled,
    /// The audio options do not fit the device; the stock client gives up here.
    ConfigurationError,
}

impl VideoCodec {
    /// All codecs, in the order of their introduction.
    pub const ALL: [Self; 5] = [Self::H264, Self::H265, Self::Av1, Self::Vp8, Self::Vp9];

    /// The number on the wire.
    pub fn id(self) -> u32 {
        match self {
            Self::H264 => 0x6832_3634,
            Self::H265 => 0x6832_3635,
            Self::Av1 => 0x0061_7631,
            Self::Vp8 => 0x0076_7038,
            Self::Vp9 => 0x0076_7039,
        }
    }

    /// The codec with this number, `None` if there is none.
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.id() == id)
    }

    /// The value of the option `video_codec`.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Av1 => "av1",
            Self::Vp8 => "vp8",
            Self::Vp9 => "vp9",
        }
    }

    /// The codec with this option value, `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Whether a server of this version knows the codec.
    pub fn in_version(self, version: ServerVersion) -> bool {
        match self {
            Self::H264 | Self::H265 | Self::Av1 => true,
            Self::Vp8 | Self::Vp9 => version.at_least(4, 1, 0),
        }
    }
}

impl AudioCodec {
    const ALL: [Self; 4] = [Self::Opus, Self::Aac, Self::Flac, Self::Raw];

    /// The number on the wire.
    pub fn id(self) -> u32 {
        match self {
            Self::Opus => 0x6f70_7573,
            Self::Aac => 0x0061_6163,
            Self::Flac => 0x666c_6163,
            Self::Raw => 0x0072_6177,
        }
    }

    /// The value of the option `audio_codec`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Aac => "aac",
            Self::Flac => "flac",
            Self::Raw => "raw",
        }
    }

    /// The codec with this option value, `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Whether a server of this version knows the codec.
    pub fn in_version(self, version: ServerVersion) -> bool {
        self != Self::Flac || version.at_least(2, 3, 0)
    }
}

impl AudioStart {
    /// The number on the wire.
    pub fn id(self) -> u32 {
        match self {
            Self::Codec(codec) => codec.id(),
            Self::Disabled => 0,
            Self::ConfigurationError => 1,
        }
    }

    /// What this number says, `None` if nothing known.
    pub fn from_id(id: u32) -> Option<Self> {
        match id {
            0 => Some(Self::Disabled),
            1 => Some(Self::ConfigurationError),
            _ => AudioCodec::ALL
                .into_iter()
                .find(|codec| codec.id() == id)
                .map(Self::Codec),
        }
    }
}
