//! Input that did not reach an app: what it was, why, and the values that decided.
//!
//! ```text
//!   scrcpy server, injector ── DroppedInput { message, why, values } ──┬── counted by reason, for ever
//!                                                              ├── the newest DROPS_MAX as entries: dumpsys simulated
//!                                                              └── a line of the system's log, where Android writes one
//! ```
//!
//! The line has the tag and the level of whoever notices it: the server for what it ignores, the dispatcher for what the
//! platform refuses. It does not know who reads; nothing on the device does.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::Android;
use super::journal::{Buffer, Level};
use crate::clock;

/// Entries kept; the oldest goes. The counts go on.
pub const DROPS_MAX: usize = 256;

/// Why input did not reach an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dropped {
    /// The position was for another size of the video.
    WrongSize,
    /// An eleventh pointer.
    TooManyPointers,
    /// A character that the virtual keyboard cannot type.
    UnmappableText,
    /// A finger came down beside the display.
    Outside,
    /// The screen is off.
    ScreenOff,
    /// An action byte that means nothing.
    UnknownAction,
    /// A report or an end for a HID device that is not there.
    UnknownHid,
    /// A HID descriptor or report that the kernel would refuse, or one device too many.
    BadHid,
    /// A message to the client of a scrcpy server that found its queue full.
    DeviceMessage,
}

impl Dropped {
    /// As it stands in `dumpsys simulated`.
    pub fn why(self) -> &'static str {
        match self {
            Self::WrongSize => "wrong_size",
            Self::TooManyPointers => "too_many_pointers",
            Self::UnmappableText => "unmappable_text",
            Self::Outside => "outside",
            Self::ScreenOff => "screen_off",
            Self::UnknownAction => "unknown_action",
            Self::UnknownHid => "unknown_hid",
            Self::BadHid => "bad_hid",
            Self::DeviceMessage => "device_message",
        }
    }

    /// Who notices it, where, and how loudly.
    fn voice(self) -> (Buffer, Level, &'static str) {
        match self {
            // Said only by a server that was asked to say everything.
            Self::WrongSize => (Buffer::Main, Level::Verbose, "scrcpy"),
            Self::TooManyPointers
            | Self::UnmappableText
            | Self::UnknownHid
            | Self::BadHid
            | Self::DeviceMessage => (Buffer::Main, Level::Warn, "scrcpy"),
            Self::UnknownAction => (Buffer::System, Level::Error, "InputDispatcher"),
            Self::Outside | Self::ScreenOff => (Buffer::System, Level::Info, "InputDispatcher"),
        }
    }
}

/// One message, or a part of one, that came to nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct DroppedInput {
    /// What it was: `touch`, `scroll`, `key`, `text`, `uhid_create`, `uhid_input`, `uhid_destroy`, or the name of a
    /// message of the device.
    pub message: &'static str,
    /// The reason.
    pub why: Dropped,
    /// What it said and what it met, by names.
    pub values: Value,
    /// The same in the words of whoever dropped it, if it says it at all.
    pub said: Option<String>,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    at_us: u64,
    drop: DroppedInput,
}

/// The entries and counts of one device.
#[derive(Debug, Default)]
pub(super) struct Drops {
    counts: BTreeMap<Dropped, u64>,
    seq: u64,
    entries: VecDeque<Entry>,
    /// How many of the newest the system's log does not have yet.
    unsaid: usize,
}

impl Drops {
    pub(super) fn add(&mut self, drop: DroppedInput) {
        *self.counts.entry(drop.why).or_default() += 1;
        if self.entries.len() == DROPS_MAX {
            self.entries.pop_front();
        }
        self.seq += 1;
        self.unsaid = (self.unsaid + 1).min(DROPS_MAX);
        self.entries.push_back(Entry {
            seq: self.seq,
            at_us: clock::unix_us(),
            drop,
        });
    }

    /// What the system's log is to have, once.
    pub(super) fn take_unsaid(&mut self) -> Vec<DroppedInput> {
        let said = self.entries.len() - std::mem::take(&mut self.unsaid);
        self.entries
            .iter()
            .skip(said)
            .map(|entry| entry.drop.clone())
            .collect()
    }

    pub(super) fn count(&self, why: Dropped) -> u64 {
        self.counts.get(&why).copied().unwrap_or(0)
    }

    pub(super) fn counts_json(&self) -> Value {
        let count = |(why, n): (&Dropped, &u64)| json!({ "why": why.why(), "n": n });
        self.counts.iter().map(count).collect()
    }

    pub(super) fn entries_json(&self) -> Value {
        let entry = |Entry { seq, at_us, drop }: &Entry| {
            let mut shown = Map::new();
            shown.insert("seq".to_owned(), (*seq).into());
            shown.insert("at_us".to_owned(), (*at_us).into());
            shown.insert("message".to_owned(), drop.message.into());
            shown.insert("why".to_owned(), drop.why.why().into());
            shown.insert("values".to_owned(), drop.values.clone());
            Value::Object(shown)
        };
        self.entries.iter().map(entry).collect()
    }
}

impl Android {
    /// Keeps input that did not reach an app.
    pub fn drop_input(&self, drop: DroppedInput) {
        let unsaid = {
            let drops = &mut self.lock().log.drops;
            drops.add(drop);
            drops.take_unsaid()
        };
        self.say(&unsaid);
    }

    /// How much input was dropped for this reason.
    pub fn dropped_count(&self, why: Dropped) -> u64 {
        self.lock().log.drops.count(why)
    }

    /// Writes what was dropped into the system's log.
    pub(super) fn say(&self, unsaid: &[DroppedInput]) {
        for drop in unsaid {
            let (buffer, level, tag) = drop.why.voice();
            if let Some(said) = &drop.said {
                self.write_log(buffer, level, tag, said);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(id: usize) -> DroppedInput {
        DroppedInput {
            message: "touch",
            why: Dropped::WrongSize,
            values: json!({ "id": id }),
            said: Some(format!("finger {id}")),
        }
    }

    #[test]
    fn the_newest_entries_are_kept_and_all_are_counted() {
        let mut drops = Drops::default();
        for id in 0..DROPS_MAX + 3 {
            drops.add(drop(id));
        }
        let entries = drops.entries_json();
        let entries = entries.as_array().unwrap();
        assert_eq!(entries.len(), DROPS_MAX);
        assert_eq!(entries[0]["values"]["id"], 3);
        assert_eq!(entries[0]["seq"], 4);
        assert_eq!(drops.count(Dropped::WrongSize), DROPS_MAX as u64 + 3);
        assert_eq!(drops.count(Dropped::ScreenOff), 0);
    }

    #[test]
    fn each_is_said_once() {
        let mut drops = Drops::default();
        drops.add(drop(1));
        assert_eq!(drops.take_unsaid(), [drop(1)]);
        drops.add(drop(2));
        assert_eq!(drops.take_unsaid(), [drop(2)]);
        assert_eq!(drops.take_unsaid(), []);
    }
}
