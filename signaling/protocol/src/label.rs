//! What a label of a device may be: a short word under a short key, `android=14`, `lab/rack=B_2.1`.
//!
//! An agent tells its devices' labels each time it greets, and links choose devices by them: both sides hold them to
//! these bounds, the agent when it reads its config, control when it hears of them. What a label means is nobody's
//! business here.

/// Labels of one device, and pairs of one selector. Ours: a screenful.
pub const LABELS_MAX: usize = 16;
/// Longest key and longest value, bytes: as long as a name of a host may be (RFC 1035 section 2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;

/// Whether it may be a key: letters and digits, between them also `. _ / -`.
#[must_use]
pub fn is_key(text: &str) -> bool {
    is_word(text, b"._/-")
}

/// Whether it may be a value: letters and digits, between them also `. _ -`.
#[must_use]
pub fn is_value(text: &str) -> bool {
    is_word(text, b"._-")
}

fn is_word(text: &str, between: &[u8]) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || between.contains(byte);
    bytes.len() <= LABEL_BYTES_MAX
        && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_begins_and_ends_with_a_letter_or_a_digit_and_is_short() {
        let longest = "k".repeat(LABEL_BYTES_MAX);
        for good in ["a", "7", "android", "B_2.1", "a-b", &longest] {
            assert!(is_key(good) && is_value(good), "{good}");
        }
        let long = "k".repeat(LABEL_BYTES_MAX + 1);
        for bad in ["", "a b", "-a", "a-", "ä", "a\n", &long] {
            assert!(!is_key(bad) && !is_value(bad), "{bad}");
        }
        assert!(is_key("lab/rack") && !is_value("lab/rack"));
    }
}
