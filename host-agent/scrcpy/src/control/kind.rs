//! The type byte of a control message: which number, and in which versions.
//!
//! Numbers are appended, never reused, with one exception: 14 was the keyboard settings in 2.4 to 2.6, and became
//! UHID_DESTROY in 2.7. From 3.3.1 a scroll is scaled differently, which is the other thing that both directions
//! have to agree on by version.

use crate::control::{ControlError, ControlMsg};
use crate::version::ServerVersion;

pub(super) const KEY: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const TOUCH: u8 = 2;
pub(super) const SCROLL: u8 = 3;
pub(super) const BACK_OR_SCREEN_ON: u8 = 4;
pub(super) const EXPAND_NOTIFICATION_PANEL: u8 = 5;
pub(super) const EXPAND_SETTINGS_PANEL: u8 = 6;
pub(super) const COLLAPSE_PANELS: u8 = 7;
pub(super) const GET_CLIPBOARD: u8 = 8;
pub(super) const SET_CLIPBOARD: u8 = 9;
pub(super) const SET_DISPLAY_POWER: u8 = 10;
pub(super) const ROTATE_DEVICE: u8 = 11;
pub(super) const UHID_CREATE: u8 = 12;
pub(super) const UHID_INPUT: u8 = 13;
pub(super) const UHID_DESTROY: u8 = 14;
/// 2.4 to 2.6 had no UHID_DESTROY and gave its number to this.
pub(super) const OPEN_HARD_KEYBOARD_SETTINGS_OLD: u8 = 14;
pub(super) const OPEN_HARD_KEYBOARD_SETTINGS: u8 = 15;
pub(super) const START_APP: u8 = 16;
pub(super) const RESET_VIDEO: u8 = 17;
pub(super) const CAMERA_SET_TORCH: u8 = 18;
pub(super) const CAMERA_ZOOM_IN: u8 = 19;
pub(super) const CAMERA_ZOOM_OUT: u8 = 20;
pub(super) const RESIZE_DISPLAY: u8 = 21;
pub(super) const SCAN_FILE: u8 = 22;

/// Whether the version's server reads a message of this type at all.
pub(super) fn known(version: ServerVersion, kind: u8) -> bool {
    match kind {
        KEY..=ROTATE_DEVICE => true,
        UHID_CREATE..=UHID_DESTROY => version.at_least(2, 4, 0),
        OPEN_HARD_KEYBOARD_SETTINGS => version.at_least(2, 7, 0),
        START_APP | RESET_VIDEO => version.at_least(3, 0, 0),
        CAMERA_SET_TORCH..=RESIZE_DISPLAY => version.at_least(4, 0, 0),
        SCAN_FILE => version.at_least(4, 1, 0),
        _ => false,
    }
}

pub(super) fn kind_of(version: ServerVersion, msg: &ControlMsg) -> u8 {
    match msg {
        ControlMsg::Key { .. } => KEY,
        ControlMsg::Text(_) => TEXT,
        ControlMsg::Touch(_) => TOUCH,
        ControlMsg::Scroll { .. } => SCROLL,
        ControlMsg::BackOrScreenOn(_) => BACK_OR_SCREEN_ON,
        ControlMsg::ExpandNotificationPanel => EXPAND_NOTIFICATION_PANEL,
        ControlMsg::ExpandSettingsPanel => EXPAND_SETTINGS_PANEL,
        ControlMsg::CollapsePanels => COLLAPSE_PANELS,
        ControlMsg::GetClipboard(_) => GET_CLIPBOARD,
        ControlMsg::SetClipboard { .. } => SET_CLIPBOARD,
        ControlMsg::SetDisplayPower(_) => SET_DISPLAY_POWER,
        ControlMsg::RotateDevice => ROTATE_DEVICE,
        ControlMsg::UhidCreate { .. } => UHID_CREATE,
        ControlMsg::UhidInput { .. } => UHID_INPUT,
        // 255 is no type in any version: before 2.7 there is nothing to send.
        ControlMsg::UhidDestroy(_) if !version.at_least(2, 7, 0) => u8::MAX,
        ControlMsg::UhidDestroy(_) => UHID_DESTROY,
        ControlMsg::OpenHardKeyboardSettings if !version.at_least(2, 7, 0) => OPEN_HARD_KEYBOARD_SETTINGS_OLD,
        ControlMsg::OpenHardKeyboardSettings => OPEN_HARD_KEYBOARD_SETTINGS,
        ControlMsg::StartApp(_) => START_APP,
        ControlMsg::ResetVideo => RESET_VIDEO,
        ControlMsg::CameraSetTorch(_) => CAMERA_SET_TORCH,
        ControlMsg::CameraZoomIn => CAMERA_ZOOM_IN,
        ControlMsg::CameraZoomOut => CAMERA_ZOOM_OUT,
        ControlMsg::ResizeDisplay { .. } => RESIZE_DISPLAY,
        ControlMsg::ScanFile(_) => SCAN_FILE,
    }
}

/// Notches that the full range of the wire stands for.
pub(super) fn scroll_range(version: ServerVersion) -> f32 {
    if version.at_least(3, 3, 1) { 16.0 } else { 1.0 }
}

pub(super) fn check_len(len: usize, max: usize) -> Result<(), ControlError> {
    if len > max {
        return Err(ControlError::TooLong { len, max });
    }
    Ok(())
}
