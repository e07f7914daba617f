//! Control messages: what a client tells the device. Big-endian, a type byte and no further framing.
//!
//! ```text
//!    0 key         action u8 · keycode i32 · repeat i32 · metastate i32                                  14 bytes
//!    1 text        len u32 · UTF-8
//!    2 touch       action u8 · pointer i64 · position 12 · pressure u16 · action button i32 · buttons i32  32
//!    3 scroll      position 12 · horizontal i16 · vertical i16 · buttons i32                             21
//!    4 back/on     action u8                       5, 6, 7 panels     8 get clipboard  copy key u8
//!    9 clipboard   sequence u64 · paste u8 · len u32 · UTF-8         10 display power  on u8 (≤ 2.7: mode 0 or 2)
//!   11 rotate                                      12 UHID create  id u16 · (vendor u16 · product u16 from 3.1) ·
//!   13 UHID input  id u16 · len u16 · data            name len u8 · name · descriptor len u16 · descriptor
//!   14 UHID destroy id u16 (from 2.7)              15 keyboard settings (2.4–2.6: type 14)
//!   16 start app   len u8 · UTF-8    (3.0)         17 reset video    (3.0)
//!   18 torch on u8, 19 zoom in, 20 zoom out (4.0)  21 resize width u16 · height u16 (4.0)
//!   22 scan file   len u32 · UTF-8   (4.1)         position = x i32 · y i32 · width u16 · height u16
//! ```
//!
//! A server ends on a type that it does not know, so [`encode`] refuses what the version lacks and [`decode`] reports
//! it. A scroll is a fraction of a notch over 2¹⁵, and from 3.3.1 sixteen notches over 2¹⁵.
//! Whether a message is allowed now (a resize needs a flexible display) is the server's business.

use bytes::{BufMut, BytesMut};
use thiserror::Error;

use crate::keys::{KeyCode, MetaState};
use crate::reader::Reader;
use crate::version::ServerVersion;

/// Longest message in bytes, on either side; the stock server's buffer.
pub const MESSAGE_LEN_MAX: usize = 1 << 18;

/// Longest text of one [`ControlMsg::Text`] in bytes; the stock client splits above it.
pub const TEXT_LEN_MAX: usize = 300;

/// Longest clipboard text in bytes: what is left of [`MESSAGE_LEN_MAX`].
pub const CLIPBOARD_LEN_MAX: usize = MESSAGE_LEN_MAX - 14;

/// Longest path of a [`ControlMsg::ScanFile`] in bytes, as in the stock client.
pub const SCAN_PATH_LEN_MAX: usize = 256;

/// Pointers that a server tracks; it ignores more.
pub const POINTERS_MAX: usize = 10;

