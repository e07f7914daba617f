//! The `input` channel: touch and wheel as state, on a channel that loses and reorders.
//!
//! Every touch packet holds the whole truth: all pointers that are down with their last moves, and
//! every edge (press or lift) that the gateway has not acknowledged. So one packet that arrives
//! repairs whatever was lost before it, and nothing is ever retransmitted late.
//!
//! ```text
//! touch   01 | seq u32 | t_ms u32 | generation u16
//!            | n ≤ 10 u8 | n × { id u8 | x u16 | y u16 | pressure u16 | m ≤ 4 u8 | m × { age_ms u16 | x u16 | y u16 } }
//!            | n ≤ 20 u8 | n × { n u32 | kind u8 | id u8 | generation u16 | x u16 | y u16 | age_ms u16 }
//! wheel   02 | seq u32 | t_ms u32 | generation u16 | x u16 | y u16 | total_h i32 | total_v i32
//! ack     81 | seq u32 | edge u32 | t_ms u32 | held_us u32                       (gateway → viewer)
//! ```
//!
//! Little-endian; `x`, `y` are [`Fraction`]s of the picture; ages are milliseconds before `t_ms`.
//! The rules that turn packets into presses (what an old packet may do, when an edge is void) are
//! the gateway's; this file only knows bytes.

use crate::bytes::{Reader, WireError};
use crate::control::System;
use crate::units::{Fraction, Generation};

/// Most pointers that may be down at once: scrcpy's server ignores the eleventh.
pub const POINTERS_MAX: usize = 10;
/// Most timed moves that one packet carries per pointer, enough for a fling to keep its speed.
pub const MOVES_MAX: usize = 4;
/// Most unacknowledged edges in one packet: ten fingers down and up.
pub const EDGES_MAX: usize = 20;

const TOUCH: u8 = 0x01;
const WHEEL: u8 = 0x02;
const ACK: u8 = 0x81;

/// One message from the viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The state of all pointers.
    Touch(Touch),
    /// The state of the wheel.
    Wheel(Wheel),
}

/// All pointers that are down, and the edges that are not yet acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Touch {
    /// Rises with every packet of this channel.
    pub seq: u32,
    /// The viewer's clock, milliseconds since its page started.
    pub t_ms: u32,
    /// The picture that the person saw.
    pub generation: Generation,
    /// Pointers that are down, at most [`POINTERS_MAX`], each id once.
    pub pointers: Vec<Pointer>,
    /// Edges in the order of their numbers, at most [`EDGES_MAX`].
    pub edges: Vec<Edge>,
}

/// One pointer that is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// Names the pointer while it is down; may be used again afterwards.
    pub id: u8,
    /// Where it is now.
    pub x: Fraction,
    /// Where it is now.
    pub y: Fraction,
    /// 0 to 65 535 = full.
    pub pressure: u16,
    /// Where it was before, oldest first, at most [`MOVES_MAX`].
    pub moves: Vec<Move>,
}

/// One earlier position of a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Milliseconds before the packet's `t_ms`.
    pub age_ms: u16,
    /// Where the pointer was.
    pub x: Fraction,
    /// Where the pointer was.
    pub y: Fraction,
}

/// A press or a lift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Counts the edges of a connection, from 1, without gaps.
    pub n: u32,
    /// Press or lift.
    pub kind: EdgeKind,
    /// The pointer.
    pub id: u8,
    /// The picture that the person saw at this edge.
    pub generation: Generation,
    /// Where it happened.
    pub x: Fraction,
    /// Where it happened.
    pub y: Fraction,
    /// Milliseconds before the packet's `t_ms`.
    pub age_ms: u16,
}

/// What happened to a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeKind {
    /// The pointer touched the screen.
    Down,
    /// The pointer left the screen.
    Up,
}

