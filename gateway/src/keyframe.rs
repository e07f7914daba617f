//! When to ask a device for a key frame.
//!
//! Asking is expensive: RESET_VIDEO rebuilds the encoder, and everybody sees the hiccup. So wishes of
//! all viewers of a device are one wish; it goes out at once or when [`KEY_FRAME_DEBOUNCE`] has
//! passed since the last one, and again after [`KEY_FRAME_RETRY`] as long as none has come. A mere
//! spectator's wish waits while somebody's finger is down.
//!
//! ```text
//!            want                     ask                      key frame
//!  Content ───────► Wanted(by whom) ───────► Asked(when) ─────────────────► Content
//!                        ▲                       │ retry time is over
//!                        └───────────────────────┘
//! ```
//!
//! A capture that begins brings a key frame by itself (`Coming`): whoever wants one then is treated as
//! if it had been asked for, so that no encoder is reset while it starts.

use std::time::Instant;

use crate::event::Role;
use crate::limits::{KEY_FRAME_DEBOUNCE, KEY_FRAME_RETRY};

/// The wish of one device's viewers.
#[derive(Debug, Default)]
pub struct KeyFrames {
    wish: Wish,
    asked: Option<Instant>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Wish {
    #[default]
    Content,
    Coming,
    Wanted(Role),
    Asked(Role),
}

impl KeyFrames {
    /// Somebody cannot decode.
    pub fn want(&mut self, by: Role) {
        self.wish = match (self.wish, by) {
            (Wish::Content, role) => Wish::Wanted(role),
            (Wish::Coming, role) => Wish::Asked(role),
            (Wish::Wanted(_), Role::Controller) => Wish::Wanted(Role::Controller),
            (Wish::Asked(_), Role::Controller) => Wish::Asked(Role::Controller),
            (wish, Role::Spectator) => wish,
        };
    }

    /// A capture begins: its first picture is a key frame.
    pub fn coming(&mut self, now: Instant) {
        self.wish = match self.wish {
            Wish::Content | Wish::Coming => Wish::Coming,
            Wish::Wanted(role) | Wish::Asked(role) => Wish::Asked(role),
        };
        self.asked = Some(now);
    }

    /// A key frame has come, or nobody is left to want one.
    pub fn satisfied(&mut self) {
        self.wish = Wish::Content;
    }

    /// Whether to ask the device now. `finger_down`: somebody is touching it.
    pub fn ask(&mut self, now: Instant, finger_down: bool) -> bool {
        let Some(due) = self.due(finger_down) else {
            return false;
        };
        if due.is_some_and(|due| now < due) {
            return false;
        }
        if let Wish::Wanted(role) | Wish::Asked(role) = self.wish {
            self.wish = Wish::Asked(role);
        }
        self.asked = Some(now);
        true
    }

    /// When to call [`Self::ask`] again, if the time alone decides. `None` when nobody waits, or when only a
    /// finger is in the way.
    #[must_use]
    pub fn timeout(&self, finger_down: bool) -> Option<Instant> {
        self.due(finger_down).flatten()
    }

    /// `None`: do not ask. `Some(None)`: ask now. `Some(Some(t))`: ask at `t`.
    fn due(&self, finger_down: bool) -> Option<Option<Instant>> {
        let (role, pause) = match self.wish {
            Wish::Content | Wish::Coming => return None,
            Wish::Wanted(role) => (role, KEY_FRAME_DEBOUNCE),
            Wish::Asked(role) => (role, KEY_FRAME_RETRY),
        };
        if role == Role::Spectator && finger_down {
            return None;
        }
        Some(self.asked.map(|asked| asked + pause))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_capture_that_begins_is_not_reset() {
        let (mut keys, now) = (KeyFrames::default(), Instant::now());
        keys.want(Role::Controller);
        keys.coming(now);
        assert!(!keys.ask(now, false));
        keys.satisfied();
        keys.coming(now);
        assert_eq!(keys.timeout(false), None, "nobody waits");
        keys.want(Role::Controller);
        assert!(!keys.ask(now + KEY_FRAME_DEBOUNCE, false));
        assert!(
            keys.ask(now + KEY_FRAME_RETRY, false),
            "it should have come by now"
        );
    }

    #[test]
    fn many_wishes_are_one() {
        let (mut keys, now) = (KeyFrames::default(), Instant::now());
        (0..10).for_each(|_| keys.want(Role::Controller));
        assert!(keys.ask(now, false));
        (0..10).for_each(|_| keys.want(Role::Controller));
        assert!(!keys.ask(now + KEY_FRAME_DEBOUNCE, false));
    }

    #[test]
    fn a_new_wish_waits_for_the_debounce() {
        let (mut keys, now) = (KeyFrames::default(), Instant::now());
        keys.want(Role::Controller);
        assert!(keys.ask(now, false));
        keys.satisfied();
        keys.want(Role::Controller);
        assert!(!keys.ask(now + Duration::from_millis(10), false));
        assert_eq!(keys.timeout(false), Some(now + KEY_FRAME_DEBOUNCE));
        assert!(keys.ask(now + KEY_FRAME_DEBOUNCE, false));
    }

    #[test]
    fn a_device_that_does_not_answer_is_asked_again() {
        let (mut keys, now) = (KeyFrames::default(), Instant::now());
        keys.want(Role::Controller);
        assert!(keys.ask(now, false));
        assert_eq!(keys.timeout(false), Some(now + KEY_FRAME_RETRY));
        assert!(keys.ask(now + KEY_FRAME_RETRY, false));
    }

    #[test]
    fn a_spectator_waits_while_a_finger_is_down() {
        let (mut keys, now) = (KeyFrames::default(), Instant::now());
        keys.want(Role::Spectator);
        assert!(!keys.ask(now, true));
        assert_eq!(keys.timeout(true), None);
        assert!(keys.ask(now, false));
    }

    #[test]
    fn a_controller_does_not_wait_behind_a_spectator() {
        let (mut keys, now) = (KeyFrames::default(), Instant::now());
        keys.want(Role::Spectator);
        keys.want(Role::Controller);
        assert!(keys.ask(now, true));
    }

    #[test]
    fn nobody_asks_for_nothing() {
        let (mut keys, now) = (KeyFrames::default(), Instant::now());
        assert!(!keys.ask(now, false));
        keys.want(Role::Controller);
        keys.satisfied();
        assert!(!keys.ask(now, false));
        assert_eq!(keys.timeout(false), None);
    }
}
