//! What people do, as scrcpy's server wants it: operations in, control messages out. Pure.
//!
//! ```text
//!   InputOp { x, y: fractions, generation } ──► aim ──► fingers.rs ──► TOUCH { pixels, size of this moment }
//!                                                └────► wheel ───────► SCROLL (in the version's range)
//!   Key · Text · System ──────────────────────────────► typing.rs ──► KEY · TEXT · CLIPBOARD · ROTATE
//! ```
//!
//! The size of the picture lives here, because the server drops every position whose size is not its own. An
//! operation is aimed at a *generation* of the picture. The gateway numbers the generations and this side does
//! not see it count, so it notes at the first operation of each generation which size the picture had: an
//! operation aimed at another size than the current one only lifts, and so does one of a generation that its
//! connection has left behind.
//!
//! It does not know epochs, sockets or who may touch; `now` is an argument.

use std::time::Instant;

use protocol::input::InputOp;
use protocol::{ConnectionId, Generation};
use scrcpy::control::POINTERS_MAX;
use scrcpy::{ControlMsg, ServerVersion};

use crate::fingers::{Fingers, Owner, PictureSize, Place};
use crate::typing::Typing;

/// Wheel units per notch, as browsers and Android count them.
const NOTCH: f32 = 120.0;
/// Most messages that one turn of the wheel becomes where the server's range is one notch. What is beyond is
/// lost: nobody turns a wheel by more than eight notches between two packets.
const SCROLLS_MAX: u32 = 8;
/// Connections whose aim is remembered: more than may control one device. The oldest is forgotten first.
const AIMS_MAX: usize = 2 * POINTERS_MAX;

/// Which picture a connection aims at.
#[derive(Debug, Clone, Copy)]
struct Aim {
    connection: ConnectionId,
    generation: Generation,
    size: PictureSize,
}

/// The input side of one capture.
#[derive(Debug)]
pub struct Input {
    version: ServerVersion,
    size: Option<PictureSize>,
    aims: Vec<Aim>,
    fingers: Fingers,
    typing: Typing,
}

impl Input {
    /// For a server of this version, which has told no size yet.
    #[must_use]
    pub fn new(version: ServerVersion) -> Self {
        Self {
            version,
            size: None,
            aims: Vec::new(),
            fingers: Fingers::default(),
            typing: Typing::default(),
        }
    }

    /// The picture has this size from now on, and had another in between or before: every finger is lifted.
    pub fn resized(&mut self, now: Instant, size: PictureSize, out: &mut Vec<ControlMsg>) {
        self.size = Some(size);
        self.fingers.resized(now, size, out);
    }

    /// A person did something.
    pub fn apply(&mut self, now: Instant, connection: ConnectionId, op: InputOp, out: &mut Vec<ControlMsg>) {
        match op {
            InputOp::Key(key) => return self.typing.key(now, connection, key, out),
            InputOp::Text(text) => return self.typing.text(now, &text, out),
            InputOp::System(system) => return self.typing.system(now, system, out),
            // Keys too: whoever says this is gone, or was cut off.
            InputOp::LiftAll => self.typing.leave(now, connection, out),
            InputOp::Down { .. } | InputOp::Move { .. } | InputOp::Up { .. } | InputOp::Wheel { .. } => {}
        }
        // Before the first size nothing can be down, and no position would be taken.
        let Some(size) = self.size else { return };
        let owner = |pointer| Owner { connection, pointer };
        match op {
            InputOp::Down {
                pointer,
                x,
                y,
                pressure,
                generation,
            } => {
                if self.is_current(connection, generation, size) {
                    self.fingers
                        .press(now, size, owner(pointer), Place { x, y }, pressure, out);
                }
            }
            InputOp::Move {
                pointer,
                x,
                y,
                pressure,
                generation,
            } => {
                if self.is_current(connection, generation, size) {
                    self.fingers
                        .drag(size, owner(pointer), Place { x, y }, pressure, out);
                }
            }
            InputOp::Wheel {
                x,
                y,
                dh,
                dv,
                generation,
            } => {
                if self.is_current(connection, generation, size) {
                    self.scroll(size, Place { x, y }, (dh, dv), out);
                }
            }
            InputOp::Up { pointer, x, y } => {
                self.fingers.lift(now, size, owner(pointer), Place { x, y }, out);
            }
            InputOp::LiftAll => self.fingers.lift_connection(now, size, connection, out),
            InputOp::Key(_) | InputOp::Text(_) | InputOp::System(_) => {}
        }
    }

