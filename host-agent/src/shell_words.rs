//! Words of a command line for the device's shell. What comes from outside (package names, activities) is
//! quoted here and nowhere else.
//!
//! ```text
//!   dev.farglass.paint/.Main  ─► as it is          a; reboot  ─► 'a; reboot'          it's  ─► 'it'\''s'
//! ```
//!
//! POSIX.1, Shell Command Language 2.2.2: inside single quotes nothing is special but the quote itself. That is what
//! Android's mksh follows. It does not know commands, and does not judge whether a word makes sense in one.

/// The word so that the shell takes it as it is.
pub(crate) fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:=@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay_and_the_rest_is_quoted() {
        assert_eq!(quote("dev.farglass.paint/.Main"), "dev.farglass.paint/.Main");
        assert_eq!(quote("a$Inner"), "'a$Inner'");
        assert_eq!(quote("a; reboot"), "'a; reboot'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn a_shell_gives_every_word_back() {
        for word in [
            "", " ", "a'b", "$(id)", "`id`", "a\nb", "\\", "\"", "''", "*", "-n", "~", "#",
        ] {
            let output = std::process::Command::new("sh")
                .arg("-c")
                .arg(format!("printf %s {}", quote(word)))
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
