//! `video_codec_options` and `audio_codec_options`: what a server makes of them.
//!
//! ```text
//!   KEY[:TYPE]=VALUE,…      TYPE int (if not said), long, float, string; a backslash before a comma or a backslash
//! ```
//!
//! Only whether a server takes them: what a key means is its encoder's business.

/// Why a server refuses them, in its words.
///
/// # Errors
/// The first option that is none.
pub(super) fn check(text: &str) -> Result<(), String> {
    let (mut option, mut escaped) = (String::new(), false);
    for c in text.chars() {
        match (c, escaped) {
            ('\\', false) => escaped = true,
            (',', false) => one(&std::mem::take(&mut option))?,
            ('\\' | ',', true) => {
                option.push(c);
                escaped = false;
            }
            // A real server forgets that there was a backslash, and not that the next comma is none.
            _ => option.push(c),
        }
    }
    match option.is_empty() {
        true => Ok(()),
        false => one(&option),
    }
}

fn one(option: &str) -> Result<(), String> {
    let (key, value) = option.split_once('=').ok_or("'=' expected")?;
    if key.is_empty() {
        return Err("Key may not be null".to_owned());
    }
    let is_number = match key.split_once(':').map_or("int", |(_, kind)| kind) {
        "int" => value.parse::<i32>().is_ok(),
        "long" => value.parse::<i64>().is_ok(),
        "float" => value.parse::<f32>().is_ok(),
        "string" => true,
        other => {
            return Err(format!(
                "Invalid codec option type (int, long, float, str): {other}"
            ));
        }
    };
    match is_number {
        true => Ok(()),
        false => Err(format!("For input string: \"{value}\"")),
    }
}
