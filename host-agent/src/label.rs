//! A label of a device, as it is given on the command line: a word under a key, by which links choose devices.
//!
//! ```text
//!   NAME:KEY=VALUE     pixel-1:android=14     pixel-1:pool=demo
//! ```
//!
//! Control would drop what is over the bounds (`protocol::label`): here it is told at the start. It does not know what
//! labels mean.

use std::str::FromStr;

use protocol::label::{LABEL_BYTES_MAX, is_key, is_value};

use crate::config::{DeviceConfigError, DeviceName};

/// One label of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Whose.
    pub device: DeviceName,
    /// Letters and digits, between them also `. _ / -`.
    pub key: String,
    /// Letters and digits, between them also `. _ -`.
    pub value: String,
}

/// Why a text is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// Not `NAME:KEY=VALUE`, or a part of it is no word.
    #[error(
        "{0:?} is not of the form NAME:KEY=VALUE, with words of letters and digits, between them also . _ - (in keys also /), at most \
         {LABEL_BYTES_MAX} bytes each"
    )]
    Form(String),
    /// The device's name.
    #[error(transparent)]
    Device(#[from] DeviceConfigError),
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let form = || LabelError::Form(text.to_owned());
        let (device, pair) = text.split_once(':').ok_or_else(form)?;
        let (key, value) = pair.split_once('=').ok_or_else(form)?;
        if !is_key(key) || !is_value(value) {
            return Err(form());
        }
        Ok(Self {
            device: device.parse()?,
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_word_under_a_key_of_a_device() {
        let label: Label = "pixel-1:lab/rack=B_2.1".parse().unwrap();
        assert_eq!(
            (label.device.as_str(), label.key.as_str(), label.value.as_str()),
            ("pixel-1", "lab/rack", "B_2.1")
        );
        let long = format!("a:{}=x", "k".repeat(LABEL_BYTES_MAX + 1));
        for text in [
            "a", "a:b", "a:=c", "a:b=", "a:b=c d", "a:b=c/d", "a:b=-c", "A:b=c", &long,
        ] {
            assert!(text.parse::<Label>().is_err(), "{text}");
        }
    }
}