    /// A connection ended: its fingers and keys go up.
    pub fn leave(&mut self, now: Instant, connection: ConnectionId, out: &mut Vec<ControlMsg>) {
        if let Some(size) = self.size {
            self.fingers.lift_connection(now, size, connection, out);
        }
        self.typing.leave(now, connection, out);
        self.aims.retain(|aim| aim.connection != connection);
    }

    /// The lease is over: everything goes up, and what waits is forgotten.
    pub fn cut(&mut self, now: Instant, out: &mut Vec<ControlMsg>) {
        if let Some(size) = self.size {
            self.fingers.lift_all(now, size, out);
        }
        self.typing.cut(now, out);
        self.aims.clear();
    }

    /// Empties the device's clipboard; gives the sequence that will be acknowledged.
    pub fn clear_clipboard(&mut self, out: &mut Vec<ControlMsg>) -> u64 {
        self.typing.clear_clipboard(out)
    }

    /// The server has set the clipboard with this sequence.
    pub fn acknowledged(&mut self, now: Instant, sequence: u64, out: &mut Vec<ControlMsg>) {
        self.typing.acknowledged(now, sequence, out);
    }

    /// When [`Self::wake`] has something to do.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        self.typing.next_wake()
    }

    /// Goes on when a wait is over.
    pub fn wake(&mut self, now: Instant, out: &mut Vec<ControlMsg>) {
        self.typing.wake(now, out);
    }

    /// The fingers that are down, for tests and logs.
    #[must_use]
    pub fn fingers(&self) -> &Fingers {
        &self.fingers
    }

    /// Whether this generation is the picture of this moment. The first operation of a generation binds it
    /// to the size of that moment.
    fn is_current(&mut self, connection: ConnectionId, generation: Generation, size: PictureSize) -> bool {
        let Some(aim) = self.aims.iter_mut().find(|aim| aim.connection == connection) else {
            if self.aims.len() >= AIMS_MAX {
                self.aims.remove(0);
            }
            self.aims.push(Aim {
                connection,
                generation,
                size,
            });
            return true;
        };
        if aim.generation != generation {
            // Half of the circle is behind: a packet that was overtaken.
            if generation.0.wrapping_sub(aim.generation.0) > u16::MAX / 2 {
                return false;
            }
            *aim = Aim {
                connection,
                generation,
                size,
            };
        }
        aim.size == size
    }

    fn scroll(&self, size: PictureSize, place: Place, (dh, dv): (i32, i32), out: &mut Vec<ControlMsg>) {
        // The server takes ±16 notches in one message from 3.3.1, ±1 before.
        let range = if self.version.at_least(3, 3, 1) { 16.0 } else { 1.0 };
        let (mut horizontal, mut vertical) = (dh as f32 / NOTCH, dv as f32 / NOTCH);
        for _ in 0..SCROLLS_MAX {
            if horizontal == 0.0 && vertical == 0.0 {
                return;
            }
            let (h, v) = (horizontal.clamp(-range, range), vertical.clamp(-range, range));
            out.push(ControlMsg::Scroll {
                position: size.position(place),
                horizontal: h,
                vertical: v,
                buttons: 0,
            });
            (horizontal, vertical) = (horizontal - h, vertical - v);
        }
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
