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
mod tests {
    use protocol::input::Move;

    use super::*;

    const GENERATION: Generation = Generation(7);

    struct Desk {
        hand: Hand,
        start: Instant,
        generation: Generation,
        allowed: bool,
    }

    impl Desk {
        fn new() -> Self {
            Self {
                hand: Hand::default(),
                start: Instant::now(),
                generation: GENERATION,
                allowed: true,
            }
        }

        /// A packet that arrives `at_ms` after the start.
        fn touch(&mut self, at_ms: u64, touch: &Touch) -> (Vec<InputOp>, Ack) {
            let mut ops = Vec::new();
            let arrival = self.arrival(at_ms);
            let ack = self.hand.touch(touch, arrival, &mut ops);
            (ops, ack)
        }

        fn wheel(&mut self, at_ms: u64, seq: u32, total_v: i32) -> Vec<InputOp> {
            let (x, y) = (Fraction(1), Fraction(2));
            let wheel = Wheel {
                seq,
                t_ms: at_ms as u32,
                generation: GENERATION,
                x,
                y,
                total_h: 0,
                total_v,
            };
            let mut ops = Vec::new();
            let arrival = self.arrival(at_ms);
            self.hand.wheel(&wheel, arrival, &mut ops);
            ops
        }

        fn arrival(&self, at_ms: u64) -> Arrival {
            Arrival {
                at: self.start + Duration::from_millis(at_ms),
                at_us: at_ms * 1_000,
                generation: Some(self.generation),
                allowed: self.allowed,
            }
        }
    }

    fn edge(n: u32, kind: EdgeKind, id: u8, age_ms: u16) -> Edge {
        Edge {
            n,
            kind,
            id,
            generation: GENERATION,
            x: Fraction(100),
            y: Fraction(200),
            age_ms,
        }
    }

    fn at(id: u8, x: u16) -> Pointer {
        Pointer {
            id,
            x: Fraction(x),
            y: Fraction(200),
            pressure: 9,
            moves: Vec::new(),
        }
    }

    fn packet(seq: u32, t_ms: u32, pointers: Vec<Pointer>, edges: Vec<Edge>) -> Touch {
        Touch {
            seq,
            t_ms,
            generation: GENERATION,
            pointers,
            edges,
        }
    }

