//! The server's version: the first argument of its command line, and the switch between two video framings.
//!
//! The server compares the argument with its own version as text and refuses any difference, so the text is kept
//! exactly (`4.1` is not `4.1.0`). What changes with the version is asked here and nowhere else:
//!
//! ```text
//!   2.0 … 3.3.4   Framing::Legacy    codec, width and height once; flags in bits 63 and 62
//!   4.0 …         Framing::Session   a session packet before every encoding session; flags in bits 62 and 61
//! ```
//!
//! Versions before 2.0 speak a third dialect that this crate does not know.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A server version such as `4.1` or `3.3.4`, at least 2.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServerVersion {
    major: u16,
    minor: u16,
    patch: Option<u16>,
}

/// Which layout the video socket has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// 2.0 to 3.3.4: the size is told once, before the first packet.
    Legacy,
    /// From 4.0: a session packet tells the size before every encoding session.
    Session,
}

/// Why a text is no version that this crate can speak.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VersionError {
    /// Not two or three numbers with dots between them.
    #[error("not a version of the form 4.1 or 3.3.4")]
    Malformed,
    /// Before 2.0.
    #[error("scrcpy servers before 2.0 are not supported")]
    TooOld,
}

impl ServerVersion {
    /// The newest version whose wire this crate follows.
    pub const NEWEST: Self = Self {
        major: 4,
        minor: 1,
        patch: None,
    };

    /// The layout of this version's video socket.
    pub fn framing(self) -> Framing {
        if self.at_least(4, 0, 0) {
            Framing::Session
        } else {
            Framing::Legacy
        }
    }

    /// Whether this is `major.minor.patch` or newer.
    pub fn at_least(self, major: u16, minor: u16, patch: u16) -> bool {
        (self.major, self.minor, self.patch.unwrap_or(0)) >= (major, minor, patch)
    }
}

impl FromStr for ServerVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let mut parts = text.split('.').map(number);
        let mut next = || parts.next().transpose();
        let (Some(major), Some(minor), patch) = (next()?, next()?, next()?) else {
            return Err(VersionError::Malformed);
        };
        if next()?.is_some() {
            return Err(VersionError::Malformed);
        }
        if major < 2 {
            return Err(VersionError::TooOld);
        }
        Ok(Self { major, minor, patch })
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        match self.patch {
            Some(patch) => write!(f, ".{patch}"),
            None => Ok(()),
        }
    }
}

/// Digits only and no leading zero, so that a version prints as it was read.
fn number(part: &str) -> Result<u16, VersionError> {
    let canonical = part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
    match part.parse() {
        Ok(value) if canonical => Ok(value),
        _ => Err(VersionError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_prints_as_it_was_read() {
        for text in ["2.0", "3.3.4", "4.0", "4.1", "10.20.30", "3.0.0"] {
            assert_eq!(text.parse::<ServerVersion>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn framing_changes_at_four() {
        let framing = |text: &str| text.parse::<ServerVersion>().unwrap().framing();
        assert_eq!(framing("2.0"), Framing::Legacy);
        assert_eq!(framing("3.3.4"), Framing::Legacy);
        assert_eq!(framing("4.0"), Framing::Session);
        assert_eq!(framing("4.1"), Framing::Session);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "", "4", "4.", ".1", "4.1.", "4.1.0.0", "4.01", "4.1-beta", "+4.1", "4.99999",
        ] {
            assert_eq!(
                text.parse::<ServerVersion>(),
                Err(VersionError::Malformed),
                "{text}"
            );
        }
        assert_eq!("1.25".parse::<ServerVersion>(), Err(VersionError::TooOld));
    }

    #[test]
    fn a_missing_patch_counts_as_zero() {
        let version: ServerVersion = "3.3".parse().unwrap();
        assert!(version.at_least(3, 3, 0));
        assert!(!version.at_least(3, 3, 1));
    }
}
