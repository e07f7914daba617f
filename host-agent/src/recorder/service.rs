//! What a stream's name tells of what is said in it, and what of the name itself may be written down.
//!
//! ```text
//!   localabstract:scrcpy_SCID                    Socket    redact.rs follows its messages
//!   shell…:CLASSPATH=… scid=SCID …               Launch    the agent's own words; what the server prints is not
//!   shell…:echo, and few more                    Harmless  written as it is, both ways
//!   shell…:rm -f '/sdcard/what a person wrote'   Private   shell…:rm *******…, and asterisks both ways
//!   sync:, and whatever else                     Private
//! ```
//!
//! Commands name files that people named, and what a shell, a file or a server's log answers may hold what they typed or
//! copied: `dumpsys` shows fields of text, `content query` whole tables, and scrcpy's server warns of each character that it
//! cannot type. So what is harmless is listed, by its whole command, and everything else is not.

use super::BLANK;

/// What a scrcpy server's sockets are called, up to its scid.
const SCRCPY: &str = "localabstract:scrcpy_";
/// How a command begins that launches a server. A name that a person gave comes behind another word.
const LAUNCHES: &str = "CLASSPATH=";
/// What stands in front of the scid in it.
const SCID: &str = " scid=";
/// Digits of a scid.
const SCID_LEN: usize = 8;
/// Commands whose output is the device's own: its sign of life, its size, a key that goes home.
const HARMLESS: [&str; 3] = ["echo", "wm size", "input keyevent KEYCODE_HOME"];

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service<'a> {
    /// A socket of the server with this scid.
    Socket(&'a str),
    /// The shell in which the server with this scid runs.
    Launch(&'a str),
    /// Nothing in it is a person's.
    Harmless,
    /// Anything in it may be.
    Private,
}

impl<'a> Service<'a> {
    pub(super) fn of(name: &'a str) -> Self {
        if let Some(scid) = name.strip_prefix(SCRCPY) {
            return Self::Socket(scid);
        }
        let command = command(name);
        if command.starts_with(LAUNCHES)
            && let Some((_, after)) = command.split_once(SCID)
            && let Some(scid) = after.get(..SCID_LEN)
        {
            return Self::Launch(scid);
        }
        if HARMLESS.contains(&command) {
            return Self::Harmless;
        }
        Self::Private
    }
}

/// The name without what may be a person's: of a command only the program, and asterisks for every other byte.
pub(super) fn without_text(name: &str) -> String {
    if Service::of(name) != Service::Private {
        return name.to_owned();
    }
    let command = command(name);
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let program = command.bytes().take_while(|byte| is_plain(byte)).count();
    let kept = match command.as_bytes().get(program) {
        None => program,
        Some(b' ') => program + 1,
        Some(_) => 0,
    };
    let kept = name.len() - command.len() + kept;
    let stars = (kept..name.len()).map(|_| char::from(BLANK));
    name[..kept].chars().chain(stars).collect()
}

/// What is behind the kind of the service.
fn command(name: &str) -> &str {
    name.split_once(':').map_or("", |(_, command)| command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_written_with_its_program_alone() {
        let written = [
            (
                "shell,v2,raw:rm -f '/sdcard/pässwörd'",
                "shell,v2,raw:rm ***********************",
            ),
            ("shell,v2,raw:getprop", "shell,v2,raw:getprop"),
            ("shell,v2,raw:'/sdcard/x' y", "shell,v2,raw:*************"),
            ("shell,v2,raw:pass|word", "shell,v2,raw:*********"),
            ("shell,v2,raw:wm size", "shell,v2,raw:wm size"),
            ("sync:", "sync:"),
        ];
        for (name, told) in written {
            let without = without_text(name);
            assert_eq!((without.as_str(), without.len()), (told, name.len()));
        }
    }

    #[test]
    fn a_file_whose_name_looks_like_a_launch_launches_nothing() {
        let launch = "shell,v2,raw:CLASSPATH=/x app_process / x 4.1 scid=00000001 audio=false";
        assert_eq!(Service::of(launch), Service::Launch("00000001"));
        for name in [
            "shell,v2,raw:rm -f '/sdcard/CLASSPATH= scid=00000001 x'",
            "shell,v2,raw:echo scid=00000001",
            "shell,v2,raw:CLASSPATH= scid=short",
        ] {
            assert_eq!(Service::of(name), Service::Private, "{name}");
        }
    }
}