/// Running totals of the wheel: the difference to the last applied total is what to scroll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wheel {
    /// Shared with touch packets.
    pub seq: u32,
    /// The viewer's clock, milliseconds since its page started.
    pub t_ms: u32,
    /// The picture that the person saw.
    pub generation: Generation,
    /// Where the mouse is.
    pub x: Fraction,
    /// Where the mouse is.
    pub y: Fraction,
    /// 1/120 notch since the connection began, positive to the right; wraps.
    pub total_h: i32,
    /// 1/120 notch since the connection began, positive upwards; wraps.
    pub total_v: i32,
}

/// The gateway's answer: what it has applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The newest packet that was applied.
    pub seq: u32,
    /// Every edge up to this number is applied or void; the viewer forgets them.
    pub edge: u32,
    /// `t_ms` of the packet `seq`, so that the viewer can tell its round trip.
    pub t_ms: u32,
    /// Microseconds between the packet's arrival and this answer.
    pub held_us: u32,
}

/// What a person did, after loss and reordering are repaired: what the gateway tells the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputOp {
    /// A pointer touched the screen.
    Down {
        /// The pointer.
        pointer: u8,
        /// Where.
        x: Fraction,
        /// Where.
        y: Fraction,
        /// 0 to 65 535 = full.
        pressure: u16,
        /// The picture that it was aimed at.
        generation: Generation,
    },
    /// A pointer that is down moved.
    Move {
        /// The pointer.
        pointer: u8,
        /// Where to.
        x: Fraction,
        /// Where to.
        y: Fraction,
        /// 0 to 65 535 = full.
        pressure: u16,
        /// The picture that it was aimed at.
        generation: Generation,
    },
    /// A pointer left the screen.
    Up {
        /// The pointer.
        pointer: u8,
        /// Where.
        x: Fraction,
        /// Where.
        y: Fraction,
    },
    /// Every pointer of this connection leaves the screen where it is, and every key that it holds goes up.
    LiftAll,
    /// The wheel turned.
    Wheel {
        /// Where the mouse is.
        x: Fraction,
        /// Where the mouse is.
        y: Fraction,
        /// 1/120 notch, positive to the right.
        dh: i32,
        /// 1/120 notch, positive upwards.
        dv: i32,
        /// The picture that it was aimed at.
        generation: Generation,
    },
    /// A key went down or up.
    Key(crate::control::Key),
    /// Text was typed or pasted.
    Text(String),
    /// A system button was pressed.
    System(System),
}

impl Message {
    /// Reads one message of the viewer.
    ///
    /// # Errors
    /// Any [`WireError`]: the message is refused whole.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader(bytes);
        let message = match reader.u8()? {
            TOUCH => Self::Touch(Touch::read(&mut reader)?),
            WHEEL => Self::Wheel(Wheel::read(&mut reader)?),
            other => return Err(WireError::UnknownType(other)),
        };
        reader.finish()?;
        Ok(message)
    }

    /// Appends the message to `out`. What is above a limit is left out: pointers and edges past
    /// the first [`POINTERS_MAX`] and [`EDGES_MAX`], moves past [`MOVES_MAX`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Touch(touch) => touch.write(out),
            Self::Wheel(wheel) => wheel.write(out),
        }
    }
}

