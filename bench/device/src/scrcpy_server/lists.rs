//! What the server prints when it is asked for a list, before it opens any socket.
//!
//! ```text
//!   list_encoders     --video-codec=h264 --video-encoder=NAME   (sw)     before 3.0: ='NAME', and nothing behind
//!   list_cameras      (none)
//!   list_displays     --display-id=0    (720x1280)                       before 2.2: --display=0
//!   list_apps         * of the system, - installed: label, package
//! ```
//!
//! The layout is that of the real server, which clients read. It opens nothing and changes nothing.

use scrcpy::options::ServerOptions;
use scrcpy::version::ServerVersion;

use crate::android::{Android, App};
use crate::encode::Habit;
use crate::userland::Userland;

/// The encoder of the video, as `video_encoder` may ask for it.
pub(super) const VIDEO_ENCODER: &str = "c2.android.avc.encoder";

/// The encoder of the audio.
pub(super) const AUDIO_ENCODER: &str = "c2.android.opus.encoder";

/// Width of the column of names.
const NAME_COLUMN: usize = 30;

/// The lists that the options ask for; none: the server is to mirror.
pub(super) fn wanted(userland: &Userland, version: ServerVersion, options: &ServerOptions) -> Vec<String> {
    let android = &userland.android;
    let mut lists = Vec::new();
    if options.list_encoders {
        lists.extend([video_encoders(userland.encoder), audio_encoders()].map(|list| quoted(version, list)));
    }
    if options.list_displays {
        let list = displays(android);
        lists.push(match version.at_least(2, 2, 0) {
            true => list,
            false => list.replace("--display-id=", "--display="),
        });
    }
    if options.list_cameras || options.list_camera_sizes {
        lists.push("List of cameras:\n    (none)".to_owned());
    }
    if options.list_apps {
        lists.push(apps(android));
    }
    lists
}

/// A list of encoders as this version writes it.
fn quoted(version: ServerVersion, list: String) -> String {
    if version.at_least(3, 0, 0) {
        return list;
    }
    let lines = list.lines().map(|line| match line.split_once("-encoder=") {
        Some((before, name)) => format!("{before}-encoder='{}'", name.trim_end_matches("   (sw)")),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The displays.
pub(super) fn displays(android: &Android) -> String {
    let displays = android.displays().into_iter();
    let lines =
        displays.map(|(id, size)| format!("\n    --display-id={id}    ({}x{})", size.width, size.height));
    format!("List of displays:{}", lines.collect::<String>())
}

/// The encoders of the video.
pub(super) fn video_encoders(there: Habit) -> String {
    if there == Habit::Missing {
        return "List of video encoders:\n    (none)".to_owned();
    }
    format!("List of video encoders:\n    --video-codec=h264 --video-encoder={VIDEO_ENCODER}   (sw)")
}

/// The encoders of the sound.
pub(super) fn audio_encoders() -> String {
    format!("List of audio encoders:\n    --audio-codec=opus --audio-encoder={AUDIO_ENCODER}   (sw)")
}

/// Apps with a screen: a star for those of the system, then by label.
fn apps(android: &Android) -> String {
    let mut apps: Vec<(bool, String, String)> = android
        .packages()
        .into_iter()
        .filter_map(|name| {
            let package = android.package(&name)?;
            let app = package.app?;
            Some((app != App::Launcher, package.label, name))
        })
        .collect();
    apps.sort();
    apps.iter()
        .fold("List of apps:".to_owned(), |list, (installed, label, name)| {
            let mark = if *installed { '-' } else { '*' };
            format!("{list}\n {mark} {label:NAME_COLUMN$} {name}")
        })
}
