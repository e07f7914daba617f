//! What people do, as scrcpy's server wants it: operations in, control messages out. Pure.
//!
//! ```text
//!   InputOp { x, y: fractions }, aimed at a size ──► fingers.rs ──► TOUCH { pixels, size of this moment }
//!                                            └─────► wheel ───────► SCROLL (in the version's range)
//!   Key · Text · System ───────────────────────────► typing.rs ──► KEY · TEXT · CLIPBOARD · ROTATE
//! ```
//!
//! The size of the picture lives here, because the server drops every position whose size is not its own. The
//! gateway lets through what names the picture of its moment, and says that picture's size: what was aimed at
//! another size than the present one only lifts, for the device turned while it was on its way.
//!
//! It does not know epochs, sockets or who may touch; `now` is an argument.

use std::time::Instant;

use protocol::ConnectionId;
use protocol::input::InputOp;
use scrcpy::{ControlMsg, ServerVersion};

use crate::fingers::{Fingers, Owner, PictureSize, Place};
use crate::typing::Typing;

/// Wheel units per notch, as browsers and Android count them.
const NOTCH: f32 = 120.0;
/// Most messages that one turn of the wheel becomes where the server's range is one notch. What is beyond is
/// lost: nobody turns a wheel by more than eight notches between two packets.
const SCROLLS_MAX: u32 = 8;

/// The input side of one capture.
#[derive(Debug)]
pub struct Input {
    version: ServerVersion,
    size: Option<PictureSize>,
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
            fingers: Fingers::default(),
            typing: Typing::default(),
        }
    }

    /// The picture has this size from now on, and had another in between or before: every finger is lifted.
    pub fn resized(&mut self, now: Instant, size: PictureSize, out: &mut Vec<ControlMsg>) {
        self.size = Some(size);
        self.fingers.resized(now, size, out);
    }

    /// A person did something, aimed at a picture of this size.
    pub fn apply(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        aimed_at: Option<PictureSize>,
        op: InputOp,
        out: &mut Vec<ControlMsg>,
    ) {
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
        let current = aimed_at == Some(size);
        let owner = |pointer| Owner { connection, pointer };
        match op {
            InputOp::Down {
                pointer,
                x,
                y,
                pressure,
                ..
            } if current => {
                self.fingers
                    .press(now, size, owner(pointer), Place { x, y }, pressure, out);
            }
            InputOp::Move {
                pointer,
                x,
                y,
                pressure,
                ..
            } if current => {
                self.fingers
                    .drag(size, owner(pointer), Place { x, y }, pressure, out);
            }
            InputOp::Wheel { x, y, dh, dv, .. } if current => {
                self.scroll(size, Place { x, y }, (dh, dv), out);
            }
            InputOp::Up { pointer, x, y } => {
                self.fingers.lift(now, size, owner(pointer), Place { x, y }, out);
            }
            InputOp::LiftAll => self.fingers.lift_connection(now, size, connection, out),
            InputOp::Down { .. }
            | InputOp::Move { .. }
            | InputOp::Wheel { .. }
            | InputOp::Key(_)
            | InputOp::Text(_)
            | InputOp::System(_) => {}
        }
    }

    /// A connection ended: its fingers and keys go up.
    pub fn leave(&mut self, now: Instant, connection: ConnectionId, out: &mut Vec<ControlMsg>) {
        if let Some(size) = self.size {
            self.fingers.lift_connection(now, size, connection, out);
        }
        self.typing.leave(now, connection, out);
    }

    /// The lease is over: everything goes up, and what waits is forgotten.
    pub fn cut(&mut self, now: Instant, out: &mut Vec<ControlMsg>) {
        if let Some(size) = self.size {
            self.fingers.lift_all(now, size, out);
        }
        self.typing.cut(now, out);
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
