//! Writes control messages: the client's half.
//!
//! What the version does not know is refused, because the server would end at it, and what is too long for the layout
//! or for the stock server's buffer. On an error nothing is written. Layouts are drawn in [`super`].

use bytes::{BufMut, BytesMut};

use super::kind::{check_len, kind_of, known, scroll_range};
use super::{CLIPBOARD_LEN_MAX, ControlError, ControlMsg, Position, SCAN_PATH_LEN_MAX, TEXT_LEN_MAX, Touch};
use crate::version::ServerVersion;

const UHID_NAME_LEN_MAX: usize = 127;
const START_APP_LEN_MAX: usize = 255;
const DISPLAY_MODE_NORMAL: u8 = 2;

/// Appends a message to `out`, which is left as it was on an error.
///
/// # Errors
/// The version lacks the message, or a text is too long.
pub fn encode(version: ServerVersion, msg: &ControlMsg, out: &mut BytesMut) -> Result<(), ControlError> {
    let start = out.len();
    let result = write(version, msg, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn write(version: ServerVersion, msg: &ControlMsg, out: &mut BytesMut) -> Result<(), ControlError> {
    let kind = kind_of(version, msg);
    if !known(version, kind) {
        return Err(ControlError::NotInVersion);
    }
    out.put_u8(kind);
    match msg {
        ControlMsg::Key {
            action,
            keycode,
            repeat,
            metastate,
        } => {
            out.put_u8(action.0);
            out.put_i32(keycode.0);
            out.put_i32(*repeat);
            out.put_i32(metastate.0);
        }
        ControlMsg::Text(text) => put_u32_len(out, text.as_bytes(), TEXT_LEN_MAX)?,
        ControlMsg::Touch(touch) => put_touch(out, touch),
        ControlMsg::Scroll {
            position,
            horizontal,
            vertical,
            buttons,
        } => {
            put_position(out, position);
            out.put_i16(scroll_to_wire(version, *horizontal));
            out.put_i16(scroll_to_wire(version, *vertical));
            out.put_i32(*buttons);
        }
        ControlMsg::BackOrScreenOn(action) => out.put_u8(action.0),
        ControlMsg::GetClipboard(key) => out.put_u8(key.0),
        ControlMsg::SetClipboard {
            sequence,
            paste,
            text,
        } => {
            out.put_u64(*sequence);
            out.put_u8((*paste).into());
            put_u32_len(out, text.as_bytes(), CLIPBOARD_LEN_MAX)?;
        }
        ControlMsg::SetDisplayPower(on) => out.put_u8(power_to_wire(version, *on)),
        ControlMsg::UhidCreate { .. } => put_uhid_create(version, out, msg)?,
        ControlMsg::UhidInput { id, data } => {
            out.put_u16(*id);
            put_u16_len(out, data)?;
        }
        ControlMsg::UhidDestroy(id) => out.put_u16(*id),
        ControlMsg::StartApp(name) => put_u8_len(out, name.as_bytes(), START_APP_LEN_MAX)?,
        ControlMsg::CameraSetTorch(on) => out.put_u8((*on).into()),
        ControlMsg::ResizeDisplay { width, height } => {
            out.put_u16(*width);
            out.put_u16(*height);
        }
        ControlMsg::ScanFile(path) => put_u32_len(out, path.as_bytes(), SCAN_PATH_LEN_MAX)?,
        ControlMsg::ExpandNotificationPanel
        | ControlMsg::ExpandSettingsPanel
        | ControlMsg::CollapsePanels
        | ControlMsg::RotateDevice
        | ControlMsg::OpenHardKeyboardSettings
        | ControlMsg::ResetVideo
        | ControlMsg::CameraZoomIn
        | ControlMsg::CameraZoomOut => {}
    }
    Ok(())
}

fn put_touch(out: &mut BytesMut, touch: &Touch) {
    out.put_u8(touch.action.0);
    out.put_i64(touch.pointer.0);
    put_position(out, &touch.position);
    out.put_u16(touch.pressure.0);
    out.put_i32(touch.action_button);
    out.put_i32(touch.buttons);
}

fn put_position(out: &mut BytesMut, position: &Position) {
    out.put_i32(position.x);
    out.put_i32(position.y);
    out.put_u16(position.width);
    out.put_u16(position.height);
}

fn put_uhid_create(version: ServerVersion, out: &mut BytesMut, msg: &ControlMsg) -> Result<(), ControlError> {
    let ControlMsg::UhidCreate {
        id,
        vendor,
        product,
        name,
        descriptor,
    } = msg
    else {
        return Ok(());
    };
    out.put_u16(*id);
    if version.at_least(3, 1, 0) {
        out.put_u16(*vendor);
        out.put_u16(*product);
    }
    if version.at_least(2, 7, 0) {
        put_u8_len(out, name.as_bytes(), UHID_NAME_LEN_MAX)?;
    }
    put_u16_len(out, descriptor)
}

fn scroll_to_wire(version: ServerVersion, notches: f32) -> i16 {
    // The cast saturates, and NaN becomes 0.
    (notches / scroll_range(version) * 32768.0).round() as i16
}

/// From 3.0 a switch, before it the mode of the platform's power call.
fn power_to_wire(version: ServerVersion, on: bool) -> u8 {
    match (on, version.at_least(3, 0, 0)) {
        (false, _) => 0,
        (true, true) => 1,
        (true, false) => DISPLAY_MODE_NORMAL,
    }
}

fn put_u32_len(out: &mut BytesMut, data: &[u8], max: usize) -> Result<(), ControlError> {
    check_len(data.len(), max)?;
    out.put_u32(u32::try_from(data.len()).expect("checked against a limit below 2^32"));
    out.put_slice(data);
    Ok(())
}

fn put_u16_len(out: &mut BytesMut, data: &[u8]) -> Result<(), ControlError> {
    let max = usize::from(u16::MAX);
    let len = u16::try_from(data.len()).map_err(|_| ControlError::TooLong { len: data.len(), max })?;
    out.put_u16(len);
    out.put_slice(data);
    Ok(())
}

fn put_u8_len(out: &mut BytesMut, data: &[u8], max: usize) -> Result<(), ControlError> {
    check_len(data.len(), max)?;
    out.put_u8(u8::try_from(data.len()).expect("checked against a limit below 2^8"));
    out.put_slice(data);
    Ok(())
}
