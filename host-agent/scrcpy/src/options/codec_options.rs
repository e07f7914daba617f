//! `video_codec_options` and `audio_codec_options`: what a server makes of them.
//!
//! ```text
//!   KEY[:TYPE]=VALUE,…      TYPE int (if not said), long, float, string; a backslash before a comma or a backslash
//! ```
//!
//! Only how they are written: what a key means is its encoder's business.

/// One option for an encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct CodecOption {
    /// A name of Android's `MediaFormat`; not empty.
    pub key: String,
    /// What it is set to.
    pub value: CodecValue,
}

/// The value of an option, of the type that was said.
#[derive(Debug, Clone, PartialEq)]
pub enum CodecValue {
    /// `int`, or no type.
    Int(i32),
    /// `long`.
    Long(i64),
    /// `float`.
    Float(f32),
    /// `string`.
    String(String),
}

impl CodecValue {
    /// As an encoder reads a number, whatever its type; `None` for a text.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(f64::from(*number)),
            Self::Long(number) => Some(*number as f64),
            Self::Float(number) => Some(f64::from(*number)),
            Self::String(_) => None,
        }
    }
}

/// Reads the options in their order; of two with one key an encoder takes the later.
///
/// # Errors
/// Why a server refuses the first that is none, in its words.
pub fn codec_options(text: &str) -> Result<Vec<CodecOption>, String> {
    let (mut options, mut option, mut escaped) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match (c, escaped) {
            ('\\', false) => escaped = true,
            (',', false) => options.push(one(&std::mem::take(&mut option))?),
            ('\\' | ',', true) => {
                option.push(c);
                escaped = false;
            }
            // A real server forgets that there was a backslash, and not that the next comma is none.
            _ => option.push(c),
        }
    }
    if !option.is_empty() {
        options.push(one(&option)?);
    }
    Ok(options)
}

fn one(option: &str) -> Result<CodecOption, String> {
    let (key, value) = option.split_once('=').ok_or("'=' expected")?;
    if key.is_empty() {
        return Err("Key may not be null".to_owned());
    }
    let (key, kind) = key.split_once(':').unwrap_or((key, "int"));
    let value = match kind {
        "int" => value.parse().map(CodecValue::Int).ok(),
        "long" => value.parse().map(CodecValue::Long).ok(),
        "float" => value.parse().map(CodecValue::Float).ok(),
        "string" => Some(CodecValue::String(value.to_owned())),
        other => {
            return Err(format!(
                "Invalid codec option type (int, long, float, str): {other}"
            ));
        }
    }
    .ok_or_else(|| format!("For input string: \"{value}\""))?;
    let key = key.to_owned();
    Ok(CodecOption { key, value })
}
