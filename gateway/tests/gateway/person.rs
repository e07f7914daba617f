//! A person's hand as a viewer sends it: state with every change, again every 50 ms, edges until acknowledged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gateway::limits::EDGE_VOID_AFTER;
use protocol::input::{Ack, EDGES_MAX, Edge, EdgeKind, InputOp, MOVES_MAX, Move, Pointer, Touch};
use protocol::{Fraction, Generation};

const REPEAT: Duration = Duration::from_millis(50);

pub struct Person {
    pub generation: Generation,
    start: Instant,
    seq: u32,
    edges_made: u32,
    acknowledged: u32,
    edges: Vec<(Edge, Instant)>,
    down: BTreeMap<u8, Finger>,
    sent: Option<Instant>,
}

struct Finger {
    x: u16,
    y: u16,
    moves: Vec<(Instant, u16, u16)>,
}

impl Person {
    pub fn new(start: Instant) -> Self {
        let (edges, down) = (Vec::new(), BTreeMap::new());
        Self {
            generation: Generation(1),
            start,
            seq: 0,
            edges_made: 0,
            acknowledged: 0,
            edges,
            down,
            sent: None,
        }
    }

    pub fn press(&mut self, id: u8, x: u16, y: u16, now: Instant) {
        self.down.insert(
            id,
            Finger {
                x,
                y,
                moves: Vec::new(),
            },
        );
        self.edge(EdgeKind::Down, id, x, y, now);
    }

    pub fn drag(&mut self, id: u8, x: u16, y: u16, now: Instant) {
        let finger = self.down.get_mut(&id).unwrap();
        finger.moves.push((now, finger.x, finger.y));
        let extra = finger.moves.len().saturating_sub(MOVES_MAX);
        finger.moves.drain(..extra);
        (finger.x, finger.y) = (x, y);
    }

    pub fn lift(&mut self, id: u8, now: Instant) {
        let finger = self.down.remove(&id).unwrap();
        self.edge(EdgeKind::Up, id, finger.x, finger.y, now);
    }

    pub fn acknowledge(&mut self, ack: &Ack) {
        self.acknowledged = self.acknowledged.max(ack.edge);
    }

    /// Whether a packet must be repeated now.
    pub fn due(&self, now: Instant) -> bool {
        let restless = !self.down.is_empty() || self.edges.iter().any(|(edge, _)| edge.n > self.acknowledged);
        restless && self.sent.is_none_or(|sent| now - sent >= REPEAT)
    }

    pub fn packet(&mut self, now: Instant) -> Touch {
        let acknowledged = self.acknowledged;
        self.edges
            .retain(|(edge, at)| edge.n > acknowledged && now - *at <= EDGE_VOID_AFTER);
        self.seq += 1;
        self.sent = Some(now);
        let age = |at: Instant| (now - at).as_millis() as u16;
        let pointers = self.down.iter().map(|(&id, finger)| Pointer {
            id,
            x: Fraction(finger.x),
            y: Fraction(finger.y),
            pressure: 30_000,
            moves: finger
                .moves
                .iter()
                .map(|&(at, x, y)| Move {
                    age_ms: age(at),
                    x: Fraction(x),
                    y: Fraction(y),
                })
                .collect(),
        });
        let edges = self.edges.iter().take(EDGES_MAX).map(|(edge, at)| Edge {
            age_ms: age(*at),
            ..*edge
        });
        Touch {
            seq: self.seq,
            t_ms: (now - self.start).as_millis() as u32,
            generation: self.generation,
            pointers: pointers.collect(),
            edges: edges.collect(),
        }
    }

    fn edge(&mut self, kind: EdgeKind, id: u8, x: u16, y: u16, now: Instant) {
        self.edges_made += 1;
        let (x, y) = (Fraction(x), Fraction(y));
        let edge = Edge {
            n: self.edges_made,
            kind,
            id,
            generation: self.generation,
            x,
            y,
            age_ms: 0,
        };
        self.edges.push((edge, now));
    }
}

/// What a device makes of it.
#[derive(Default)]
pub struct Screen {
    pub down: BTreeMap<u8, (u16, u16)>,
    /// Where each press began, in order.
    pub presses: Vec<(u16, u16)>,
    pub lifts: usize,
}

impl Screen {
    pub fn apply(&mut self, op: &InputOp) {
        match *op {
            InputOp::Down { pointer, x, y, .. } => {
                assert!(
                    self.down.insert(pointer, (x.0, y.0)).is_none(),
                    "pointer {pointer} pressed twice"
                );
                self.presses.push((x.0, y.0));
            }
            InputOp::Move { pointer, x, y, .. } => {
                let place = self.down.get_mut(&pointer).expect("a pointer that is up moved");
                *place = (x.0, y.0);
            }
            InputOp::Up { pointer, .. } => {
                assert!(
                    self.down.remove(&pointer).is_some(),
                    "pointer {pointer} lifted twice"
                );
                self.lifts += 1;
            }
            InputOp::LiftAll => self.down.clear(),
            _ => {}
        }
    }
}
