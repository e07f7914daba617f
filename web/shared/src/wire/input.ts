/**
 * The `input` channel: touch and wheel as state; twin of `signaling/protocol/src/input.rs`.
 *
 * Every touch packet holds the whole truth: all pointers that are down with their last moves, and
 * every edge that the gateway has not acknowledged. One packet that arrives repairs what was lost.
 *
 *   touch  01 | seq u32 | t_ms u32 | generation u16
 *             | n ≤ 10 u8 | n × { id u8 | x u16 | y u16 | pressure u16 | m ≤ 4 u8 | m × { age_ms u16 | x u16 | y u16 } }
 *             | n ≤ 20 u8 | n × { n u32 | kind u8 | id u8 | generation u16 | x u16 | y u16 | age_ms u16 }
 *   wheel  02 | seq u32 | t_ms u32 | generation u16 | x u16 | y u16 | total_h i32 | total_v i32
 *   ack    81 | seq u32 | edge u32 | t_ms u32 | held_us u32                      (gateway → viewer)
 *
 * Little-endian. What to send and when is `input/gesture.ts`; this file only knows bytes. Fields
 * keep the names of the golden vectors.
 */

import { Reader, WireError, Writer } from './bytes';
import { type Fraction, type Generation, fraction, generation } from './time';

/** Most pointers that may be down at once. */
export const POINTERS_MAX = 10;
/** Most timed moves that one packet carries per pointer. */
export const MOVES_MAX = 4;
/** Most unacknowledged edges in one packet: ten fingers down and up. */
export const EDGES_MAX = 20;

const TOUCH = 0x01;
const WHEEL = 0x02;
const ACK = 0x81;

const MOVE_BYTES = 6;
const POINTER_BYTES = 8 + MOVES_MAX * MOVE_BYTES;
const EDGE_BYTES = 14;
const TOUCH_BYTES_MAX = 13 + POINTERS_MAX * POINTER_BYTES + EDGES_MAX * EDGE_BYTES;
const WHEEL_BYTES = 23;
const ACK_BYTES = 17;

/** A position in the picture. */
export interface Point {
  x: Fraction;
  y: Fraction;
}

/** One earlier position of a pointer. */
export interface Move extends Point {
  /** Milliseconds before the packet's `t_ms`. */
  age_ms: number;
}

/** One pointer that is down. */
export interface Pointer extends Point {
  /** Names the pointer while it is down; may be used again afterwards. */
  id: number;
  /** 0 to 65 535 = full. */
  pressure: number;
  /** Oldest first, at most `MOVES_MAX`. */
  moves: Move[];
}

/** A press or a lift. */
export interface Edge extends Point {
  /** Counts the edges of a connection, from 1, without gaps. */
  n: number;
  kind: 'down' | 'up';
  id: number;
  /** The picture that the person saw at this edge. */
  generation: Generation;
  /** Milliseconds before the packet's `t_ms`. */
  age_ms: number;
}

/** All pointers that are down, and the edges that are not yet acknowledged. */
export interface Touch {
  type: 'touch';
  /** Rises with every packet of this channel. */
  seq: number;
  /** The page's clock, whole milliseconds, wraps at 2^32. */
  t_ms: number;
  generation: Generation;
  pointers: Pointer[];
  /** In the order of their numbers. */
  edges: Edge[];
}

/** Running totals of the wheel: the difference to the last applied total is what to scroll. */
export interface Wheel extends Point {
  type: 'wheel';
  seq: number;
  t_ms: number;
  generation: Generation;
  /** 1/120 notch since the connection began, positive to the right; wraps. */
  total_h: number;
  /** 1/120 notch since the connection began, positive upwards; wraps. */
  total_v: number;
}

/** The gateway's answer: what it has applied. */
export interface Ack {
  type: 'ack';
  /** The newest packet that was applied. */
  seq: number;
  /** Every edge up to this number is applied or void. */
  edge: number;
  /** `t_ms` of the packet `seq`. */
  t_ms: number;
  /** Microseconds between the packet's arrival and this answer. */
  held_us: number;
}

/** Writes a message of the viewer; pointers, moves and edges above their limits are left out. */
export function encode(message: Touch | Wheel): Uint8Array<ArrayBuffer> {
  return message.type === 'touch' ? encodeTouch(message) : encodeWheel(message);
}