/// A message from the client to the device.
#[derive(Debug, Clone, PartialEq)]
pub enum ControlMsg {
    /// A key goes down or up.
    Key {
        /// Down or up.
        action: KeyAction,
        /// Which key.
        keycode: KeyCode,
        /// How often the key has repeated while held.
        repeat: i32,
        /// Modifiers held.
        metastate: MetaState,
    },
    /// Text as if typed; the device skips characters that its virtual keyboard lacks.
    Text(String),
    /// A pointer touches, moves or leaves.
    Touch(Touch),
    /// A wheel turns.
    Scroll {
        /// Where the mouse is.
        position: Position,
        /// Notches, positive to the right; range ±16, before 3.3.1 ±1.
        horizontal: f32,
        /// Notches, positive is up; range ±16, before 3.3.1 ±1.
        vertical: f32,
        /// Mouse buttons held.
        buttons: i32,
    },
    /// BACK if the screen is on, else POWER.
    BackOrScreenOn(KeyAction),
    /// Opens the notification panel.
    ExpandNotificationPanel,
    /// Opens the settings panel.
    ExpandSettingsPanel,
    /// Closes all panels.
    CollapsePanels,
    /// Asks for the clipboard, after an optional copy or cut; answered only with `clipboard_autosync=false`.
    GetClipboard(CopyKey),
    /// Sets the clipboard.
    SetClipboard {
        /// Acknowledged with this number unless it is 0.
        sequence: u64,
        /// Also injects PASTE.
        paste: bool,
        /// The text.
        text: String,
    },
    /// Switches the panel of the display on or off; the picture goes on.
    SetDisplayPower(bool),
    /// Rotates the device by a quarter.
    RotateDevice,
    /// Makes a virtual HID device (from 2.4).
    UhidCreate {
        /// The client's number for it.
        id: u16,
        /// USB vendor; not sent before 3.1.
        vendor: u16,
        /// USB product; not sent before 3.1.
        product: u16,
        /// At most 127 bytes.
        name: String,
        /// HID report descriptor.
        descriptor: Vec<u8>,
    },
    /// A report of a virtual HID device (from 2.4).
    UhidInput {
        /// The client's number for the device.
        id: u16,
        /// The report.
        data: Vec<u8>,
    },
    /// Removes a virtual HID device (from 2.7).
    UhidDestroy(u16),
    /// Opens the settings of hardware keyboards (from 2.4).
    OpenHardKeyboardSettings,
    /// Starts an app by package name; `?` in front searches by label, `+` stops it first (from 3.0).
    StartApp(String),
    /// Restarts the encoder: session, parameter sets, key frame (from 3.0).
    ResetVideo,
    /// Switches the torch; camera source only (from 4.0).
    CameraSetTorch(bool),
    /// Zooms in; camera source only (from 4.0).
    CameraZoomIn,
    /// Zooms out; camera source only (from 4.0).
    CameraZoomOut,
    /// Asks a flexible display for a new size (from 4.0).
    ResizeDisplay {
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// Makes a pushed file known to the media store (from 4.1).
    ScanFile(String),
}

/// A pointer event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    /// What the pointer does.
    pub action: TouchAction,
    /// Which pointer.
    pub pointer: PointerId,
    /// Where, in pixels of the video.
    pub position: Position,
    /// How hard.
    pub pressure: Pressure,
    /// The mouse button that changed; 0 for fingers.
    pub action_button: i32,
    /// Mouse buttons held after the event; 0 for fingers.
    pub buttons: i32,
}

/// A place in the video. The server drops the event if the size is not exactly that of its current video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Pixels from the left edge.
    pub x: i32,
    /// Pixels from the top edge.
    pub y: i32,
    /// Width of the video in pixels.
    pub width: u16,
    /// Height of the video in pixels.
    pub height: u16,
}

/// A client's number for a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PointerId(pub i64);

impl PointerId {
    /// The mouse; its primary button is injected as a finger.
    pub const MOUSE: Self = Self(-1);
    /// A finger without a number.
    pub const GENERIC_FINGER: Self = Self(-2);
    /// The mirrored finger of a pinch.
    pub const VIRTUAL_FINGER: Self = Self(-3);
}

/// Pressure over 2¹⁶; 65535 means 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pressure(pub u16);

impl Pressure {
    /// A pointer that has left.
    pub const NONE: Self = Self(0);
    /// Full pressure, 1.0.
    pub const FULL: Self = Self(u16::MAX);
}

/// Android's `MotionEvent` action. The server turns DOWN and UP of further fingers into its POINTER actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TouchAction(pub u8);

impl TouchAction {
    /// A pointer touches.
    pub const DOWN: Self = Self(0);
    /// A pointer leaves; its coordinates are applied.
    pub const UP: Self = Self(1);
    /// A pointer moves.
    pub const MOVE: Self = Self(2);
    /// The gesture is void. The server keeps the pointer.
    pub const CANCEL: Self = Self(3);
    /// A mouse moves with no button held.
    pub const HOVER_MOVE: Self = Self(7);
}

