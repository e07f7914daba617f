//! One hand: from packets that were lost, late or out of order to what the device is told.
//!
//! A packet holds the whole truth about the pointers, so any one that arrives repairs the ones that
//! did not. The rules:
//!
//! * An edge is applied once, in the order of its number, whatever the order of the packets.
//! * A press that is older than [`EDGE_VOID_AFTER`], was aimed at another picture, or came while the
//!   gate was closed, is void; its pointer stays up until the next press, so its lift is void too. A
//!   lift is never void while its pointer is down.
//! * A pointer that the newest packet does not know is lifted. One that says nothing for
//!   [`POINTER_SILENT_AFTER`] is lifted, and what it says later is void until it presses again.
//! * Moves come from the newest packet only, each once, and never from an older picture.
//!
//! ```text
//!          press, in time and on this picture
//!   up ──────────────────────────────────────► down ──► moves
//!    ▲                                           │
//!    └── lift │ unknown to the newest packet │ silent │ gate closed │ gone
//! ```
//!
//! So the pointers that are down on the device are always some that are down in the hand, and all of
//! them once each has been pressed anew. Ages are of the viewer's clock; how long the packet itself
//! was under way comes on top (`clock`). It knows no channels and no device.

use std::time::{Duration, Instant};

use protocol::input::{Ack, Edge, EdgeKind, InputOp, POINTERS_MAX, Pointer, Touch, Wheel};
use protocol::{Fraction, Generation};

use crate::clock::Offset;
use crate::limits::{EDGE_VOID_AFTER, POINTER_SILENT_AFTER, WHEEL_STEP_MAX};

/// The hand of one connection.
#[derive(Debug, Default)]
pub struct Hand {
    seq: u32,
    edge: u32,
    totals: (i32, i32),
    down: Vec<Down>,
    clock: Offset,
    /// Presses that were void, and pointers that were lifted for their silence, since the start.
    pub counts: Counts,
}

/// What was refused or mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Presses that came too late or for another picture.
    pub void: u64,
    /// Pointers that were lifted because the viewer was silent.
    pub silent: u64,
}

/// A pointer that is down on the device.
#[derive(Debug)]
struct Down {
    id: u8,
    x: Fraction,
    y: Fraction,
    pressure: u16,
    /// The viewer's time of the newest move that was applied.
    moved_ms: u32,
    heard: Instant,
}

/// What surrounds a packet.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When it arrived.
    pub at: Instant,
    /// The same on the gateway's clock, microseconds.
    pub at_us: u64,
    /// The picture that is being sent; `None` before there is one.
    pub generation: Option<Generation>,
    /// Whether this hand may touch the device now.
    pub allowed: bool,
}

impl Hand {
    /// Applies a touch packet.
    pub fn touch(&mut self, touch: &Touch, arrival: Arrival, ops: &mut Vec<InputOp>) -> Ack {
        let late = self.late(touch.t_ms, arrival);
        for edge in &touch.edges {
            if edge.n > self.edge {
                self.edge = edge.n;
                self.apply_edge(edge, touch, late, arrival, ops);
            }
        }
        if touch.seq > self.seq {
            self.seq = touch.seq;
            self.lift_unknown(&touch.pointers, ops);
            self.follow(touch, arrival, ops);
        }
        self.ack(touch.t_ms)
    }

    /// Applies a wheel packet.
    pub fn wheel(&mut self, wheel: &Wheel, arrival: Arrival, ops: &mut Vec<InputOp>) -> Ack {
        let late = self.late(wheel.t_ms, arrival);
        if wheel.seq > self.seq {
            self.seq = wheel.seq;
            let (h, v) = (
                wheel.total_h.wrapping_sub(self.totals.0),
                wheel.total_v.wrapping_sub(self.totals.1),
            );
            // Totals advance also when nothing is scrolled: what was meant for another picture, or long
            // ago, must not come later either.
            self.totals = (wheel.total_h, wheel.total_v);
            let (dh, dv) = (
                h.clamp(-WHEEL_STEP_MAX, WHEEL_STEP_MAX),
                v.clamp(-WHEEL_STEP_MAX, WHEEL_STEP_MAX),
            );
            let fresh = late <= EDGE_VOID_AFTER && arrival.generation == Some(wheel.generation);
            if arrival.allowed && fresh && (dh, dv) != (0, 0) {
                ops.push(InputOp::Wheel {
                    x: wheel.x,
                    y: wheel.y,
                    dh,
                    dv,
                    generation: wheel.generation,
                });
            }
        }
        self.ack(wheel.t_ms)
    }

    /// Lifts the pointers that have been silent for too long.
    pub fn lift_silent(&mut self, now: Instant, ops: &mut Vec<InputOp>) {
        let before = self.down.len();
        self.lift_where(
            |down| now.saturating_duration_since(down.heard) >= POINTER_SILENT_AFTER,
            ops,
        );
        self.counts.silent += (before - self.down.len()) as u64;
    }

