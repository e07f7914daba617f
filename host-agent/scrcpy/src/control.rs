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

mod decode;
mod encode;
mod kind;

use thiserror::Error;

use crate::keys::{KeyCode, MetaState};

pub use decode::decode;
pub use encode::encode;

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
        /// At most 127 bytes; not sent before 2.7.
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
}
