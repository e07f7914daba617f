//! Which Android key a usage of the HID keyboard page is: `Generic.kl` over the kernel's table of usages.

use scrcpy::keys::KeyCode;

/// The meta bits of a modifier, its side included.
pub(super) fn meta_of(id: u16) -> i32 {
    match id {
        0xe0 => 0x1000 | 0x2000,
        0xe1 => 0x1 | 0x40,
        0xe2 => 0x2 | 0x10,
        0xe3 => 0x1_0000 | 0x2_0000,
        0xe4 => 0x1000 | 0x4000,
        0xe5 => 0x1 | 0x80,
        0xe6 => 0x2 | 0x20,
        0xe7 => 0x1_0000 | 0x4_0000,
        _ => 0,
    }
}

/// Android's key for a usage of the keyboard page.
pub(super) fn key_of(id: u16) -> Option<KeyCode> {
    let id = i32::from(id);
    let code = match id {
        0x04..=0x1d => KeyCode::A.0 + id - 0x04,
        0x1e..=0x26 => KeyCode::DIGIT_0.0 + 1 + id - 0x1e,
        0x27 => KeyCode::DIGIT_0.0,
        0x28 => KeyCode::ENTER.0,
        0x29 => KeyCode::ESCAPE.0,
        0x2a => KeyCode::DEL.0,
        0x2b => KeyCode::TAB.0,
        0x2c => KeyCode::SPACE.0,
        // - = [ ] \ and, after the key that US keyboards lack, ; ' ` , . /
        0x2d..=0x31 => KeyCode::MINUS.0 + id - 0x2d,
        0x33 => 74,
        0x34 => 75,
        0x35 => 68,
        0x36 => KeyCode::COMMA.0,
        0x37 => KeyCode::PERIOD.0,
        0x38 => 76,
        0x39 => 115,
        // F1 to F12.
        0x3a..=0x45 => 131 + id - 0x3a,
        0x4a => 122,
        0x4b => 92,
        0x4c => KeyCode::FORWARD_DEL.0,
        0x4d => 123,
        0x4e => 93,
        0x4f => KeyCode::DPAD_RIGHT.0,
        0x50 => KeyCode::DPAD_LEFT.0,
        0x51 => KeyCode::DPAD_DOWN.0,
        0x52 => KeyCode::DPAD_UP.0,
        // Control, shift, alt and meta, left and right.
        0xe0 => 113,
        0xe1 => 59,
        0xe2 => 57,
        0xe3 => 117,
        0xe4 => 114,
        0xe5 => 60,
        0xe6 => 58,
        0xe7 => 118,
        _ => return None,
    };
    Some(KeyCode(code))
}