/// Android's `KeyEvent` action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyAction(pub u8);

impl KeyAction {
    /// Pressed.
    pub const DOWN: Self = Self(0);
    /// Released.
    pub const UP: Self = Self(1);
}

/// What to press before the clipboard is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CopyKey(pub u8);

impl CopyKey {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// COPY.
    pub const COPY: Self = Self(1);
    /// CUT.
    pub const CUT: Self = Self(2);
}

/// Why a message cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The server's version has no such message.
    #[error("the server's version does not know this message")]
    NotInVersion,
    /// A type byte that this version does not know; a server ends here.
    #[error("unknown control message type {0}")]
    UnknownType(u8),
    /// A text or data beyond its limit.
    #[error("{len} bytes are above the limit of {max}")]
    TooLong {
        /// What was asked.
        len: usize,
        /// What is allowed.
        max: usize,
    },
    /// A text that is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
}

mod kind {
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
}

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

/// Whether the version's server reads a message of this type at all.
fn known(version: ServerVersion, kind: u8) -> bool {
    match kind {
        kind::KEY..=kind::ROTATE_DEVICE => true,
        kind::UHID_CREATE..=kind::UHID_DESTROY => version.at_least(2, 4, 0),
        kind::OPEN_HARD_KEYBOARD_SETTINGS => version.at_least(2, 7, 0),
        kind::START_APP | kind::RESET_VIDEO => version.at_least(3, 0, 0),
        kind::CAMERA_SET_TORCH..=kind::RESIZE_DISPLAY => version.at_least(4, 0, 0),
        kind::SCAN_FILE => version.at_least(4, 1, 0),
        _ => false,
    }
}