    /// Lifts everything: the gate closes or the connection ends.
    pub fn lift_all(&mut self, ops: &mut Vec<InputOp>) {
        if !self.down.is_empty() {
            self.down.clear();
            ops.push(InputOp::LiftAll);
        }
    }

    /// Forgets what is down without saying so: the events were lost and are followed by a lift.
    pub fn forget(&mut self) {
        self.down.clear();
    }

    /// Whether a pointer is down on the device.
    #[must_use]
    pub fn is_down(&self) -> bool {
        !self.down.is_empty()
    }

    /// When to call [`Self::lift_silent`].
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.down
            .iter()
            .map(|down| down.heard + POINTER_SILENT_AFTER)
            .min()
    }

    fn late(&mut self, t_ms: u32, arrival: Arrival) -> Duration {
        self.clock
            .observe(arrival.at, arrival.at_us, u64::from(t_ms) * 1_000)
    }

    fn ack(&self, t_ms: u32) -> Ack {
        Ack {
            seq: self.seq,
            edge: self.edge,
            t_ms,
            held_us: 0,
        }
    }

    fn apply_edge(
        &mut self,
        edge: &Edge,
        touch: &Touch,
        late: Duration,
        arrival: Arrival,
        ops: &mut Vec<InputOp>,
    ) {
        if edge.kind == EdgeKind::Up {
            let place = Some((edge.x, edge.y));
            self.lift(edge.id, place, ops);
            return;
        }
        // A press of a pointer that is down: its lift was void or lost.
        self.lift(edge.id, None, ops);
        let age = late + Duration::from_millis(u64::from(edge.age_ms));
        let current = arrival.generation == Some(edge.generation);
        if !arrival.allowed || !current || age > EDGE_VOID_AFTER || self.down.len() >= POINTERS_MAX {
            self.counts.void += 1;
            return;
        }
        let pressure = touch
            .pointers
            .iter()
            .find(|pointer| pointer.id == edge.id)
            .map(|pointer| pointer.pressure);
        let pressure = pressure.unwrap_or(u16::MAX);
        let Edge {
            id, x, y, generation, ..
        } = *edge;
        let moved_ms = touch.t_ms.wrapping_sub(u32::from(edge.age_ms));
        self.down.push(Down {
            id,
            x,
            y,
            pressure,
            moved_ms,
            heard: arrival.at,
        });
        ops.push(InputOp::Down {
            pointer: id,
            x,
            y,
            pressure,
            generation,
        });
    }

    fn lift(&mut self, id: u8, place: Option<(Fraction, Fraction)>, ops: &mut Vec<InputOp>) {
        if let Some(at) = self.down.iter().position(|down| down.id == id) {
            let down = self.down.remove(at);
            let (x, y) = place.unwrap_or((down.x, down.y));
            ops.push(InputOp::Up { pointer: id, x, y });
        }
    }

    fn lift_unknown(&mut self, known: &[Pointer], ops: &mut Vec<InputOp>) {
        self.lift_where(|down| !known.iter().any(|pointer| pointer.id == down.id), ops);
    }

    fn lift_where(&mut self, mut lifted: impl FnMut(&Down) -> bool, ops: &mut Vec<InputOp>) {
        self.down.retain(|down| {
            let lift = lifted(down);
            if lift {
                ops.push(InputOp::Up {
                    pointer: down.id,
                    x: down.x,
                    y: down.y,
                });
            }
            !lift
        });
    }

    fn follow(&mut self, touch: &Touch, arrival: Arrival, ops: &mut Vec<InputOp>) {
        let current = arrival.generation == Some(touch.generation);
        for pointer in &touch.pointers {
            let Some(down) = self.down.iter_mut().find(|down| down.id == pointer.id) else {
                continue;
            };
            down.heard = arrival.at;
            if current {
                down.follow(pointer, touch, ops);
            }
        }
    }
}

impl Down {
    fn follow(&mut self, pointer: &Pointer, touch: &Touch, ops: &mut Vec<InputOp>) {
        self.pressure = pointer.pressure;
        for step in &pointer.moves {
            let at_ms = touch.t_ms.wrapping_sub(u32::from(step.age_ms));
            // Wrapping difference: moves of the last packets come again in this one.
            if at_ms.wrapping_sub(self.moved_ms) as i32 > 0 {
                self.go(step.x, step.y, at_ms, touch.generation, ops);
            }
        }
        self.go(pointer.x, pointer.y, touch.t_ms, touch.generation, ops);
    }

    fn go(&mut self, x: Fraction, y: Fraction, at_ms: u32, generation: Generation, ops: &mut Vec<InputOp>) {
        self.moved_ms = at_ms;
        if (self.x, self.y) != (x, y) {
            (self.x, self.y) = (x, y);
            ops.push(InputOp::Move {
                pointer: self.id,
                x,
                y,
                pressure: self.pressure,
                generation,
            });
        }
    }
}

#[cfg(test)]
mod tests;