    fn names(ops: &[InputOp]) -> Vec<String> {
        ops.iter()
            .map(|op| match op {
                InputOp::Down { pointer, .. } => format!("down {pointer}"),
                InputOp::Move { pointer, x, .. } => format!("move {pointer} {}", x.0),
                InputOp::Up { pointer, .. } => format!("up {pointer}"),
                InputOp::LiftAll => "lift all".into(),
                InputOp::Wheel { dv, .. } => format!("wheel {dv}"),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_tap_in_one_packet_is_applied_once_however_often_it_comes() {
        let mut desk = Desk::new();
        let edges = vec![edge(1, EdgeKind::Down, 0, 80), edge(2, EdgeKind::Up, 0, 10)];
        let (ops, ack) = desk.touch(0, &packet(1, 0, vec![], edges.clone()));
        assert_eq!(names(&ops), ["down 0", "up 0"]);
        assert_eq!((ack.seq, ack.edge), (1, 2));
        assert!(desk.touch(50, &packet(2, 50, vec![], edges)).0.is_empty());
    }

    #[test]
    fn an_old_packet_brings_only_edges_that_are_unseen() {
        let mut desk = Desk::new();
        desk.touch(
            0,
            &packet(2, 10, vec![at(0, 50)], vec![edge(1, EdgeKind::Down, 0, 5)]),
        );
        let (ops, ack) = desk.touch(
            5,
            &packet(1, 5, vec![at(0, 1)], vec![edge(1, EdgeKind::Down, 0, 0)]),
        );
        assert!(ops.is_empty());
        assert_eq!(ack.seq, 2);
        let (ops, _) = desk.touch(6, &packet(1, 6, vec![], vec![edge(2, EdgeKind::Up, 0, 0)]));
        assert_eq!(names(&ops), ["up 0"]);
    }

    #[test]
    fn moves_of_lost_packets_come_with_the_next_one_and_each_once() {
        let mut desk = Desk::new();
        desk.touch(
            0,
            &packet(1, 0, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 0)]),
        );
        let moves = |ages: &[u16]| {
            let step = |&age_ms: &u16| Move {
                age_ms,
                x: Fraction(1000 - age_ms),
                y: Fraction(200),
            };
            ages.iter().map(step).collect()
        };
        let pointer = Pointer {
            moves: moves(&[24, 16, 8]),
            ..at(0, 1000)
        };
        assert_eq!(
            names(&desk.touch(32, &packet(3, 32, vec![pointer], vec![])).0),
            ["move 0 976", "move 0 984", "move 0 992", "move 0 1000"]
        );
        let again = Pointer {
            moves: moves(&[24, 16, 8]),
            ..at(0, 1008)
        };
        assert_eq!(
            names(&desk.touch(40, &packet(4, 40, vec![again], vec![])).0),
            ["move 0 1008"]
        );
    }

    #[test]
    fn a_late_press_is_void_and_so_is_its_lift() {
        let mut desk = Desk::new();
        desk.touch(0, &packet(1, 0, vec![], vec![]));
        let (ops, ack) = desk.touch(
            600,
            &packet(2, 600, vec![at(0, 1)], vec![edge(1, EdgeKind::Down, 0, 501)]),
        );
        assert!(ops.is_empty());
        assert_eq!(ack.edge, 1);
        let (ops, ack) = desk.touch(620, &packet(3, 620, vec![], vec![edge(2, EdgeKind::Up, 0, 0)]));
        assert!(ops.is_empty());
        assert_eq!((ack.edge, desk.hand.counts.void), (2, 1));
    }

    #[test]
    fn the_time_that_a_packet_was_under_way_counts() {
        let mut desk = Desk::new();
        desk.touch(10, &packet(1, 0, vec![], vec![]));
        let tap = vec![edge(1, EdgeKind::Down, 0, 0)];
        assert!(
            desk.touch(1_000, &packet(2, 480, vec![at(0, 1)], tap))
                .0
                .is_empty()
        );
    }

    #[test]
    fn another_pictures_press_is_void_but_its_lift_is_not() {
        let mut desk = Desk::new();
        desk.touch(
            0,
            &packet(1, 0, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 0)]),
        );
        desk.generation = GENERATION.next();
        let (ops, _) = desk.touch(
            10,
            &packet(
                2,
                10,
                vec![at(0, 500), at(1, 5)],
                vec![edge(2, EdgeKind::Down, 1, 0)],
            ),
        );
        assert!(
            ops.is_empty(),
            "an older generation neither presses nor moves: {ops:?}"
        );
        let (ops, _) = desk.touch(
            20,
            &packet(3, 20, vec![at(1, 5)], vec![edge(3, EdgeKind::Up, 0, 0)]),
        );
        assert_eq!(names(&ops), ["up 0"]);
    }

    #[test]
    fn a_pointer_that_the_newest_packet_does_not_know_is_lifted() {
        let mut desk = Desk::new();
        let edges = vec![edge(1, EdgeKind::Down, 0, 0), edge(2, EdgeKind::Down, 1, 0)];
        desk.touch(0, &packet(1, 0, vec![at(0, 100), at(1, 100)], edges));
        assert_eq!(
            names(&desk.touch(10, &packet(2, 10, vec![at(1, 100)], vec![])).0),
            ["up 0"]
        );
    }

    #[test]
    fn a_silent_pointer_is_lifted_and_stays_up_until_it_presses_again() {
        let mut desk = Desk::new();
        desk.touch(
            0,
            &packet(1, 0, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 0)]),
        );
        assert_eq!(desk.hand.timeout(), Some(desk.start + POINTER_SILENT_AFTER));
        let mut ops = Vec::new();
        desk.hand.lift_silent(
            desk.start + POINTER_SILENT_AFTER - Duration::from_millis(1),
            &mut ops,
        );
        assert!(ops.is_empty());
        desk.hand.lift_silent(desk.start + POINTER_SILENT_AFTER, &mut ops);
        assert_eq!(names(&ops), ["up 0"]);
        assert!(
            desk.touch(400, &packet(2, 400, vec![at(0, 300)], vec![]))
                .0
                .is_empty()
        );
        assert!(
            desk.touch(410, &packet(3, 410, vec![], vec![edge(2, EdgeKind::Up, 0, 0)]))
                .0
                .is_empty()
        );
        let press = vec![edge(3, EdgeKind::Down, 0, 0)];
        assert_eq!(
            names(&desk.touch(420, &packet(4, 420, vec![at(0, 100)], press)).0),
            ["down 0"]
        );
    }

    #[test]
    fn a_press_behind_a_closed_gate_is_void() {
        let mut desk = Desk::new();
        desk.allowed = false;
        assert!(
            desk.touch(
                0,
                &packet(1, 0, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 0)])
            )
            .0
            .is_empty()
        );
        desk.allowed = true;
        assert!(
            desk.touch(
                50,
                &packet(2, 50, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 50)])
            )
            .0
            .is_empty()
        );
    }

    #[test]
    fn a_pointer_pressed_twice_is_lifted_in_between() {
        let mut desk = Desk::new();
        desk.touch(
            0,
            &packet(1, 0, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 0)]),
        );
        let (ops, _) = desk.touch(
            50,
            &packet(2, 50, vec![at(0, 100)], vec![edge(3, EdgeKind::Down, 0, 0)]),
        );
        assert_eq!(names(&ops), ["up 0", "down 0"]);
    }

    #[test]
    fn the_wheel_scrolls_what_is_new_and_never_twice() {
        let mut desk = Desk::new();
        assert_eq!(names(&desk.wheel(0, 1, 120)), ["wheel 120"]);
        assert!(desk.wheel(10, 2, 120).is_empty());
        assert_eq!(names(&desk.wheel(20, 4, 360)), ["wheel 240"]);
        assert!(desk.wheel(30, 3, 240).is_empty());
        assert_eq!(
            names(&desk.wheel(40, 5, i32::MAX)),
            [format!("wheel {WHEEL_STEP_MAX}")]
        );
    }

    #[test]
    fn everything_is_lifted_at_once_and_only_when_something_is_down() {
        let (mut desk, mut ops) = (Desk::new(), Vec::new());
        desk.hand.lift_all(&mut ops);
        assert!(ops.is_empty());
        desk.touch(
            0,
            &packet(1, 0, vec![at(0, 100)], vec![edge(1, EdgeKind::Down, 0, 0)]),
        );
        desk.hand.lift_all(&mut ops);
        assert_eq!(ops, [InputOp::LiftAll]);
        assert!(!desk.hand.is_down());
    }
}