/** Reads a message of the viewer. Throws `WireError`: the message is refused whole. */
export function decode(bytes: Uint8Array): Touch | Wheel {
  const reader = new Reader(bytes);
  const type = reader.u8();
  let message: Touch | Wheel;
  if (type === TOUCH) message = readTouch(reader);
  else if (type === WHEEL) message = readWheel(reader);
  else throw new WireError('unknown_type');
  reader.finish();
  return message;
}

/** Writes the gateway's answer. */
export function encodeAck(ack: Ack): Uint8Array<ArrayBuffer> {
  return new Writer(ACK_BYTES).u8(ACK).u32(ack.seq).u32(ack.edge).u32(ack.t_ms).u32(ack.held_us).finish();
}

/** Reads the gateway's answer. Throws `WireError`. */
export function decodeAck(bytes: Uint8Array): Ack {
  const reader = new Reader(bytes);
  if (reader.u8() !== ACK) throw new WireError('unknown_type');
  const ack: Ack = {
    type: 'ack',
    seq: reader.u32(),
    edge: reader.u32(),
    t_ms: reader.u32(),
    held_us: reader.u32(),
  };
  reader.finish();
  return ack;
}

function encodeTouch(touch: Touch): Uint8Array<ArrayBuffer> {
  const writer = new Writer(TOUCH_BYTES_MAX);
  writer.u8(TOUCH).u32(touch.seq).u32(touch.t_ms).u16(touch.generation);
  const pointers = touch.pointers.slice(0, POINTERS_MAX);
  writer.u8(pointers.length);
  for (const pointer of pointers) {
    const moves = pointer.moves.slice(0, MOVES_MAX);
    writer.u8(pointer.id).u16(pointer.x).u16(pointer.y).u16(pointer.pressure).u8(moves.length);
    for (const move of moves) writer.u16(move.age_ms).u16(move.x).u16(move.y);
  }
  const edges = touch.edges.slice(0, EDGES_MAX);
  writer.u8(edges.length);
  for (const edge of edges) {
    writer.u32(edge.n).u8(edge.kind === 'down' ? 1 : 2).u8(edge.id);
    writer.u16(edge.generation).u16(edge.x).u16(edge.y).u16(edge.age_ms);
  }
  return writer.finish();
}

function encodeWheel(wheel: Wheel): Uint8Array<ArrayBuffer> {
  const writer = new Writer(WHEEL_BYTES);
  writer.u8(WHEEL).u32(wheel.seq).u32(wheel.t_ms).u16(wheel.generation);
  return writer.u16(wheel.x).u16(wheel.y).i32(wheel.total_h).i32(wheel.total_v).finish();
}

function readTouch(reader: Reader): Touch {
  const seq = reader.u32();
  const t_ms = reader.u32();
  const gen = generation(reader.u16());
  const pointers: Pointer[] = [];
  for (let left = reader.count(POINTERS_MAX); left > 0; left--) {
    const pointer = readPointer(reader);
    if (pointers.some((seen) => seen.id === pointer.id)) throw new WireError('bad_value');
    pointers.push(pointer);
  }
  const edges: Edge[] = [];
  for (let left = reader.count(EDGES_MAX); left > 0; left--) {
    const edge = readEdge(reader);
    if (edge.n <= (edges.at(-1)?.n ?? 0)) throw new WireError('bad_value');
    edges.push(edge);
  }
  return { type: 'touch', seq, t_ms, generation: gen, pointers, edges };
}

function readPointer(reader: Reader): Pointer {
  const id = reader.u8();
  const at = readPoint(reader);
  const pressure = reader.u16();
  const moves: Move[] = [];
  for (let left = reader.count(MOVES_MAX); left > 0; left--) {
    moves.push({ age_ms: reader.u16(), ...readPoint(reader) });
  }
  return { id, ...at, pressure, moves };
}

function readEdge(reader: Reader): Edge {
  const n = reader.u32();
  const kind = reader.u8();
  if (kind !== 1 && kind !== 2) throw new WireError('bad_value');
  const id = reader.u8();
  const gen = generation(reader.u16());
  const at = readPoint(reader);
  return { n, kind: kind === 1 ? 'down' : 'up', id, generation: gen, ...at, age_ms: reader.u16() };
}

function readWheel(reader: Reader): Wheel {
  const seq = reader.u32();
  const t_ms = reader.u32();
  const gen = generation(reader.u16());
  const at = readPoint(reader);
  const total_h = reader.i32();
  return { type: 'wheel', seq, t_ms, generation: gen, ...at, total_h, total_v: reader.i32() };
}

function readPoint(reader: Reader): Point {
  return { x: fraction(reader.u16()), y: fraction(reader.u16()) };
}
