//! Options that are read and change nothing here: the camera's, the sound's source, the place of the keyboard. What is
//! no value of one keeps a server from starting all the same, and is told in the server's words.
//!
//! ```text
//!   audio_bit_rate, camera_fps    a whole number of 32 bits
//!   audio_source                  output, mic; playback from 2.6; the others of `AUDIO_SOURCES` from 3.2
//!   display_ime_policy            local, fallback, hide
//!   camera_facing             *   front, back, external
//!   camera_size               *   WIDTHxHEIGHT, both above 0 from 3.0
//!   camera_ar                 *   sensor, WIDTH:HEIGHT, or a number that is not negative
//!   camera_zoom               *   a number
//!   all others                    anything                          * or nothing: as if it were not there
//! ```
//!
//! Versions are those of the first server with the key. It does not know cameras: there are none here.

use crate::version::ServerVersion;

use super::picture::integer;

/// Major and minor version.
type Since = (u16, u16);

/// What is wrong with a value.
type Check = fn(ServerVersion, &str) -> Result<(), String>;

/// The keys, the versions that introduced them, and what is a value of each.
const UNUSED: &[(&str, Since, Check)] = &[
    ("audio_bit_rate", (2, 0), whole),
    ("audio_codec_options", (2, 0), anything),
    ("audio_source", (2, 1), audio_source),
    ("audio_dup", (2, 6), anything),
    ("display_ime_policy", (3, 2), ime_policy),
    ("ignore_video_encoder_constraints", (4, 1), anything),
    ("camera_id", (2, 2), anything),
    ("camera_size", (2, 2), camera_size),
    ("camera_facing", (2, 2), camera_facing),
    ("camera_ar", (2, 2), camera_ar),
    ("camera_fps", (2, 2), whole),
    ("camera_high_speed", (2, 2), anything),
    ("camera_zoom", (4, 0), camera_zoom),
    ("camera_torch", (4, 0), anything),
];

/// Where sound can come from, with the versions that introduced it.
const AUDIO_SOURCES: &[(&str, Since)] = &[
    ("output", (2, 1)),
    ("mic", (2, 1)),
    ("playback", (2, 6)),
    ("mic-unprocessed", (3, 2)),
    ("mic-camcorder", (3, 2)),
    ("mic-voice-recognition", (3, 2)),
    ("mic-voice-communication", (3, 2)),
    ("voice-call", (3, 2)),
    ("voice-call-uplink", (3, 2)),
    ("voice-call-downlink", (3, 2)),
    ("voice-performance", (3, 2)),
];

/// Looks at the value of a key that changes nothing; `None`: the version has no such key.
pub(super) fn check(version: ServerVersion, key: &str, value: &str) -> Option<Result<(), String>> {
    let known = |&&(name, (major, minor), _): &&(&str, Since, Check)| {
        name == key && version.at_least(major, minor, 0)
    };
    let &(_, _, check) = UNUSED.iter().find(known)?;
    Some(check(version, value))
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside checks that refuse")]
fn anything(_: ServerVersion, _: &str) -> Result<(), String> {
    Ok(())
}

fn whole(_: ServerVersion, value: &str) -> Result<(), String> {
    integer(value).map(drop)
}

fn number(text: &str) -> Result<f32, String> {
    text.parse().map_err(|_| match text {
        "" => "empty String".to_owned(),
        _ => format!("For input string: \"{text}\""),
    })
}

fn audio_source(version: ServerVersion, value: &str) -> Result<(), String> {
    let is_there =
        |&(name, (major, minor)): &(&str, Since)| name == value && version.at_least(major, minor, 0);
    match AUDIO_SOURCES.iter().any(is_there) {
        true => Ok(()),
        false => Err(format!("Audio source {value} not supported")),
    }
}

fn ime_policy(_: ServerVersion, value: &str) -> Result<(), String> {
    match value {
        "local" | "fallback" | "hide" => Ok(()),
        _ => Err(format!("Invalid display IME policy: {value}")),
    }
}

fn camera_facing(_: ServerVersion, value: &str) -> Result<(), String> {
    match value {
        "" | "front" | "back" | "external" => Ok(()),
        _ => Err(format!("Camera facing {value} not supported")),
    }
}

/// An `x` at the end counts for nothing.
fn camera_size(version: ServerVersion, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Ok(());
    }
    let parts: Vec<&str> = value.trim_end_matches('x').split('x').collect();
    let [width, height] = parts[..] else {
        return Err(format!(
            "Invalid size format (expected <width>x<height>): \"{value}\""
        ));
    };
    let (width, height) = (integer(width)?, integer(height)?);
    match version.at_least(3, 0, 0) && (width <= 0 || height <= 0) {
        true => Err(format!("Invalid non-positive size dimension: \"{value}\"")),
        false => Ok(()),
    }
}

