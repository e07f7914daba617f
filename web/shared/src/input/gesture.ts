/**
 * What fingers and the wheel do, as packets for a channel that loses and reorders.
 *
 * A pure machine: `handle(input)` changes its state, then `poll(now)` is called until it answers
 * `wait`. It never reads a clock and knows neither DOM nor channel.
 *
 *              handle: down, move, up, lift_all, wheel, picture, ack
 *                 │
 *   ┌─────────────▼──────────────┐   poll(now)   ┌ send: a press or a lift at once; a move at most
 *   │ pointers down · edges not  │──────────────►│   every 4 ms; everything again every 50 ms while
 *   │ acked · wheel totals       │               │   a finger is down or something is not acked
 *   └────────────────────────────┘               └ wait until
 *
 * One machine lives as long as one connection, because edges are numbered per connection. A touch
 * never survives a change of the picture: what was aimed at the old one is lifted. Nothing is sent
 * before the first picture has its generation: until then edges age as if packets were lost.
 */

import { type Ack, EDGES_MAX, MOVES_MAX, POINTERS_MAX, type Point, type Touch, type Wheel } from '../wire/input';
import { type Generation, type PageMs, pageMs } from '../wire/time';

/** State is repeated this often while a finger is down or an edge is open: one lost packet costs at most this. */
export const REPEAT_MS = 50;
/** An edge that is still unacknowledged after this is void: a late tap is a wrong tap. */
export const EDGE_VOID_MS = 500;
/** Moves are sent at most this often, 240 a second, the gateway's limit; what is between rides in `moves`. */
export const MOVE_INTERVAL_MS = 1000 / 240;
/** A wheel that nobody acknowledges is repeated for this long after its last turn. */
const WHEEL_VOID_MS = 500;
/** Ages on the wire are u16. */
const AGE_MS_MAX = 65535;

/** A timed position. */
export interface Sample {
  at: Point;
  /** The event's own time, not the handler's. */
  time: PageMs;
}

/** What happened. `key` names a pointer as the browser does; it is not the id on the wire. */
export type GestureInput =
  | { kind: 'down'; key: number; at: Point; pressure: number; time: PageMs }
  | { kind: 'move'; key: number; pressure: number; samples: Sample[] }
  | { kind: 'up'; key: number; time: PageMs }
  | { kind: 'lift_all'; time: PageMs }
  /** 1/120 notch, positive to the right and upwards. */
  | { kind: 'wheel'; at: Point; dh: number; dv: number; time: PageMs }
  /** The picture that the person sees from now on. */
  | { kind: 'picture'; generation: Generation; time: PageMs }
  | { kind: 'ack'; ack: Ack };

/** What to do now. `until` is null when nothing will be due before the next input. */
export type GestureOutput = { kind: 'send'; message: Touch | Wheel } | { kind: 'wait'; until: PageMs | null };

interface PointerDown {
  id: number;
  at: Point;
  pressure: number;
  /** When it got to `at`. */
  time: PageMs;
  /** Where it was before, oldest first. */
  trail: Sample[];
}

interface OpenEdge {
  n: number;
  kind: 'down' | 'up';
  id: number;
  /** Null until the first picture has one. */
  generation: Generation | null;
  at: Point;
  time: PageMs;
}

interface WheelTotals {
  at: Point;
  h: number;
  v: number;
  /** Repeated until then; in the past once acknowledged. */
  openUntil: PageMs;
  /** Packets that carried exactly these totals: an ack of any of them settles the wheel. */
  carriers: number[];
}

/** When something was last sent, and how urgently it must be again. */
interface Urgency {
  sent: PageMs;
  /** `edge`: at once. `move`: when the interval allows. `none`: only as a repetition. */
  want: 'none' | 'move' | 'edge';
}

/** The machine. */
export class Gesture {
  #generation: Generation | null = null;
  #seq = 0;
  #edgeCount = 0;
  readonly #pointers = new Map<number, PointerDown>();
  #edges: OpenEdge[] = [];
  #wheel: WheelTotals | null = null;
  readonly #touchDue: Urgency = { sent: pageMs(-Infinity), want: 'none' };
  readonly #wheelDue: Urgency = { sent: pageMs(-Infinity), want: 'none' };

