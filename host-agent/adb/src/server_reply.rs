//! What an adb server answers, and how it is asked. Pure; lengths are four hexadecimal digits in ASCII.
//!
//! ```text
//!   ask    000chost:version                                        length, text
//!   answer OKAY                                                    then what the request promises:
//!               0004 0029                                            a text behind its length, or
//!               …                                                    the bytes of a device's service
//!          FAIL 0010 device not found                              a text for a person
//! ```

/// Bytes of a length, and of a status.
pub const FIELD_LEN: usize = 4;
/// Longest text that a length can announce, in bytes.
pub const MAX_TEXT: usize = 0xffff;

/// What the server thinks of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is granted.
    Okay,
    /// It is refused; a text follows.
    Fail,
}

/// Why an answer cannot be understood: whoever answers is no adb server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// Neither OKAY nor FAIL.
    #[error("neither OKAY nor FAIL")]
    Status,
    /// Not four hexadecimal digits.
    #[error("not a length")]
    Length,
    /// Not UTF-8.
    #[error("not a text")]
    Text,
    /// Not a version number.
    #[error("not a version")]
    Version,
}

/// A request as it is sent; `None` when it is longer than [`MAX_TEXT`].
#[must_use]
pub fn encode(request: &str) -> Option<Vec<u8>> {
    (request.len() <= MAX_TEXT).then(|| format!("{:04x}{request}", request.len()).into_bytes())
}

/// Reads the first field of an answer.
///
/// # Errors
/// [`ReplyError::Status`].
pub fn status(field: [u8; FIELD_LEN]) -> Result<Status, ReplyError> {
    match &field {
        b"OKAY" => Ok(Status::Okay),
        b"FAIL" => Ok(Status::Fail),
        _ => Err(ReplyError::Status),
    }
}

/// Reads the length before a text, at most [`MAX_TEXT`].
///
/// # Errors
/// [`ReplyError::Length`].
pub fn length(field: [u8; FIELD_LEN]) -> Result<usize, ReplyError> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut digits = field.into_iter().map(digit);
    let sum = digits.try_fold(0, |sum, digit| Some(sum << 4 | digit?));
    let sum = sum.and_then(|sum| usize::try_from(sum).ok());
    sum.ok_or(ReplyError::Length)
}

/// Reads the answer to `host:version`: the version of the server's own protocol, 41 for years.
///
/// # Errors
/// [`ReplyError::Version`].
pub fn version(text: &str) -> Result<u32, ReplyError> {
    u32::from_str_radix(text, 16).map_err(|_| ReplyError::Version)
}

/// A device as `host:devices-l` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// By which the server is asked for it.
    pub serial: String,
    /// `device` when it can be used; `offline`, `unauthorized`, `connecting`… when it cannot.
    pub state: String,
    /// The rest: `product`, `model`, `device`, `transport_id`, `usb`.
    pub properties: Vec<(String, String)>,
}

impl Listed {
    /// A property's value.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        let mut properties = self.properties.iter();
        let found = properties.find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Reads the answer to `host:devices-l`. Words that are no property are skipped, as is a line without a state.
#[must_use]
pub fn devices(text: &str) -> Vec<Listed> {
    let listed = |line: &str| {
        let mut words = line.split_whitespace();
        let (serial, state) = (words.next()?.to_owned(), words.next()?.to_owned());
        let properties = words.filter_map(|word| word.split_once(':'));
        Some(Listed {
            serial,
            state,
            properties: properties
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        })
    };
    text.lines().filter_map(listed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_carry_their_length_in_four_digits() {
        assert_eq!(encode("host:version").unwrap(), b"000chost:version");
        assert_eq!(encode(&"x".repeat(MAX_TEXT)).unwrap()[..4], *b"ffff");
        assert_eq!(encode(&"x".repeat(MAX_TEXT + 1)), None);
    }

    #[test]
    fn answers_are_read_field_by_field() {
        assert_eq!(status(*b"OKAY"), Ok(Status::Okay));
        assert_eq!(status(*b"FAIL"), Ok(Status::Fail));
        assert_eq!(status(*b"HTTP"), Err(ReplyError::Status));
        assert_eq!(length(*b"00fF"), Ok(255));
        assert_eq!(length(*b"+0ff"), Err(ReplyError::Length));
        assert_eq!(length(*b"0x1f"), Err(ReplyError::Length));
        assert_eq!(version("0029"), Ok(41));
        assert_eq!(version("29 "), Err(ReplyError::Version));
    }

    #[test]
    fn a_list_tells_each_device_with_its_properties() {
        let text = "127.0.0.1:5037       device product:sim model:Far_glass device:x transport_id:1\n\
                    emulator-5554 offline\n\nlonely\n";
        let list = devices(text);
        assert_eq!(list.len(), 2);
        assert_eq!(
            (list[0].serial.as_str(), list[0].state.as_str()),
            ("127.0.0.1:5037", "device")
        );
        assert_eq!(list[0].property("model"), Some("Far_glass"));
        assert_eq!(list[1].property("model"), None);
        assert_eq!(list[1].state, "offline");
    }
}
