//! `input`: taps, swipes, keys and text, as Android's command injects them.
//!
//! ```text
//!   tap X Y · swipe X Y X Y [MS] · keyevent [--longpress] KEY… · text TEXT (%s is a space)
//! ```
//!
//! A swipe takes its time and is run with the commands that do; the others answer at once. Positions are pixels of the
//! display as it is held. It knows keys by name and by number, and nothing of scrcpy.

use std::time::Duration;

use scrcpy::keys::{KeyCode, MetaState};

use super::Done;
use crate::android::{Android, KeyPress, PointerKey, TouchKind};

/// The shell's own pointer; scrcpy servers have other sources.
const FINGER: PointerKey = PointerKey { source: 0, id: 0 };
/// How long a swipe takes when nothing else is said, as on Android.
const SWIPE: Duration = Duration::from_millis(300);
/// Between two moves of a swipe: a picture at 60 Hz.
const STEP: Duration = Duration::from_millis(16);
/// Longest swipe; a longer one is cut to it.
const MAX_SWIPE: Duration = Duration::from_secs(60);
const USAGE: &str =
    "usage: input [touchscreen] tap X Y | swipe X1 Y1 X2 Y2 [MS] | keyevent KEY… | text TEXT\n";

/// Whether this call takes time.
pub(super) fn lasts(args: &[&str]) -> bool {
    matches!(without_source(args), ["swipe" | "draganddrop", ..])
}

/// The calls that are done at once.
pub(super) fn input(android: &Android, args: &[&str]) -> Done {
    match without_source(args) {
        ["tap", x, y] => match (coordinate(x), coordinate(y)) {
            (Some(x), Some(y)) => {
                android.touch(TouchKind::Down, FINGER, x, y);
                android.touch(TouchKind::Up, FINGER, x, y);
                Done::default()
            }
            _ => Done::fail(255, USAGE),
        },
        ["keyevent", "--longpress", keys @ ..] | ["keyevent", keys @ ..] if !keys.is_empty() => {
            press(android, keys)
        }
        ["text", text] => {
            // `input` writes a space as %s, because the shell would split it.
            android.type_text(&text.replace("%s", " "));
            Done::default()
        }
        _ => Done::fail(255, USAGE),
    }
}

/// `input swipe`: down, moves at 60 Hz, up.
pub(super) async fn swipe(android: &Android, args: &[&str]) -> Done {
    let numbers: Option<Vec<i32>> = without_source(args)[1..]
        .iter()
        .map(|text| coordinate(text))
        .collect();
    let (from, to, duration) = match numbers.as_deref() {
        Some([x1, y1, x2, y2]) => ((*x1, *y1), (*x2, *y2), SWIPE),
        Some([x1, y1, x2, y2, ms]) => {
            let duration = Duration::from_millis(u64::try_from(*ms).unwrap_or(0));
            ((*x1, *y1), (*x2, *y2), duration.min(MAX_SWIPE))
        }
        _ => return Done::fail(255, USAGE),
    };
    let steps = i32::try_from(duration.as_millis() / STEP.as_millis())
        .unwrap_or(1)
        .max(1);
    android.touch(TouchKind::Down, FINGER, from.0, from.1);
    let mut ticks = tokio::time::interval(duration.max(STEP) / u32::try_from(steps).unwrap_or(1));
    ticks.tick().await;
    // Given up half way (the host hung up), the finger is lifted like any injector's that is gone.
    let lifted = LiftOnDrop(android);
    for step in 1..=steps {
        ticks.tick().await;
        let at = |from: i32, to: i32| {
            from + i32::try_from(i64::from(to - from) * i64::from(step) / i64::from(steps)).unwrap_or(0)
        };
        android.touch(TouchKind::Move, FINGER, at(from.0, to.0), at(from.1, to.1));
    }
    android.touch(TouchKind::Up, FINGER, to.0, to.1);
    drop(lifted);
    Done::default()
}

struct LiftOnDrop<'a>(&'a Android);

impl Drop for LiftOnDrop<'_> {
    fn drop(&mut self) {
        self.0.forget_pointers(FINGER.source);
    }
}

fn press(android: &Android, keys: &[&str]) -> Done {
    let mut codes = Vec::new();
    for key in keys {
        match key_code(key) {
            Some(code) => codes.push(code),
            None => return Done::fail(255, format!("Error: Unknown keycode: {key}\n")),
        }
    }
    for code in codes {
        for down in [true, false] {
            android.key(KeyPress {
                down,
                code,
                meta: MetaState::NONE,
            });
        }
    }
    Done::default()
}

/// A key by its number, or by its name with or without `KEYCODE_`.
fn key_code(key: &str) -> Option<KeyCode> {
    if let Ok(number) = key.parse() {
        return Some(KeyCode(number));
    }
    let name = key.strip_prefix("KEYCODE_").unwrap_or(key);
    let within = |first: KeyCode, offset: u8| Some(KeyCode(first.0 + i32::from(offset)));
    Some(match name {
        "HOME" => KeyCode::HOME,
        "BACK" => KeyCode::BACK,
        "APP_SWITCH" => KeyCode::APP_SWITCH,
        "POWER" => KeyCode::POWER,
        "SLEEP" => KeyCode::SLEEP,
        "WAKEUP" => KeyCode::WAKEUP,
        "VOLUME_UP" => KeyCode::VOLUME_UP,
        "VOLUME_DOWN" => KeyCode::VOLUME_DOWN,
        "VOLUME_MUTE" => KeyCode::MUTE,
        "ENTER" => KeyCode::ENTER,
        "DEL" => KeyCode::DEL,
        "FORWARD_DEL" => KeyCode::FORWARD_DEL,
        "TAB" => KeyCode::TAB,
        "SPACE" => KeyCode::SPACE,
        "ESCAPE" => KeyCode::ESCAPE,
        "COMMA" => KeyCode::COMMA,
        "PERIOD" => KeyCode::PERIOD,
        "MINUS" => KeyCode::MINUS,
        "DPAD_UP" => KeyCode::DPAD_UP,
        "DPAD_DOWN" => KeyCode::DPAD_DOWN,
        "DPAD_LEFT" => KeyCode::DPAD_LEFT,
        "DPAD_RIGHT" => KeyCode::DPAD_RIGHT,
        _ => {
            return match name.as_bytes() {
                [letter @ b'A'..=b'Z'] => within(KeyCode::A, letter - b'A'),
                [digit @ b'0'..=b'9'] => within(KeyCode::DIGIT_0, digit - b'0'),
                _ => None,
            };
        }
    })
}

fn without_source<'a>(args: &'a [&'a str]) -> &'a [&'a str] {
    match args {
        ["touchscreen" | "keyboard" | "mouse" | "stylus", rest @ ..] => rest,
        args => args,
    }
}

/// Android takes fractions of a pixel; the device's events are whole ones.
#[expect(
    clippy::cast_possible_truncation,
    reason = "out of range becomes the nearest i32, far outside the screen"
)]
fn coordinate(text: &str) -> Option<i32> {
    text.parse::<f32>()
        .ok()
        .filter(|value| value.is_finite())
        .map(|value| value as i32)
}
