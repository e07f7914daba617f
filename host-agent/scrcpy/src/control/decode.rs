//! Reads control messages: the device's half, and whoever looks at a recording.
//!
//! A message is given out when its last byte is there; until then nothing is consumed. Lengths are checked before their
//! content is waited for. Layouts are drawn in [`super`]; whether a message is allowed now is not known here.

use super::kind::{self, check_len, known, scroll_range};
use super::{
    CLIPBOARD_LEN_MAX, ControlError, ControlMsg, CopyKey, KeyAction, MESSAGE_LEN_MAX, PointerId, Position,
    Pressure, Touch, TouchAction,
};
use crate::keys::{KeyCode, MetaState};
use crate::reader::Reader;
use crate::version::ServerVersion;

/// Reads one message from the front of `bytes`, with its length; `None` until it is complete.
///
/// # Errors
/// The bytes are no message of this version; a server ends here, because nothing tells where the next one begins.
pub fn decode(version: ServerVersion, bytes: &[u8]) -> Result<Option<(ControlMsg, usize)>, ControlError> {
    let Some(&kind) = bytes.first() else {
        return Ok(None);
    };
    if !known(version, kind) {
        return Err(ControlError::UnknownType(kind));
    }
    let mut reader = Reader::new(&bytes[1..]);
    match read(version, kind, &mut reader) {
        Some(Ok(msg)) => Ok(Some((msg, 1 + reader.position()))),
        Some(Err(error)) => Err(error),
        None => Ok(None),
    }
}

/// `None`: not complete yet.
fn read(version: ServerVersion, kind: u8, r: &mut Reader<'_>) -> Option<Result<ControlMsg, ControlError>> {
    let msg = match kind {
        kind::KEY => ControlMsg::Key {
            action: KeyAction(r.u8()?),
            keycode: KeyCode(r.i32()?),
            repeat: r.i32()?,
            metastate: MetaState(r.i32()?),
        },
        kind::TEXT => return text_u32(r, MESSAGE_LEN_MAX - 5).map(|t| t.map(ControlMsg::Text)),
        kind::TOUCH => ControlMsg::Touch(read_touch(r)?),
        kind::SCROLL => ControlMsg::Scroll {
            position: read_position(r)?,
            horizontal: scroll_from_wire(version, r.i16()?),
            vertical: scroll_from_wire(version, r.i16()?),
            buttons: r.i32()?,
        },
        kind::BACK_OR_SCREEN_ON => ControlMsg::BackOrScreenOn(KeyAction(r.u8()?)),
        kind::EXPAND_NOTIFICATION_PANEL => ControlMsg::ExpandNotificationPanel,
        kind::EXPAND_SETTINGS_PANEL => ControlMsg::ExpandSettingsPanel,
        kind::COLLAPSE_PANELS => ControlMsg::CollapsePanels,
        kind::GET_CLIPBOARD => ControlMsg::GetClipboard(CopyKey(r.u8()?)),
        kind::SET_CLIPBOARD => {
            let (sequence, paste) = (r.u64()?, r.u8()? != 0);
            return text_u32(r, CLIPBOARD_LEN_MAX).map(|text| {
                text.map(|text| ControlMsg::SetClipboard {
                    sequence,
                    paste,
                    text,
                })
            });
        }
        kind::SET_DISPLAY_POWER => ControlMsg::SetDisplayPower(r.u8()? != 0),
        kind::ROTATE_DEVICE => ControlMsg::RotateDevice,
        kind::UHID_CREATE => read_uhid_create(version, r)?,
        kind::UHID_INPUT => ControlMsg::UhidInput {
            id: r.u16()?,
            data: bytes_u16(r)?,
        },
        kind::UHID_DESTROY if !version.at_least(2, 7, 0) => ControlMsg::OpenHardKeyboardSettings,
        kind::UHID_DESTROY => ControlMsg::UhidDestroy(r.u16()?),
        kind::OPEN_HARD_KEYBOARD_SETTINGS => ControlMsg::OpenHardKeyboardSettings,
        kind::START_APP => ControlMsg::StartApp(text_u8(r)?),
        kind::RESET_VIDEO => ControlMsg::ResetVideo,
        kind::CAMERA_SET_TORCH => ControlMsg::CameraSetTorch(r.u8()? != 0),
        kind::CAMERA_ZOOM_IN => ControlMsg::CameraZoomIn,
        kind::CAMERA_ZOOM_OUT => ControlMsg::CameraZoomOut,
        kind::RESIZE_DISPLAY => ControlMsg::ResizeDisplay {
            width: r.u16()?,
            height: r.u16()?,
        },
        kind::SCAN_FILE => return text_u32(r, MESSAGE_LEN_MAX - 5).map(|t| t.map(ControlMsg::ScanFile)),
        unknown => return Some(Err(ControlError::UnknownType(unknown))),
    };
    Some(Ok(msg))
}

fn read_touch(r: &mut Reader<'_>) -> Option<Touch> {
    Some(Touch {
        action: TouchAction(r.u8()?),
        pointer: PointerId(r.i64()?),
        position: read_position(r)?,
        pressure: Pressure(r.u16()?),
        action_button: r.i32()?,
        buttons: r.i32()?,
    })
}

fn read_position(r: &mut Reader<'_>) -> Option<Position> {
    Some(Position {
        x: r.i32()?,
        y: r.i32()?,
        width: r.u16()?,
        height: r.u16()?,
    })
}

fn read_uhid_create(version: ServerVersion, r: &mut Reader<'_>) -> Option<ControlMsg> {
    let id = r.u16()?;
    let (vendor, product) = if version.at_least(3, 1, 0) {
        (r.u16()?, r.u16()?)
    } else {
        (0, 0)
    };
    let name = if version.at_least(2, 7, 0) {
        text_u8(r)?
    } else {
        String::new()
    };
    let descriptor = bytes_u16(r)?;
    Some(ControlMsg::UhidCreate {
        id,
        vendor,
        product,
        name,
        descriptor,
    })
}

fn scroll_from_wire(version: ServerVersion, wire: i16) -> f32 {
    // The largest number stands for all of the range.
    let part = if wire == i16::MAX {
        1.0
    } else {
        f32::from(wire) / 32768.0
    };
    part * scroll_range(version)
}

/// The limit is checked before the content is waited for, so that a false length cannot stall the reader.
fn text_u32(r: &mut Reader<'_>, max: usize) -> Option<Result<String, ControlError>> {
    let len = usize::try_from(r.u32()?).unwrap_or(usize::MAX);
    if let Err(error) = check_len(len, max) {
        return Some(Err(error));
    }
    Some(Ok(lossy(r.take(len)?)))
}

fn text_u8(r: &mut Reader<'_>) -> Option<String> {
    let len = usize::from(r.u8()?);
    Some(lossy(r.take(len)?))
}

fn bytes_u16(r: &mut Reader<'_>) -> Option<Vec<u8>> {
    let len = usize::from(r.u16()?);
    Some(r.take(len)?.to_vec())
}

/// As the server makes a string of it: what is no UTF-8 is replaced.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
