//! What is typed on one device: keys, text and system buttons, in the order in which people sent them. Pure.
//!
//! ```text
//!   ASCII text ──► INJECT_TEXT (≤ 300 bytes)          other text ──► SET_CLIPBOARD(sequence, paste) ─► wait
//!   keys       ──► INJECT_KEYCODE                                                                      │
//!   buttons    ──► press and release                    Free ◄── settled ── Settling ◄── acknowledged ─┤
//!                                                        ▲                                             │
//!                                                        └───────────── ACK_TIMEOUT ───────────────────┘
//! ```
//!
//! INJECT_TEXT goes through the virtual keyboard, which has ASCII only; everything else is pasted. A paste is
//! a key press that makes the app read the clipboard *later*, so a second text must not enter the clipboard
//! before the first is read: it waits for the acknowledgement and [`PASTE_SETTLE`], and whatever was typed
//! after it waits behind it. Keys that are held when a connection ends are released.
//!
//! It does not know fingers, generations or sockets; `now` is an argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::ConnectionId;
use protocol::control::{Key, KeyAction as PersonKeyAction, System};
use scrcpy::ControlMsg;
use scrcpy::control::{KeyAction, TEXT_LEN_MAX};
use scrcpy::keys::{KeyCode, MetaState};

/// Things typed that may wait behind a paste. At the limit the newest is dropped: a person who typed 128
/// things within a second and a half has lost track already.
pub const WAITING_MAX: usize = 128;
/// Keys held at once over all connections; more than a hand has. One more is ignored.
pub const HELD_MAX: usize = 16;
/// Longest text that waiting pieces are joined to, in bytes, so that they need one paste together.
pub const JOINED_BYTES_MAX: usize = 4096;
/// How long the server may take to acknowledge a clipboard. At the limit typing goes on: a lost paste is
/// better than a keyboard that is stuck.
pub const ACK_TIMEOUT: Duration = Duration::from_millis(1500);
/// Between an acknowledgement, which says that PASTE was injected, and the next text in the clipboard: the
/// time for an app to handle one key. No message of the server tells that it did.
pub const PASTE_SETTLE: Duration = Duration::from_millis(60);

#[derive(Debug)]
enum Typed {
    Key(KeyAction, KeyCode, Key),
    Text(String),
    Press(KeyCode),
    Rotate,
}

#[derive(Debug, Clone, Copy)]
enum Clipboard {
    Free,
    Pasting { sequence: u64, until: Instant },
    Settling { until: Instant },
}

/// The typing lane of one device.
#[derive(Debug)]
pub struct Typing {
    waiting: VecDeque<Typed>,
    clipboard: Clipboard,
    last_sequence: u64,
    held: Vec<(ConnectionId, KeyCode)>,
}

impl Default for Typing {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            clipboard: Clipboard::Free,
            last_sequence: 0,
            held: Vec::new(),
        }
    }
}

impl Typing {
    /// A key of a person's keyboard. A release without its press is ignored.
    pub fn key(&mut self, now: Instant, connection: ConnectionId, key: Key, out: &mut Vec<ControlMsg>) {
        let Ok(code) = i32::try_from(key.keycode).map(KeyCode) else {
            return;
        };
        let held = self.held.iter().position(|held| *held == (connection, code));
        let room = self.waiting.len() < WAITING_MAX;
        let action = match (key.action, held) {
            (PersonKeyAction::Down, _) if !room => return,
            (PersonKeyAction::Down, None) if self.held.len() >= HELD_MAX => return,
            (PersonKeyAction::Down, None) => {
                self.held.push((connection, code));
                KeyAction::DOWN
            }
            (PersonKeyAction::Down, Some(_)) => KeyAction::DOWN,
            (PersonKeyAction::Up, None) => return,
            (PersonKeyAction::Up, Some(at)) => {
                self.held.swap_remove(at);
                KeyAction::UP
            }
        };
        self.push(now, Typed::Key(action, code, key), out);
    }

    /// Text from a keyboard, an input method or a clipboard.
    pub fn text(&mut self, now: Instant, text: &str, out: &mut Vec<ControlMsg>) {
        let text: String = text
            .chars()
            .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
            .collect();
        if text.is_empty() {
            return;
        }
        if let Some(Typed::Text(last)) = self.waiting.back_mut()
            && last.len() + text.len() <= JOINED_BYTES_MAX
        {
            last.push_str(&text);
            return;
        }
        self.push(now, Typed::Text(text), out);
    }

    /// A system button, pressed and released.
    pub fn system(&mut self, now: Instant, system: System, out: &mut Vec<ControlMsg>) {
        let typed = match system {
            System::Home => Typed::Press(KeyCode::HOME),
            System::Back => Typed::Press(KeyCode::BACK),
            System::Recents => Typed::Press(KeyCode::APP_SWITCH),
            System::Power => Typed::Press(KeyCode::POWER),
            System::VolumeUp => Typed::Press(KeyCode::VOLUME_UP),
            System::VolumeDown => Typed::Press(KeyCode::VOLUME_DOWN),
            System::Rotate => Typed::Rotate,
        };
        self.push(now, typed, out);
    }