  /** Takes one input. Whoever calls this polls afterwards. */
  handle(input: GestureInput): void {
    switch (input.kind) {
      case 'down':
        this.#down(input.key, input.at, input.pressure, input.time);
        break;
      case 'move':
        this.#move(input.key, input.pressure, input.samples);
        break;
      case 'up':
        this.#up(input.key, input.time);
        break;
      case 'lift_all':
        for (const key of [...this.#pointers.keys()]) this.#up(key, input.time);
        break;
      case 'wheel':
        this.#turn(input.at, input.dh, input.dv, input.time);
        break;
      case 'picture':
        this.#show(input.generation, input.time);
        break;
      case 'ack':
        this.#acknowledge(input.ack);
        break;
    }
  }

  /** The next packet that is due at `now`, else when to ask again. */
  poll(now: PageMs): GestureOutput {
    this.#edges = this.#edges.filter((edge) => now - edge.time <= EDGE_VOID_MS);
    const generation = this.#generation;
    if (generation === null) return { kind: 'wait', until: null };
    const touchAt = due(this.#touchDue, this.#pointers.size > 0 || this.#edges.length > 0);
    if (touchAt !== null && touchAt <= now) return { kind: 'send', message: this.#touchPacket(generation, now) };
    const wheel = this.#wheel !== null && now <= this.#wheel.openUntil ? this.#wheel : null;
    const wheelAt = wheel === null ? null : due(this.#wheelDue, true);
    if (wheel !== null && wheelAt !== null && wheelAt <= now) {
      return { kind: 'send', message: this.#wheelPacket(generation, wheel, now) };
    }
    return { kind: 'wait', until: earliest(touchAt, wheelAt) };
  }

  /** How many fingers are down. */
  get fingers(): number {
    return this.#pointers.size;
  }

  #down(key: number, at: Point, pressure: number, time: PageMs): void {
    if (this.#pointers.has(key)) return;
    const id = this.#freeId();
    if (id === null) return;
    this.#pointers.set(key, { id, at, pressure, time, trail: [] });
    this.#pushEdge('down', id, at, time);
  }

  #move(key: number, pressure: number, samples: Sample[]): void {
    const pointer = this.#pointers.get(key);
    if (pointer === undefined) return;
    for (const { at, time } of samples) {
      // The same motion may be told twice: raw as it happens, and coalesced a frame later.
      if (time <= pointer.time || (at.x === pointer.at.x && at.y === pointer.at.y)) continue;
      pointer.trail.push({ at: pointer.at, time: pointer.time });
      if (pointer.trail.length > MOVES_MAX) pointer.trail.shift();
      pointer.at = at;
      pointer.time = time;
      pointer.pressure = pressure;
      if (this.#touchDue.want === 'none') this.#touchDue.want = 'move';
    }
  }

  #up(key: number, time: PageMs): void {
    const pointer = this.#pointers.get(key);
    if (pointer === undefined) return;
    this.#pointers.delete(key);
    this.#pushEdge('up', pointer.id, pointer.at, time);
  }

  #turn(at: Point, dh: number, dv: number, time: PageMs): void {
    const { h, v } = this.#wheel ?? { h: 0, v: 0 };
    this.#wheel = { at, h: h + dh, v: v + dv, openUntil: pageMs(time + WHEEL_VOID_MS), carriers: [] };
    this.#wheelDue.want = 'move';
  }

  #show(generation: Generation, time: PageMs): void {
    if (generation === this.#generation) return;
    if (this.#generation === null) for (const edge of this.#edges) edge.generation = generation;
    else for (const key of [...this.#pointers.keys()]) this.#up(key, time);
    this.#generation = generation;
  }

  #acknowledge(ack: Ack): void {
    this.#edges = this.#edges.filter((edge) => edge.n > ack.edge);
    if (this.#wheel?.carriers.includes(ack.seq) === true) this.#wheel.openUntil = pageMs(-Infinity);
  }

  #pushEdge(kind: 'down' | 'up', id: number, at: Point, time: PageMs): void {
    this.#edgeCount += 1;
    this.#edges.push({ n: this.#edgeCount, kind, id, generation: this.#generation, at, time });
    // More than twenty open edges mean that nothing has arrived for a while; the oldest is nearest to void.
    if (this.#edges.length > EDGES_MAX) this.#edges.shift();
    this.#touchDue.want = 'edge';
  }

  #freeId(): number | null {
    const used = new Set([...this.#pointers.values()].map((pointer) => pointer.id));
    for (let id = 0; id < POINTERS_MAX; id++) if (!used.has(id)) return id;
    return null;
  }

  #touchPacket(current: Generation, now: PageMs): Touch {
    settle(this.#touchDue, now);
    const t = wholeMs(now);
    return {
      type: 'touch',
      seq: this.#nextSeq(),
      t_ms: t,
      generation: current,
      pointers: [...this.#pointers.values()].map((pointer) => ({
        id: pointer.id,
        ...pointer.at,
        pressure: pointer.pressure,
        moves: pointer.trail.map(({ at, time }) => ({ age_ms: age(t, time), ...at })),
      })),
      edges: this.#edges.map(({ n, kind, id, generation, at, time }) => ({
        n,
        kind,
        id,
        generation: generation ?? current,
        ...at,
        age_ms: age(t, time),
      })),
    };
  }

  #wheelPacket(generation: Generation, wheel: WheelTotals, now: PageMs): Wheel {
    settle(this.#wheelDue, now);
    const seq = this.#nextSeq();
    wheel.carriers.push(seq);
    return {
      type: 'wheel',
      seq,
      t_ms: wholeMs(now),
      generation,
      ...wheel.at,
      total_h: Math.round(wheel.h) | 0,
      total_v: Math.round(wheel.v) | 0,
    };
  }

  #nextSeq(): number {
    this.#seq = (this.#seq + 1) >>> 0;
    return this.#seq;
  }
}

function due({ sent, want }: Urgency, open: boolean): PageMs | null {
  if (want === 'edge') return pageMs(-Infinity);
  if (want === 'move') return pageMs(sent + MOVE_INTERVAL_MS);
  return open ? pageMs(sent + REPEAT_MS) : null;
}

function settle(urgency: Urgency, now: PageMs): void {
  urgency.sent = now;
  urgency.want = 'none';
}

function earliest(a: PageMs | null, b: PageMs | null): PageMs | null {
  if (a === null || b === null) return a ?? b;
  return a < b ? a : b;
}

/** Each moment is floored by itself, so that it is the same moment in every packet that names it. */
function wholeMs(time: PageMs): number {
  return Math.floor(time) >>> 0;
}

function age(t: number, time: PageMs): number {
  return Math.max(0, Math.min(AGE_MS_MAX, t - Math.floor(time)));
}