fn kind_of(version: ServerVersion, msg: &ControlMsg) -> u8 {
    match msg {
        ControlMsg::Key { .. } => kind::KEY,
        ControlMsg::Text(_) => kind::TEXT,
        ControlMsg::Touch(_) => kind::TOUCH,
        ControlMsg::Scroll { .. } => kind::SCROLL,
        ControlMsg::BackOrScreenOn(_) => kind::BACK_OR_SCREEN_ON,
        ControlMsg::ExpandNotificationPanel => kind::EXPAND_NOTIFICATION_PANEL,
        ControlMsg::ExpandSettingsPanel => kind::EXPAND_SETTINGS_PANEL,
        ControlMsg::CollapsePanels => kind::COLLAPSE_PANELS,
        ControlMsg::GetClipboard(_) => kind::GET_CLIPBOARD,
        ControlMsg::SetClipboard { .. } => kind::SET_CLIPBOARD,
        ControlMsg::SetDisplayPower(_) => kind::SET_DISPLAY_POWER,
        ControlMsg::RotateDevice => kind::ROTATE_DEVICE,
        ControlMsg::UhidCreate { .. } => kind::UHID_CREATE,
        ControlMsg::UhidInput { .. } => kind::UHID_INPUT,
        // 255 is no type in any version: before 2.7 there is nothing to send.
        ControlMsg::UhidDestroy(_) if !version.at_least(2, 7, 0) => u8::MAX,
        ControlMsg::UhidDestroy(_) => kind::UHID_DESTROY,
        ControlMsg::OpenHardKeyboardSettings if !version.at_least(2, 7, 0) => {
            kind::OPEN_HARD_KEYBOARD_SETTINGS_OLD
        }
        ControlMsg::OpenHardKeyboardSettings => kind::OPEN_HARD_KEYBOARD_SETTINGS,
        ControlMsg::StartApp(_) => kind::START_APP,
        ControlMsg::ResetVideo => kind::RESET_VIDEO,
        ControlMsg::CameraSetTorch(_) => kind::CAMERA_SET_TORCH,
        ControlMsg::CameraZoomIn => kind::CAMERA_ZOOM_IN,
        ControlMsg::CameraZoomOut => kind::CAMERA_ZOOM_OUT,
        ControlMsg::ResizeDisplay { .. } => kind::RESIZE_DISPLAY,
        ControlMsg::ScanFile(_) => kind::SCAN_FILE,
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
        kind::UHID_CREATE => return read_uhid_create(version, r),
        kind::UHID_INPUT => ControlMsg::UhidInput {
            id: r.u16()?,
            data: bytes_u16(r)?,
        },
        kind::UHID_DESTROY if !version.at_least(2, 7, 0) => ControlMsg::OpenHardKeyboardSettings,
        kind::UHID_DESTROY => ControlMsg::UhidDestroy(r.u16()?),
        kind::OPEN_HARD_KEYBOARD_SETTINGS => ControlMsg::OpenHardKeyboardSettings,
        kind::START_APP => return text_u8(r).map(|t| t.map(ControlMsg::StartApp)),
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

fn put_touch(out: &mut BytesMut, touch: &Touch) {
    out.put_u8(touch.action.0);
    out.put_i64(touch.pointer.0);
    put_position(out, &touch.position);
    out.put_u16(touch.pressure.0);
    out.put_i32(touch.action_button);
    out.put_i32(touch.buttons);
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

fn put_position(out: &mut BytesMut, position: &Position) {
    out.put_i32(position.x);
    out.put_i32(position.y);
    out.put_u16(position.width);
    out.put_u16(position.height);
}

fn read_position(r: &mut Reader<'_>) -> Option<Position> {
    Some(Position {
        x: r.i32()?,
        y: r.i32()?,
        width: r.u16()?,
        height: r.u16()?,
    })
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
    put_u8_len(out, name.as_bytes(), UHID_NAME_LEN_MAX)?;
    put_u16_len(out, descriptor)
}

fn read_uhid_create(version: ServerVersion, r: &mut Reader<'_>) -> Option<Result<ControlMsg, ControlError>> {
    let id = r.u16()?;
    let (vendor, product) = if version.at_least(3, 1, 0) {
        (r.u16()?, r.u16()?)
    } else {
        (0, 0)
    };
    let name = text_u8(r)?;
    let descriptor = bytes_u16(r)?;
    Some(name.map(|name| ControlMsg::UhidCreate {
        id,
        vendor,
        product,
        name,
        descriptor,
    }))
}

/// Notches that the full range of the wire stands for.
fn scroll_range(version: ServerVersion) -> f32 {
    if version.at_least(3, 3, 1) { 16.0 } else { 1.0 }
}

fn scroll_to_wire(version: ServerVersion, notches: f32) -> i16 {
    // The cast saturates, and NaN becomes 0.
    (notches / scroll_range(version) * 32768.0).round() as i16
}

fn scroll_from_wire(version: ServerVersion, wire: i16) -> f32 {
    f32::from(wire) / 32768.0 * scroll_range(version)
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

fn check_len(len: usize, max: usize) -> Result<(), ControlError> {
    if len > max {
        return Err(ControlError::TooLong { len, max });
    }
    Ok(())
}

/// The limit is checked before the content is waited for, so that a false length cannot stall the reader.
fn text_u32(r: &mut Reader<'_>, max: usize) -> Option<Result<String, ControlError>> {
    let len = usize::try_from(r.u32()?).unwrap_or(usize::MAX);
    if let Err(error) = check_len(len, max) {
        return Some(Err(error));
    }
    Some(utf8(r.take(len)?))
}

fn text_u8(r: &mut Reader<'_>) -> Option<Result<String, ControlError>> {
    let len = usize::from(r.u8()?);
    Some(utf8(r.take(len)?))
}

fn bytes_u16(r: &mut Reader<'_>) -> Option<Vec<u8>> {
    let len = usize::from(r.u16()?);
    Some(r.take(len)?.to_vec())
}

fn utf8(bytes: &[u8]) -> Result<String, ControlError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ControlError::NotUtf8)
}
