//! The `control` channel: what must arrive, and in order.
//!
//! ```text
//! viewer → gateway
//!   key     10 | action u8 (0 down, 1 up) | keycode u32 | metastate u32 | repeat u32
//!   text    11 | len ≤ 300 u16 | UTF-8
//!   system  13 | what u8 (1 home 2 back 3 recents 4 power 5 volume up 6 volume down 7 rotate)
//!   bye     1f | close reason u8
//! gateway → viewer
//!   picture 20 | generation u16 | width u16 | height u16
//!   gate    21 | open u8 (0, 1)
//!   bye     1f | close reason u8
//! ```
//!
//! Little-endian. Key codes and meta states are Android's (`KeyEvent`). A `system` message is a
//! whole press. Text is longer than a key press on purpose: an input method commits words.

use crate::bytes::{Reader, WireError};
use crate::close::CloseReason;
use crate::units::Generation;

/// Longest text in one message, bytes of UTF-8: scrcpy's client holds injected text to 300 bytes.
pub const TEXT_BYTES_MAX: usize = 300;

const KEY: u8 = 0x10;
const TEXT: u8 = 0x11;
const SYSTEM: u8 = 0x13;
const BYE: u8 = 0x1f;
const PICTURE: u8 = 0x20;
const GATE: u8 = 0x21;

/// One message from the viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToGateway {
    /// A key of a hardware keyboard.
    Key(Key),
    /// Text from a keyboard, an input method or the clipboard.
    Text(String),
    /// A system button.
    System(System),
    /// The viewer leaves.
    Bye(CloseReason),
}

/// One message from the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToViewer {
    /// The picture's size; a new generation whenever it changes.
    Picture {
        /// What touches must name from now on.
        generation: Generation,
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// Whether media and input flow: the device is prepared for this holder.
    Gate {
        /// True once the fence is open.
        open: bool,
    },
    /// The connection ends, and why.
    Bye(CloseReason),
}

/// A key press or release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Press or release.
    pub action: KeyAction,
    /// Android's `KeyEvent.KEYCODE_*`.
    pub keycode: u32,
    /// Android's `KeyEvent.META_*` bits.
    pub metastate: u32,
    /// How often the key has repeated while held.
    pub repeat: u32,
}

/// What a key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAction {
    /// Pressed.
    Down,
    /// Released.
    Up,
}

/// A button of the device itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// To the launcher.
    Home,
    /// One step back.
    Back,
    /// The list of recent apps.
    Recents,
    /// Screen on or off.
    Power,
    /// Louder.
    VolumeUp,
    /// Quieter.
    VolumeDown,
    /// Turn the screen by a quarter.
    Rotate,
}

impl System {
    /// Every button, in the order of their codes, which start at 1.
    pub const ALL: [Self; 7] = [
        Self::Home,
        Self::Back,
        Self::Recents,
        Self::Power,
        Self::VolumeUp,
        Self::VolumeDown,
        Self::Rotate,
    ];

    fn code(self) -> u8 {
        match self {
            Self::Home => 1,
            Self::Back => 2,
            Self::Recents => 3,
            Self::Power => 4,
            Self::VolumeUp => 5,
            Self::VolumeDown => 6,
            Self::Rotate => 7,
        }
    }
}

impl ToGateway {
    /// Reads one message of the viewer.
    ///
    /// # Errors
    /// Any [`WireError`]: the message is refused whole.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader(bytes);
        let message = match reader.u8()? {
            KEY => Self::Key(Key::read(&mut reader)?),
            TEXT => Self::Text(read_text(&mut reader)?),
            SYSTEM => {
                let code = reader.u8()?;
                let system = System::ALL.into_iter().find(|system| system.code() == code);
                Self::System(system.ok_or(WireError::BadValue("system button"))?)
            }
            BYE => Self::Bye(reader.u8()?.try_into()?),
            other => return Err(WireError::UnknownType(other)),
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the message to `out`; text is cut at the last whole character within
    /// [`TEXT_BYTES_MAX`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Key(key) => key.write(out),
            Self::Text(text) => {
                let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
                out.push(TEXT);
                out.extend((text.len() as u16).to_le_bytes());
                out.extend(text.as_bytes());
            }
            Self::System(system) => out.extend([SYSTEM, system.code()]),
            Self::Bye(reason) => out.extend([BYE, reason.code()]),
        }
    }
}

impl ToViewer {
    /// Reads one message of the gateway.
    ///
    /// # Errors
    /// Any [`WireError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader(bytes);
        let message = match reader.u8()? {
            PICTURE => Self::Picture {
                generation: Generation(reader.u16()?),
                width: reader.u16()?,
                height: reader.u16()?,
            },
            GATE => match reader.u8()? {
                0 => Self::Gate { open: false },
                1 => Self::Gate { open: true },
                _ => return Err(WireError::BadValue("gate")),
            },
            BYE => Self::Bye(reader.u8()?.try_into()?),
            other => return Err(WireError::UnknownType(other)),
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Picture {
                generation,
                width,
                height,
            } => {
                out.push(PICTURE);
                for field in [generation.0, width, height] {
                    out.extend(field.to_le_bytes());
                }
            }
            Self::Gate { open } => out.extend([GATE, u8::from(open)]),
            Self::Bye(reason) => out.extend([BYE, reason.code()]),
        }
    }
}

impl Key {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let action = match reader.u8()? {
            0 => KeyAction::Down,
            1 => KeyAction::Up,
            _ => return Err(WireError::BadValue("key action")),
        };
        Ok(Self {
            action,
            keycode: reader.u32()?,
            metastate: reader.u32()?,
            repeat: reader.u32()?,
        })
    }

    fn write(self, out: &mut Vec<u8>) {
        out.push(KEY);
        out.push(match self.action {
            KeyAction::Down => 0,
            KeyAction::Up => 1,
        });
        for field in [self.keycode, self.metastate, self.repeat] {
            out.extend(field.to_le_bytes());
        }
    }
}

fn read_text(reader: &mut Reader<'_>) -> Result<String, WireError> {
    let len = usize::from(reader.u16()?);
    if len > TEXT_BYTES_MAX {
        return Err(WireError::TooMany("text"));
    }
    let text = str::from_utf8(reader.take(len)?).map_err(|_| WireError::BadValue("text"))?;
    Ok(text.to_owned())
}
