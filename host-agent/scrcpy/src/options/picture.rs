//! How a server cuts, turns and mirrors the picture of its display: `crop`, `capture_orientation`,
//! `lock_video_orientation`.
//!
//! ```text
//!   crop                    W:H:X:Y   pixels of the display in its natural orientation
//!   capture_orientation     [@]NAME   from 3.0; NAME is 0, 90, 180, 270, flip0 … flip270: clockwise, after a mirror
//!                           @         locked as the display is held at the start
//!   lock_video_orientation  0 … 3     before 3.0: quarters against the clock; -1 not, -2 as it is held at the start
//! ```
//!
//! With `@` the picture is turned from the natural orientation and stays so however the device is held. What is wrong is
//! told in the server's words. Only what a client may say: whether a cut fits a display is the device's business.

use std::fmt;
use std::str::FromStr;

use crate::version::ServerVersion;

/// A part of the display, in pixels of its natural orientation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crop {
    /// Above 0 from 2.7.
    pub width: i32,
    /// Above 0 from 2.7.
    pub height: i32,
    /// From the left; not negative from 2.7.
    pub x: i32,
    /// From the top; not negative from 2.7.
    pub y: i32,
}

/// A picture mirrored or not, and turned after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Orientation {
    /// Left and right are exchanged.
    pub flipped: bool,
    /// Clockwise, 0 to 3.
    pub quarters: u8,
}

/// Which way up the picture is, from 3.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureOrientation {
    /// Turned from how the display is held.
    Follows(Orientation),
    /// Turned from the natural orientation of the display.
    Locked(Orientation),
    /// As the display is held when the first session begins.
    LockedAtStart,
}

/// Which way up the picture is, before 3.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VideoLock {
    /// As the display is held.
    #[default]
    Unlocked,
    /// As the display is held when the server starts.
    AtStart,
    /// As if the display were held so: quarters against the clock, 0 to 3.
    At(u8),
}

impl Crop {
    /// Reads the option; nothing is no cut.
    ///
    /// # Errors
    /// What a server of this version says.
    pub(super) fn parse(version: ServerVersion, text: &str) -> Result<Option<Self>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        // Colons at the end count for nothing.
        let parts: Vec<&str> = text.trim_end_matches(':').split(':').collect();
        let [width, height, x, y] = parts[..] else {
            return Err(format!(
                "Crop must contains 4 values separated by colons: \"{text}\""
            ));
        };
        let (width, height) = (integer(width)?, integer(height)?);
        let checked = version.at_least(2, 7, 0);
        if checked && (width <= 0 || height <= 0) {
            return Err(format!("Invalid crop size: {width}x{height}"));
        }
        let (x, y) = (integer(x)?, integer(y)?);
        if checked && (x < 0 || y < 0) {
            return Err(format!("Invalid crop offset: {x}:{y}"));
        }
        Ok(Some(Self { width, height, x, y }))
    }
}

impl fmt::Display for Crop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, x, y } = self;
        write!(f, "{width}:{height}:{x}:{y}")
    }
}

impl fmt::Display for Orientation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flip = if self.flipped { "flip" } else { "" };
        write!(f, "{flip}{}", u16::from(self.quarters % 4) * 90)
    }
}

impl FromStr for Orientation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (flipped, degrees) = match text.strip_prefix("flip") {
            Some(degrees) => (true, degrees),
            None => (false, text),
        };
        let quarters = match degrees {
            "0" => 0,
            "90" => 1,
            "180" => 2,
            "270" => 3,
            _ => return Err(format!("Unknown orientation: {text}")),
        };
        Ok(Self { flipped, quarters })
    }
}

impl Default for CaptureOrientation {
    fn default() -> Self {
        Self::Follows(Orientation::default())
    }
}

impl fmt::Display for CaptureOrientation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Follows(orientation) => orientation.fmt(f),
            Self::Locked(orientation) => write!(f, "@{orientation}"),
            Self::LockedAtStart => f.write_str("@"),
        }
    }
}

impl FromStr for CaptureOrientation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('@') {
            _ if text.is_empty() => Err("Empty capture orientation string".to_owned()),
            Some("") => Ok(Self::LockedAtStart),
            Some(locked) => locked.parse().map(Self::Locked),
            None => text.parse().map(Self::Follows),
        }
    }
}

impl fmt::Display for VideoLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlocked => f.write_str("-1"),
            Self::AtStart => f.write_str("-2"),
            Self::At(quarters) => quarters.fmt(f),
        }
    }
}

impl FromStr for VideoLock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match integer(text)? {
            -1 => Self::Unlocked,
            -2 => Self::AtStart,
            quarters => Self::At((quarters.rem_euclid(4)) as u8),
        })
    }
}

/// A whole number, or what a server says to a text that is none.
pub(super) fn integer(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| format!("For input string: \"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orientation_prints_as_it_was_read() {
        for name in ["0", "90", "180", "270", "flip0", "flip90", "flip180", "flip270"] {
            for text in [name.to_owned(), format!("@{name}")] {
                assert_eq!(text.parse::<CaptureOrientation>().unwrap().to_string(), text);
            }
        }
        assert_eq!("@".parse(), Ok(CaptureOrientation::LockedAtStart));
        for text in ["-1", "-2", "0", "3"] {
            assert_eq!(text.parse::<VideoLock>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_none_is_told_in_the_words_of_the_version() {
        let crop = |version: &str, text| Crop::parse(version.parse().unwrap(), text);
        let part = Crop {
            width: 100,
            height: 200,
            x: 10,
            y: 0,
        };
        assert_eq!(crop("4.1", "100:200:10:0"), Ok(Some(part)));
        assert_eq!(crop("4.1", "100:200:10:0::"), Ok(Some(part)));
        assert_eq!(crop("4.1", ""), Ok(None));
        for (text, why) in [
            (
                "1:2:3",
                "Crop must contains 4 values separated by colons: \"1:2:3\"",
            ),
            ("0:2:3:4", "Invalid crop size: 0x2"),
            ("1:2:-3:4", "Invalid crop offset: -3:4"),
            ("1:2:3:x", "For input string: \"x\""),
        ] {
            assert_eq!(crop("4.1", text), Err(why.to_owned()));
        }
        assert!(crop("2.6", "0:2:-3:4").is_ok(), "2.7 was the first to look");
        for (text, why) in [
            ("", "Empty capture orientation string"),
            ("@45", "Unknown orientation: 45"),
            ("flip", "Unknown orientation: flip"),
            ("Flip90", "Unknown orientation: Flip90"),
        ] {
            assert_eq!(text.parse::<CaptureOrientation>(), Err(why.to_owned()));
        }
    }
}
