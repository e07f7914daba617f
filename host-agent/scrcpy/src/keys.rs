//! Android's key codes and meta states, as far as a person at a browser can produce them.
//!
//! The numbers are Android's (`KeyEvent.KEYCODE_*`, `KeyEvent.META_*`); any other number is a valid [`KeyCode`] too.

/// An Android key code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyCode(pub i32);

impl KeyCode {
    /// Leave to the launcher.
    pub const HOME: Self = Self(3);
    /// One step back.
    pub const BACK: Self = Self(4);
    /// Digit 0; the others follow.
    pub const DIGIT_0: Self = Self(7);
    /// Digit 9.
    pub const DIGIT_9: Self = Self(16);
    /// Arrow up.
    pub const DPAD_UP: Self = Self(19);
    /// Arrow down.
    pub const DPAD_DOWN: Self = Self(20);
    /// Arrow left.
    pub const DPAD_LEFT: Self = Self(21);
    /// Arrow right.
    pub const DPAD_RIGHT: Self = Self(22);
    /// Louder.
    pub const VOLUME_UP: Self = Self(24);
    /// Quieter.
    pub const VOLUME_DOWN: Self = Self(25);
    /// The power button.
    pub const POWER: Self = Self(26);
    /// Letter A; the others follow.
    pub const A: Self = Self(29);
    /// Letter Z.
    pub const Z: Self = Self(54);
    /// `,`
    pub const COMMA: Self = Self(55);
    /// `.`
    pub const PERIOD: Self = Self(56);
    /// Tabulator.
    pub const TAB: Self = Self(61);
    /// Space bar.
    pub const SPACE: Self = Self(62);
    /// New line.
    pub const ENTER: Self = Self(66);
    /// Backspace: deletes the character before the cursor.
    pub const DEL: Self = Self(67);
    /// `-`
    pub const MINUS: Self = Self(69);
    /// Escape.
    pub const ESCAPE: Self = Self(111);
    /// Deletes the character after the cursor.
    pub const FORWARD_DEL: Self = Self(112);
    /// Silence.
    pub const MUTE: Self = Self(164);
    /// The list of recent apps.
    pub const APP_SWITCH: Self = Self(187);
    /// Screen off.
    pub const SLEEP: Self = Self(223);
    /// Screen on.
    pub const WAKEUP: Self = Self(224);
    /// Cut to the clipboard.
    pub const CUT: Self = Self(277);
    /// Copy to the clipboard.
    pub const COPY: Self = Self(278);
    /// Insert the clipboard.
    pub const PASTE: Self = Self(279);
}

/// Which modifier keys are held, as Android's bit set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MetaState(pub i32);

impl MetaState {
    /// No modifier.
    pub const NONE: Self = Self(0);
    /// Either shift key.
    pub const SHIFT: Self = Self(0x1);
    /// Either alt key.
    pub const ALT: Self = Self(0x2);
    /// Either control key.
    pub const CTRL: Self = Self(0x1000);
    /// Either meta key.
    pub const META: Self = Self(0x1_0000);
    /// Caps lock is on.
    pub const CAPS_LOCK: Self = Self(0x10_0000);
    /// Num lock is on.
    pub const NUM_LOCK: Self = Self(0x20_0000);

    /// Whether any bit of `other` is set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}
