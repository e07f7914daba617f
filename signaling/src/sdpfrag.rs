//! Trickled ICE candidates, `application/trickle-ice-sdpfrag` (RFC 8840, section 9).
//!
//! ```text
//! a=ice-ufrag:EsAw
//! a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
//! m=audio 9 UDP/TLS/RTP/SAVPF 0
//! a=mid:0
//! a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0
//! a=end-of-candidates
//! ```
//!
//! A fragment is parsed whole and written anew: only lines that are understood go on to the gateway.
//! Candidates are held to a number, to their grammar and to literal addresses: a host name (mDNS or
//! other) would make our side resolve what a stranger wrote. Which addresses may be dialled is the
//! gateway's to decide.

use std::fmt;
use std::net::IpAddr;

/// Longest fragment that is read, bytes.
pub const FRAGMENT_BYTES_MAX: usize = 32 * 1024;
/// Candidates in one fragment; more is refused, since each costs the gateway connectivity checks.
pub const CANDIDATES_MAX: usize = 20;
/// Media sections in one fragment: video, audio, data, and one to spare.
const MEDIA_MAX: usize = 4;
/// Longest candidate line, bytes.
const CANDIDATE_BYTES_MAX: usize = 512;
/// Length of a user fragment and of a password, characters (RFC 8839, section 5.4).
const UFRAG_LENGTH: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 22..=256;

/// Why a fragment is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// Above [`FRAGMENT_BYTES_MAX`].
    #[error("the fragment is longer than {FRAGMENT_BYTES_MAX} bytes")]
    TooLong,
    /// Too many candidates or sections.
    #[error("the fragment has more than {CANDIDATES_MAX} candidates or {MEDIA_MAX} sections")]
    TooMany,
    /// A line is not what it says it is.
    #[error("line {0} of the fragment is damaged")]
    Line(usize),
}

/// A parsed fragment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fragment {
    /// The viewer's ICE user fragment.
    pub ufrag: Option<String>,
    /// The viewer's ICE password.
    pub password: Option<String>,
    /// The sections, in order.
    pub media: Vec<Media>,
    /// Candidates that were left out because they name a host instead of an address.
    pub unresolved: usize,
}

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The `m=` line after `m=`.
    pub line: String,
    /// Its `mid`.
    pub mid: Option<String>,
    /// The candidates, each from `candidate:` on.
    pub candidates: Vec<String>,
    /// Whether no more will follow.
    pub ended: bool,
}

impl Fragment {
    /// Reads a fragment.
    ///
    /// # Errors
    /// Any [`FragmentError`]: nothing of the fragment is used.
    pub fn parse(text: &str) -> Result<Self, FragmentError> {
        if text.len() > FRAGMENT_BYTES_MAX {
            return Err(FragmentError::TooLong);
        }
        let mut fragment = Self::default();
        let mut count = 0;
        for (index, line) in text.lines().enumerate() {
            let damaged = FragmentError::Line(index + 1);
            let (key, value) = match line.split_once('=') {
                Some((kind @ ("a" | "m"), value)) if is_printable(value) => (kind, value),
                Some(_) => return Err(damaged),
                None if line.is_empty() => continue,
                None => return Err(damaged),
            };
            if key == "m" {
                if fragment.media.len() == MEDIA_MAX {
                    return Err(FragmentError::TooMany);
                }
                fragment.media.push(Media::new(value).ok_or(damaged)?);
            } else if value.starts_with("candidate:") {
                count += 1;
                if count > CANDIDATES_MAX {
                    return Err(FragmentError::TooMany);
                }
                fragment.candidate(value).ok_or(damaged)?;
            } else {
                fragment.attribute(value).ok_or(damaged)?;
            }
        }
        Ok(fragment)
    }

    /// Whether it carries the credentials that an ICE restart needs.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.ufrag.is_some() && self.password.is_some()
    }

    fn candidate(&mut self, value: &str) -> Option<()> {
        let media = self.media.last_mut()?;
        match candidate_address(value)? {
            Address::Literal => media.candidates.push(value.to_owned()),
            Address::Name => self.unresolved += 1,
        }
        Some(())
    }

    fn attribute(&mut self, value: &str) -> Option<()> {
        let (name, rest) = value.split_once(':').unwrap_or((value, ""));
        match name {
            "ice-ufrag" if is_ice_text(rest, UFRAG_LENGTH) => self.ufrag = Some(rest.to_owned()),
            "ice-pwd" if is_ice_text(rest, PASSWORD_LENGTH) => self.password = Some(rest.to_owned()),
            "ice-ufrag" | "ice-pwd" => return None,
            "mid" => self.media.last_mut()?.mid = Some(token(rest)?.to_owned()),
            "end-of-candidates" => {
                // Before the first section it speaks for all of them, which says nothing new.
                if let Some(media) = self.media.last_mut() {
                    media.ended = true;
                }
            }
            // Other attributes are allowed and mean nothing to us.
            _ => {}
        }
        Some(())
    }
}

impl Media {
    fn new(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        token(words.next()?)?;
        words.next()?.parse::<u16>().ok()?;
        words.next()?;
        Some(Self {
            line: line.to_owned(),
            mid: None,
            candidates: Vec::new(),
            ended: false,
        })
    }
}

