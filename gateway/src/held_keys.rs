//! Keys that a viewer holds, and whether it is still there to hold them.
//!
//! ```text
//!   up ── press ──► held ── release │ nothing heard for KEY_SILENT_AFTER │ gone ──► up
//! ```
//!
//! A held key repeats itself on the device, so one whose viewer has vanished types on until its connection
//! is given up. A page that can hold keys pings every second: silence is what vanished looks like. Which
//! keys to lift is the agent's business, who has them anyway for when a connection ends. It knows no
//! Android key codes.

use std::time::Instant;

use protocol::control::{Key, KeyAction};

use crate::limits::{HELD_KEYS_MAX, KEY_SILENT_AFTER};

/// The keys of one connection.
#[derive(Debug, Default)]
pub(crate) struct HeldKeys {
    down: Vec<u32>,
    heard: Option<Instant>,
}

impl HeldKeys {
    /// The viewer said something, whatever it was.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    /// A key was pressed or released. Beyond [`HELD_KEYS_MAX`] keys are not noted: those that are suffice.
    pub(crate) fn apply(&mut self, key: &Key) {
        self.down.retain(|down| *down != key.keycode);
        if key.action == KeyAction::Down && self.down.len() < HELD_KEYS_MAX {
            self.down.push(key.keycode);
        }
    }

    /// Whether keys are to be lifted now, because nothing was heard for too long. They count as up then.
    pub(crate) fn take_silent(&mut self, now: Instant) -> bool {
        let silent = self.timeout().is_some_and(|at| at <= now);
        if silent {
            self.down.clear();
        }
        silent
    }

    /// When to call [`Self::take_silent`].
    pub(crate) fn timeout(&self) -> Option<Instant> {
        let heard = self.heard.filter(|_| !self.down.is_empty())?;
        Some(heard + KEY_SILENT_AFTER)
    }
}
