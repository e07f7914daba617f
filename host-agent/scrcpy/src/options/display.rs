//! The value of `new_display`: `WxH`, `WxH/DPI`, `/DPI`, or nothing.
//!
//! ```text
//!   1280x720/160   size and density        1280x720   density in proportion
//!   /160           size of the main one    (empty)    both of the main one
//! ```
//!
//! From server 3.0 on Android 10. It does not know whether the device can make such a display.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A virtual display to make; what is not said is the server's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewDisplay {
    /// Pixels, each above 0; `None` = as the main display.
    pub size: Option<(u16, u16)>,
    /// Dots per inch, above 0; `None` = in proportion to the size.
    pub dpi: Option<u16>,
}

/// A text that is no virtual display.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not of the form WIDTHxHEIGHT/DPI")]
pub struct NewDisplayError;

impl fmt::Display for NewDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((width, height)) = self.size {
            write!(f, "{width}x{height}")?;
        }
        match self.dpi {
            Some(dpi) => write!(f, "/{dpi}"),
            None => Ok(()),
        }
    }
}

impl FromStr for NewDisplay {
    type Err = NewDisplayError;

    fn from_str(text: &str) -> Result<Self, NewDisplayError> {
        let number = |text: &str| text.parse().ok().filter(|&n: &u16| n > 0).ok_or(NewDisplayError);
        let (size, dpi) = match text.split_once('/') {
            Some((size, dpi)) => (size, Some(number(dpi)?)),
            None => (text, None),
        };
        let size = match size.split_once('x') {
            Some((width, height)) => Some((number(width)?, number(height)?)),
            None if size.is_empty() => None,
            None => return Err(NewDisplayError),
        };
        Ok(Self { size, dpi })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_display_prints_as_it_was_read() {
        for text in ["", "1280x960", "1280x960/160", "/240"] {
            assert_eq!(text.parse::<NewDisplay>().unwrap().to_string(), text);
        }
        for text in ["x", "0x1", "1280", "1280x", "/", "1280x960/0", "70000x1"] {
            assert_eq!(text.parse::<NewDisplay>(), Err(NewDisplayError), "{text}");
        }
    }
}