/// Writes the fragment with nothing but what was understood.
impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ufrag) = &self.ufrag {
            write!(f, "a=ice-ufrag:{ufrag}\r\n")?;
        }
        if let Some(password) = &self.password {
            write!(f, "a=ice-pwd:{password}\r\n")?;
        }
        for media in &self.media {
            write!(f, "m={}\r\n", media.line)?;
            if let Some(mid) = &media.mid {
                write!(f, "a=mid:{mid}\r\n")?;
            }
            for candidate in &media.candidates {
                write!(f, "a={candidate}\r\n")?;
            }
            if media.ended {
                write!(f, "a=end-of-candidates\r\n")?;
            }
        }
        Ok(())
    }
}

enum Address {
    Literal,
    Name,
}

/// Checks `candidate:foundation component transport priority address port typ type …`
/// (RFC 8839, section 5.1) and tells what its address is.
fn candidate_address(value: &str) -> Option<Address> {
    if value.len() > CANDIDATE_BYTES_MAX {
        return None;
    }
    let mut words = value.strip_prefix("candidate:")?.split(' ');
    let foundation = words.next()?;
    if !is_ice_text(foundation, 1..=32) {
        return None;
    }
    words
        .next()?
        .parse::<u8>()
        .ok()
        .filter(|component| *component > 0)?;
    token(words.next()?)?;
    words.next()?.parse::<u32>().ok()?;
    let address = words.next()?;
    words.next()?.parse::<u16>().ok()?;
    if words.next()? != "typ" || !["host", "srflx", "prflx", "relay"].contains(&words.next()?) {
        return None;
    }
    if address.parse::<IpAddr>().is_ok() {
        Some(Address::Literal)
    } else {
        address
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
            .then_some(Address::Name)
    }
}

fn is_printable(value: &str) -> bool {
    value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// `ice-char`s: letters, digits, `+` and `/`.
fn is_ice_text(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}

/// A word of letters, digits and a few signs, 1 to 32 long.
fn token(text: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    ((1..=32).contains(&text.len()) && text.bytes().all(plain)).then_some(text)
}

/// Entry point for fuzzing: what is understood is written so that it is understood the same again.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(mut fragment) = Fragment::parse(text) {
        fragment.unresolved = 0;
        assert_eq!(Fragment::parse(&fragment.to_string()), Ok(fragment));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RFC_EXAMPLE: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
        a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host generation 0\r\n\
        a=end-of-candidates\r\n";

    fn with_candidates(n: usize) -> String {
        let line = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
        format!("m=video 9 UDP/TLS/RTP/SAVPF 0\r\n{}", line.repeat(n))
    }

    #[test]
    fn the_example_of_the_standard_is_understood_and_written_the_same() {
        let fragment = Fragment::parse(RFC_EXAMPLE).unwrap();
        assert!(fragment.has_credentials());
        assert_eq!(fragment.media[0].mid.as_deref(), Some("0"));
        assert_eq!(fragment.media[0].candidates.len(), 2);
        assert!(fragment.media[0].ended);
        assert_eq!(fragment.to_string(), RFC_EXAMPLE);
    }

    #[test]
    fn a_candidate_with_a_name_is_left_out_and_counted() {
        let text = "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=candidate:1 1 udp 1 0f1e.local 9 typ host\r\n";
        let fragment = Fragment::parse(text).unwrap();
        assert_eq!(fragment.unresolved, 1);
        assert!(!fragment.to_string().contains("local"));
    }

    #[test]
    fn attributes_that_mean_nothing_to_us_do_not_go_on() {
        let fragment =
            Fragment::parse("a=ice-options:trickle\r\na=group:BUNDLE 0\r\na=setup:active\r\n").unwrap();
        assert_eq!(fragment.to_string(), "");
    }

    #[test]
    fn limits_are_kept() {
        assert!(Fragment::parse(&with_candidates(CANDIDATES_MAX)).is_ok());
        assert_eq!(
            Fragment::parse(&with_candidates(CANDIDATES_MAX + 1)),
            Err(FragmentError::TooMany)
        );
        assert_eq!(
            Fragment::parse(&"m=video 9 X\r\n".repeat(MEDIA_MAX + 1)),
            Err(FragmentError::TooMany)
        );
        assert_eq!(
            Fragment::parse(&" ".repeat(FRAGMENT_BYTES_MAX + 1)),
            Err(FragmentError::TooLong)
        );
    }

    #[test]
    fn damaged_lines_are_named() {
        for bad in [
            "nonsense",
            "b=AS:1",
            "a=ice-ufrag:abc",
            "a=ice-ufrag:has space",
            "a=ice-pwd:short",
            "a=mid:0",
            "a=candidate:1 1 udp 1 192.0.2.1 9 typ host",
            "m=video",
            "m=video 70000 X",
            "a=x:\u{7f}",
        ] {
            assert_eq!(Fragment::parse(bad), Err(FragmentError::Line(1)), "{bad}");
        }
        for bad in [
            "candidate:1 1 udp 1 192.0.2.1 9",
            "candidate:1 0 udp 1 192.0.2.1 9 typ host",
            "candidate:1 1 udp -1 192.0.2.1 9 typ host",
            "candidate:1 1 udp 1 a;b 9 typ host",
            "candidate:1 1 udp 1 192.0.2.1 99999 typ host",
            "candidate:1 1 udp 1 192.0.2.1 9 typ guess",
        ] {
            let text = format!("m=video 9 X\r\na={bad}");
            assert_eq!(Fragment::parse(&text), Err(FragmentError::Line(2)), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "([am]=)?[ -~]{0,60}(\r\n([am]=)?(candidate:)?[ -~]{0,60}){0,5}") {
            fuzz(text.as_bytes());
        }
    }
}