impl Touch {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let (seq, t_ms) = (reader.u32()?, reader.u32()?);
        let generation = Generation(reader.u16()?);
        let n = reader.count(POINTERS_MAX, "pointers")?;
        let mut pointers: Vec<Pointer> = Vec::with_capacity(n);
        for _ in 0..n {
            let pointer = Pointer::read(reader)?;
            if pointers.iter().any(|seen| seen.id == pointer.id) {
                return Err(WireError::BadValue("pointer id"));
            }
            pointers.push(pointer);
        }
        let n = reader.count(EDGES_MAX, "edges")?;
        let mut edges: Vec<Edge> = Vec::with_capacity(n);
        for _ in 0..n {
            let edge = Edge::read(reader)?;
            if edge.n == 0 || edges.last().is_some_and(|last| last.n >= edge.n) {
                return Err(WireError::BadValue("edge number"));
            }
            edges.push(edge);
        }
        Ok(Self {
            seq,
            t_ms,
            generation,
            pointers,
            edges,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(TOUCH);
        out.extend(self.seq.to_le_bytes());
        out.extend(self.t_ms.to_le_bytes());
        out.extend(self.generation.0.to_le_bytes());
        let pointers = &self.pointers[..self.pointers.len().min(POINTERS_MAX)];
        out.push(pointers.len() as u8);
        for pointer in pointers {
            pointer.write(out);
        }
        let edges = &self.edges[..self.edges.len().min(EDGES_MAX)];
        out.push(edges.len() as u8);
        for edge in edges {
            edge.write(out);
        }
    }
}

impl Pointer {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let id = reader.u8()?;
        let (x, y) = read_point(reader)?;
        let pressure = reader.u16()?;
        let n = reader.count(MOVES_MAX, "moves")?;
        let mut moves = Vec::with_capacity(n);
        for _ in 0..n {
            let age_ms = reader.u16()?;
            let (x, y) = read_point(reader)?;
            moves.push(Move { age_ms, x, y });
        }
        Ok(Self {
            id,
            x,
            y,
            pressure,
            moves,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.id);
        write_point(out, self.x, self.y);
        out.extend(self.pressure.to_le_bytes());
        let moves = &self.moves[..self.moves.len().min(MOVES_MAX)];
        out.push(moves.len() as u8);
        for step in moves {
            out.extend(step.age_ms.to_le_bytes());
            write_point(out, step.x, step.y);
        }
    }
}

impl Edge {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let n = reader.u32()?;
        let kind = match reader.u8()? {
            1 => EdgeKind::Down,
            2 => EdgeKind::Up,
            _ => return Err(WireError::BadValue("edge kind")),
        };
        let id = reader.u8()?;
        let generation = Generation(reader.u16()?);
        let (x, y) = read_point(reader)?;
        let age_ms = reader.u16()?;
        Ok(Self {
            n,
            kind,
            id,
            generation,
            x,
            y,
            age_ms,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.n.to_le_bytes());
        out.push(match self.kind {
            EdgeKind::Down => 1,
            EdgeKind::Up => 2,
        });
        out.push(self.id);
        out.extend(self.generation.0.to_le_bytes());
        write_point(out, self.x, self.y);
        out.extend(self.age_ms.to_le_bytes());
    }
}

impl Wheel {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let (seq, t_ms) = (reader.u32()?, reader.u32()?);
        let generation = Generation(reader.u16()?);
        let (x, y) = read_point(reader)?;
        Ok(Self {
            seq,
            t_ms,
            generation,
            x,
            y,
            total_h: reader.i32()?,
            total_v: reader.i32()?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(WHEEL);
        out.extend(self.seq.to_le_bytes());
        out.extend(self.t_ms.to_le_bytes());
        out.extend(self.generation.0.to_le_bytes());
        write_point(out, self.x, self.y);
        out.extend(self.total_h.to_le_bytes());
        out.extend(self.total_v.to_le_bytes());
    }
}

impl Ack {
    /// Reads the gateway's answer.
    ///
    /// # Errors
    /// Any [`WireError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader(bytes);
        match reader.u8()? {
            ACK => {}
            other => return Err(WireError::UnknownType(other)),
        }
        let ack = Self {
            seq: reader.u32()?,
            edge: reader.u32()?,
            t_ms: reader.u32()?,
            held_us: reader.u32()?,
        };
        reader.finish()?;
        Ok(ack)
    }

    /// Appends the answer to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(ACK);
        for field in [self.seq, self.edge, self.t_ms, self.held_us] {
            out.extend(field.to_le_bytes());
        }
    }
}

fn read_point(reader: &mut Reader<'_>) -> Result<(Fraction, Fraction), WireError> {
    Ok((Fraction(reader.u16()?), Fraction(reader.u16()?)))
}

fn write_point(out: &mut Vec<u8>, x: Fraction, y: Fraction) {
    out.extend(x.0.to_le_bytes());
    out.extend(y.0.to_le_bytes());
}