/// A colon at the end counts for nothing, and so does all behind a second one.
fn camera_ar(_: ServerVersion, value: &str) -> Result<(), String> {
    if matches!(value, "" | "sensor") {
        return Ok(());
    }
    let shortened = value.trim_end_matches(':');
    if shortened.is_empty() {
        return Err("length=0; index=0".to_owned());
    }
    let parts: Vec<&str> = shortened.split(':').collect();
    if let [width, height] = parts[..] {
        let (width, height) = (integer(width)?, integer(height)?);
        return match width > 0 && height > 0 {
            true => Ok(()),
            false => Err(format!("Invalid aspect ratio: {width}:{height}")),
        };
    }
    let ratio = number(parts[0])?;
    match ratio < 0.0 {
        true => Err(format!("Invalid aspect ratio: {ratio:?}")),
        false => Ok(()),
    }
}

fn camera_zoom(_: ServerVersion, value: &str) -> Result<(), String> {
    match value {
        "" => Ok(()),
        _ => number(value).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: &str, arg: &str) -> Option<Result<(), String>> {
        let (key, value) = arg.split_once('=').unwrap();
        check(version.parse().unwrap(), key, value)
    }

    #[test]
    fn what_is_no_value_is_refused_in_the_servers_words() {
        for (arg, why) in [
            ("audio_bit_rate=x", "For input string: \"x\""),
            ("audio_bit_rate=", "For input string: \"\""),
            ("audio_source=nonsense", "Audio source nonsense not supported"),
            ("audio_source=", "Audio source  not supported"),
            ("display_ime_policy=x", "Invalid display IME policy: x"),
            ("camera_facing=Front", "Camera facing Front not supported"),
            (
                "camera_size=x",
                "Invalid size format (expected <width>x<height>): \"x\"",
            ),
            ("camera_size=640xb", "For input string: \"b\""),
            ("camera_size=x480", "For input string: \"\""),
            (
                "camera_size=640x0",
                "Invalid non-positive size dimension: \"640x0\"",
            ),
            ("camera_ar=x", "For input string: \"x\""),
            ("camera_ar=16:0", "Invalid aspect ratio: 16:0"),
            ("camera_ar=-1", "Invalid aspect ratio: -1.0"),
            ("camera_ar=:", "length=0; index=0"),
            ("camera_ar=:1:2", "empty String"),
            ("camera_fps=30.5", "For input string: \"30.5\""),
            ("camera_zoom=near", "For input string: \"near\""),
        ] {
            assert_eq!(told("4.1", arg), Some(Err(why.to_owned())), "{arg}");
        }
    }

    #[test]
    fn what_is_a_value_is_taken_and_nothing_at_all_where_the_camera_is_meant() {
        for arg in [
            "audio_bit_rate=-1",
            "audio_dup=perhaps",
            "audio_source=voice-performance",
            "display_ime_policy=hide",
            "camera_id=x",
            "camera_facing=external",
            "camera_facing=",
            "camera_size=640x480x",
            "camera_size=",
            "camera_ar=sensor",
            "camera_ar=16:9",
            "camera_ar=1.5:2:x",
            "camera_ar=",
            "camera_fps=60",
            "camera_zoom=1.5",
            "camera_zoom=",
        ] {
            assert_eq!(told("4.1", arg), Some(Ok(())), "{arg}");
        }
    }

    #[test]
    fn keys_and_sources_came_with_their_versions() {
        for (key, (major, minor), _) in UNUSED {
            let arg = format!("{key}=");
            assert!(told(&format!("{major}.{minor}"), &arg).is_some(), "{key}");
            let before = match minor {
                0 => format!("{}.99", major - 1),
                _ => format!("{major}.{}", minor - 1),
            };
            // There is no version before 2.0 to ask.
            if let Ok(before) = before.parse() {
                assert_eq!(check(before, key, ""), None, "{key}");
            }
        }
        for (source, before, since) in [("playback", "2.5", "2.6"), ("mic-camcorder", "3.1", "3.2")] {
            let arg = format!("audio_source={source}");
            assert_eq!(told(since, &arg), Some(Ok(())));
            let refused = format!("Audio source {source} not supported");
            assert_eq!(told(before, &arg), Some(Err(refused)));
        }
        assert_eq!(
            told("2.7", "camera_size=0x0"),
            Some(Ok(())),
            "3.0 was the first to look"
        );
    }
}
