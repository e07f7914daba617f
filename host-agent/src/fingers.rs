//! The fingers on one device: which pointers are down, under which of the server's numbers, and where.
//! Pure.
//!
//! ```text
//!   (connection, pointer)      ─ down ─► finger { id, x, y } ─ move* ─► ─ up ─► forgotten
//!   the viewer's own numbers             the server's numbers, each used once
//! ```
//!
//! Why a table at all: scrcpy's server adds a pointer for *any* message with a number that it does not know,
//! also for a late MOVE, and only UP takes one away (CANCEL does not). It drops a message whose picture size
//! is not exactly its own, before it changes any pointer. So every message passes here: no MOVE or UP without
//! its DOWN, always an UP at the end, all with the size of the moment. The server takes up a new size a little
//! before it tells it, and drops an UP of the old size in between: so when the size changes, every finger that
//! is down, or was until a moment ago, is lifted with the new size. (An UP too many does nothing on Android.) For the same
//! reason no number is used twice: were an UP lost and the next finger's DOWN with it, the UP with the new size would end
//! the first gesture at the second one's place.
//!
//! It does not know generations, epochs or text, nor which connection may touch.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::{ConnectionId, Fraction};
use scrcpy::ControlMsg;
use scrcpy::control::{POINTERS_MAX, PointerId, Position, Pressure, Touch, TouchAction};

/// The picture's size in pixels, as the server tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureSize {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
}

impl PictureSize {
    /// The pixel under a place, as the server wants it.
    #[must_use]
    pub fn position(self, place: Place) -> Position {
        Position {
            x: place.x.pixel(self.width).into(),
            y: place.y.pixel(self.height).into(),
            width: self.width,
            height: self.height,
        }
    }
}

/// A place in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From the left edge.
    pub x: Fraction,
    /// From the top edge.
    pub y: Fraction,
}

/// One person's pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Whose.
    pub connection: ConnectionId,
    /// The viewer's number for it.
    pub pointer: u8,
}

#[derive(Debug, Clone, Copy)]
struct Finger {
    owner: Owner,
    id: PointerId,
    place: Place,
}

/// How long an UP may have been lost without our knowing: longer than a size can be on its way to us, which is as long as an
/// encoder may take to start over after a rotation, or hangs.
pub const LIFT_MEMORY: Duration = Duration::from_secs(10);
/// Lifts that are remembered: more than anybody makes in [`LIFT_MEMORY`]. At the limit the oldest goes, which the server
/// most likely took.
const LIFTED_MAX: usize = 64;

/// A finger that was lifted a moment ago.
#[derive(Debug, Clone, Copy)]
struct Lifted {
    id: PointerId,
    place: Place,
    at: Instant,
}

/// The fingers that are down, at most [`POINTERS_MAX`]: the server ignores the eleventh, and so does this.
#[derive(Debug, Default)]
pub struct Fingers {
    down: Vec<Finger>,
    /// The oldest first, at most [`LIFTED_MAX`].
    lifted: VecDeque<Lifted>,
    /// The next finger's number.
    next: i64,
}

impl Fingers {
    /// Presses. A pointer that is down already is lifted first: its UP was lost, this is a new gesture.
    pub fn press(
        &mut self,
        now: Instant,
        size: PictureSize,
        owner: Owner,
        place: Place,
        pressure: u16,
        out: &mut Vec<ControlMsg>,
    ) {
        self.lift_where(now, size, |finger| finger.owner == owner, out);
        if self.down.len() == POINTERS_MAX {
            return;
        }
        let id = PointerId(self.next);
        self.next += 1;
        self.down.push(Finger { owner, id, place });
        out.push(touch(TouchAction::DOWN, id, size.position(place), felt(pressure)));
    }

    /// Moves a finger that is down; nothing otherwise.
    pub fn drag(
        &mut self,
        size: PictureSize,
        owner: Owner,
        place: Place,
        pressure: u16,
        out: &mut Vec<ControlMsg>,
    ) {
        if let Some(finger) = self.down.iter_mut().find(|finger| finger.owner == owner) {
            finger.place = place;
            out.push(touch(
                TouchAction::MOVE,
                finger.id,
                size.position(place),
                felt(pressure),
            ));
        }
    }

    /// Lifts a finger that is down, at `place`; nothing otherwise.
    pub fn lift(
        &mut self,
        now: Instant,
        size: PictureSize,
        owner: Owner,
        place: Place,
        out: &mut Vec<ControlMsg>,
    ) {
        if let Some(finger) = self.down.iter_mut().find(|finger| finger.owner == owner) {
            finger.place = place;
            self.lift_where(now, size, |finger| finger.owner == owner, out);
        }
    }

    /// Lifts every finger of a connection where it is.
    pub fn lift_connection(
        &mut self,
        now: Instant,
        size: PictureSize,
        connection: ConnectionId,
        out: &mut Vec<ControlMsg>,
    ) {
        self.lift_where(now, size, |finger| finger.owner.connection == connection, out);
    }

    /// Lifts every finger where it is.
    pub fn lift_all(&mut self, now: Instant, size: PictureSize, out: &mut Vec<ControlMsg>) {
        self.lift_where(now, size, |_| true, out);
    }

    /// The picture has another size now: lifts every finger with it, also those of the last [`LIFT_MEMORY`]. Their places
    /// mean other pixels now, inside the picture. These lifts are remembered as any: the device may have turned again.
    pub fn resized(&mut self, now: Instant, size: PictureSize, out: &mut Vec<ControlMsg>) {
        self.lifted
            .retain(|lifted| now.duration_since(lifted.at) < LIFT_MEMORY);
        for lifted in &mut self.lifted {
            lifted.at = now;
            let position = size.position(lifted.place);
            out.push(touch(TouchAction::UP, lifted.id, position, Pressure::NONE));
        }
        self.lift_all(now, size, out);
    }

    /// The server's numbers of the fingers that are down.
    pub fn down(&self) -> impl Iterator<Item = PointerId> + '_ {
        self.down.iter().map(|finger| finger.id)
    }

    fn lift_where(
        &mut self,
        now: Instant,
        size: PictureSize,
        chosen: impl Fn(&Finger) -> bool,
        out: &mut Vec<ControlMsg>,
    ) {
        let Self { down, lifted, .. } = self;
        down.retain(|&finger| {
            let Finger { id, place, .. } = finger;
            if !chosen(&finger) {
                return true;
            }
            if lifted.len() == LIFTED_MAX {
                lifted.pop_front();
            }
            lifted.push_back(Lifted { id, place, at: now });
            out.push(touch(TouchAction::UP, id, size.position(place), Pressure::NONE));
            false
        });
    }
}

/// A finger that is down presses: screens that do not measure say 0, which Android takes for a hover.
fn felt(pressure: u16) -> Pressure {
    if pressure == 0 {
        Pressure::FULL
    } else {
        Pressure(pressure)
    }
}

fn touch(action: TouchAction, pointer: PointerId, position: Position, pressure: Pressure) -> ControlMsg {
    ControlMsg::Touch(Touch {
        action,
        pointer,
        position,
        pressure,
        action_button: 0,
        buttons: 0,
    })
}