    /// Empties the device's clipboard; gives the sequence that will be acknowledged.
    pub fn clear_clipboard(&mut self, out: &mut Vec<ControlMsg>) -> u64 {
        self.last_sequence += 1;
        out.push(ControlMsg::SetClipboard {
            sequence: self.last_sequence,
            paste: false,
            text: String::new(),
        });
        self.last_sequence
    }

    /// The server has set the clipboard with this sequence.
    pub fn acknowledged(&mut self, now: Instant, acked: u64, out: &mut Vec<ControlMsg>) {
        if let Clipboard::Pasting { sequence, .. } = self.clipboard
            && sequence == acked
        {
            self.clipboard = Clipboard::Settling {
                until: now + PASTE_SETTLE,
            };
            self.drain(now, out);
        }
    }

    /// Releases the keys that a connection holds.
    pub fn leave(&mut self, now: Instant, connection: ConnectionId, out: &mut Vec<ControlMsg>) {
        self.release(now, Some(connection), out);
    }

    /// Forgets what waits and releases every key: the lease that typed it is over.
    pub fn cut(&mut self, now: Instant, out: &mut Vec<ControlMsg>) {
        // Releases that wait must not be lost with the rest.
        let waiting = std::mem::take(&mut self.waiting);
        for typed in waiting {
            if matches!(typed, Typed::Key(action, ..) if action == KeyAction::UP) {
                emit(typed, out);
            }
        }
        self.clipboard = Clipboard::Free;
        self.release(now, None, out);
    }

    /// When [`Self::wake`] has something to do.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        match self.clipboard {
            Clipboard::Free => None,
            Clipboard::Pasting { until, .. } | Clipboard::Settling { until } => Some(until),
        }
    }

    /// Goes on when a wait is over.
    pub fn wake(&mut self, now: Instant, out: &mut Vec<ControlMsg>) {
        if self.next_wake().is_some_and(|until| until <= now) {
            self.clipboard = Clipboard::Free;
            self.drain(now, out);
        }
    }

    fn release(&mut self, now: Instant, of: Option<ConnectionId>, out: &mut Vec<ControlMsg>) {
        let (released, kept) = self
            .held
            .drain(..)
            .partition(|(connection, _)| of.is_none_or(|of| of == *connection));
        self.held = kept;
        let released: Vec<(ConnectionId, KeyCode)> = released;
        for (_, code) in released {
            let key = Key {
                action: PersonKeyAction::Up,
                keycode: code.0.unsigned_abs(),
                metastate: 0,
                repeat: 0,
            };
            // A release is never dropped for want of room: at most HELD_MAX of them can come.
            self.waiting.push_back(Typed::Key(KeyAction::UP, code, key));
        }
        self.drain(now, out);
    }

    fn push(&mut self, now: Instant, typed: Typed, out: &mut Vec<ControlMsg>) {
        // A release always has room: there are never more of them than keys held.
        let release = matches!(typed, Typed::Key(action, ..) if action == KeyAction::UP);
        if self.waiting.len() >= WAITING_MAX && !release {
            tracing::debug!("typing is dropped: {WAITING_MAX} things wait for a paste");
            return;
        }
        self.waiting.push_back(typed);
        self.drain(now, out);
    }

    fn drain(&mut self, now: Instant, out: &mut Vec<ControlMsg>) {
        while let Some(typed) = self.waiting.pop_front() {
            match typed {
                Typed::Text(text) if !text.is_ascii() => {
                    if !matches!(self.clipboard, Clipboard::Free) {
                        self.waiting.push_front(Typed::Text(text));
                        return;
                    }
                    self.last_sequence += 1;
                    self.clipboard = Clipboard::Pasting {
                        sequence: self.last_sequence,
                        until: now + ACK_TIMEOUT,
                    };
                    out.push(ControlMsg::SetClipboard {
                        sequence: self.last_sequence,
                        paste: true,
                        text,
                    });
                }
                other => emit(other, out),
            }
        }
    }
}

/// What needs no clipboard goes out at once.
fn emit(typed: Typed, out: &mut Vec<ControlMsg>) {
    match typed {
        Typed::Key(action, keycode, key) => out.push(ControlMsg::Key {
            action,
            keycode,
            repeat: i32::try_from(key.repeat).unwrap_or(i32::MAX),
            // Android's bit set; the sign bit means nothing in it.
            metastate: MetaState((key.metastate & 0x7fff_ffff).cast_signed()),
        }),
        Typed::Text(text) => {
            // ASCII: every byte is a character.
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let (piece, tail) = rest.split_at(rest.len().min(TEXT_LEN_MAX));
                out.push(ControlMsg::Text(piece.to_owned()));
                rest = tail;
            }
        }
        Typed::Press(keycode) => out.extend([KeyAction::DOWN, KeyAction::UP].map(|action| ControlMsg::Key {
            action,
            keycode,
            repeat: 0,
            metastate: MetaState::NONE,
        })),
        Typed::Rotate => out.push(ControlMsg::RotateDevice),
    }
}
