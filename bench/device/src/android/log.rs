//! What the device has noticed: the last input events. What it dropped is in `drops`.
//!
//! ```text
//!   injector ──► event ──► ring of EVENTS_MAX ──► dumpsys simulated
//! ```
//!
//! Only for tests and people; nothing on the device reads it.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::drops::Drops;
use crate::clock;

/// Events kept; the oldest goes.
pub const EVENTS_MAX: usize = 256;

/// Characters of a typed or pasted text that the log keeps; the rest is cut.
const EXCERPT_CHARS_MAX: usize = 300;

/// An input event as it reached an app, in pixels of the display.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of Android's events")]
pub enum InputEvent {
    Down {
        id: i64,
        x: i32,
        y: i32,
    },
    Move {
        id: i64,
        x: i32,
        y: i32,
    },
    Up {
        id: i64,
        x: i32,
        y: i32,
    },
    Cancel {
        id: i64,
    },
    /// Its injector is gone, and it with it.
    Gone {
        id: i64,
    },
    Hover {
        id: i64,
        x: i32,
        y: i32,
    },
    Scroll {
        x: i32,
        y: i32,
        horizontal: f32,
        vertical: f32,
    },
    Key {
        action: u8,
        keycode: i32,
        metastate: i32,
    },
    Text {
        text: String,
    },
    Paste {
        text: String,
    },
}

/// What the log keeps of a text.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS_MAX).collect()
}

/// The log of one device.
#[derive(Debug, Default)]
pub(super) struct Log {
    seq: u64,
    /// With the Unix time at which each was taken in, µs.
    events: VecDeque<(u64, u64, InputEvent)>,
    pub(super) drops: Drops,
}

impl Log {
    pub(super) fn event(&mut self, event: InputEvent) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.seq += 1;
        self.events.push_back((self.seq, clock::unix_us(), event));
    }

    pub(super) fn events_json(&self) -> Value {
        self.events
            .iter()
            .map(|(seq, at_us, event)| {
                let mut shown = event_json(*seq, event);
                shown["at_us"] = (*at_us).into();
                shown
            })
            .collect()
    }
}

fn event_json(seq: u64, event: &InputEvent) -> Value {
    let at = |kind: &str, id: &i64, x: &i32, y: &i32| json!({ "seq": seq, "kind": kind, "id": id, "x": x, "y": y });
    match event {
        InputEvent::Down { id, x, y } => at("down", id, x, y),
        InputEvent::Move { id, x, y } => at("move", id, x, y),
        InputEvent::Up { id, x, y } => at("up", id, x, y),
        InputEvent::Hover { id, x, y } => at("hover", id, x, y),
        InputEvent::Cancel { id } => json!({ "seq": seq, "kind": "cancel", "id": id }),
        InputEvent::Gone { id } => json!({ "seq": seq, "kind": "gone", "id": id }),
        InputEvent::Scroll {
            x,
            y,
            horizontal,
            vertical,
        } => {
            json!({ "seq": seq, "kind": "scroll", "x": x, "y": y, "horizontal": horizontal, "vertical": vertical })
        }
        InputEvent::Key {
            action,
            keycode,
            metastate,
        } => {
            json!({ "seq": seq, "kind": "key", "action": action, "keycode": keycode, "metastate": metastate })
        }
        InputEvent::Text { text } => json!({ "seq": seq, "kind": "text", "text": text }),
        InputEvent::Paste { text } => json!({ "seq": seq, "kind": "paste", "text": text }),
    }
}
