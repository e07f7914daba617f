import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { EDGE_VOID_MS, Gesture, MOVE_INTERVAL_MS, REPEAT_MS } from '../../src/input/gesture';
import { type Point, type Touch, type Wheel, decode, encode } from '../../src/wire/input';
import { fraction, generation, pageMs } from '../../src/wire/time';

const at = (x: number, y: number): Point => ({ x: fraction(x), y: fraction(y) });

/** A machine with a clock that only moves when told, and everything that it sent. */
class Rig {
  readonly machine = new Gesture();
  readonly sent: (Touch | Wheel)[] = [];
  now = 1000;

  constructor(generation: number | null = 1) {
    if (generation !== null) this.show(generation);
  }

  show(n: number): void {
    this.machine.handle({ kind: 'picture', generation: generation(n), time: pageMs(this.now) });
    this.drain();
  }

  down(key: number, x = 100, y = 200): void {
    this.machine.handle({ kind: 'down', key, at: at(x, y), pressure: 65535, time: pageMs(this.now) });
    this.drain();
  }

  move(key: number, ...points: [x: number, y: number, time?: number][]): void {
    const samples = points.map(([x, y, time]) => ({ at: at(x, y), time: pageMs(time ?? this.now) }));
    this.machine.handle({ kind: 'move', key, pressure: 65535, samples });
    this.drain();
  }

  up(key: number): void {
    this.machine.handle({ kind: 'up', key, time: pageMs(this.now) });
    this.drain();
  }

  wheel(dh: number, dv: number): void {
    this.machine.handle({ kind: 'wheel', at: at(1, 1), dh, dv, time: pageMs(this.now) });
    this.drain();
  }

  ack(seq: number, edge: number): void {
    this.machine.handle({ kind: 'ack', ack: { type: 'ack', seq, edge, t_ms: 0, held_us: 0 } });
    this.drain();
  }

  /** Lets time pass, waking the machine whenever it asked to be. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const wait = this.drain();
      if (wait === null || wait > end) break;
      this.now = wait;
    }
    this.now = end;
    this.drain();
  }

  drain(): number | null {
    for (let rounds = 0; rounds < 1000; rounds++) {
      const output = this.machine.poll(pageMs(this.now));
      if (output.kind === 'wait') {
        if (output.until !== null) expect(output.until).toBeGreaterThan(this.now);
        return output.until;
      }
      this.sent.push(output.message);
    }
    throw new Error('the machine never waits');
  }

  touch(index = -1): Touch {
    const message = this.sent.at(index);
    if (message?.type !== 'touch') throw new Error('no touch was sent');
    return message;
  }
}

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});

describe('a finger', () => {
  it('is told at once when it presses and when it lifts', () => {
    rig.down(7);
    expect(rig.sent).toHaveLength(1);
    expect(rig.touch()).toMatchObject({ seq: 1, t_ms: 1000, generation: 1 });
    expect(rig.touch().pointers).toEqual([{ id: 0, x: 100, y: 200, pressure: 65535, moves: [] }]);
    expect(rig.touch().edges).toEqual([{ n: 1, kind: 'down', id: 0, generation: 1, x: 100, y: 200, age_ms: 0 }]);
    rig.now += 1;
    rig.up(7);
    expect(rig.sent).toHaveLength(2);
    expect(rig.touch().pointers).toEqual([]);
    expect(rig.touch().edges).toMatchObject([{ n: 1, kind: 'down', age_ms: 1 }, { n: 2, kind: 'up', age_ms: 0 }]);
  });

  it('is repeated every 50 ms while it is down, although nothing moves', () => {
    rig.down(7);
    rig.ack(1, 1);
    rig.pass(10 * REPEAT_MS);
    expect(rig.sent).toHaveLength(11);
    expect(rig.touch().edges).toEqual([]);
    expect(rig.touch().pointers).toHaveLength(1);
  });

  it('is silent after its lift is acknowledged', () => {
    rig.down(7);
    rig.up(7);
    rig.ack(2, 2);
    const before = rig.sent.length;
    rig.pass(10_000);
    expect(rig.sent).toHaveLength(before);
    expect(rig.drain()).toBeNull();
  });

  it('keeps its edges in every packet until they are acknowledged', () => {
    rig.down(7);
    rig.up(7);
    rig.pass(120);
    expect(rig.sent).toHaveLength(4);
    expect(rig.touch().edges.map(({ n, age_ms }) => [n, age_ms])).toEqual([[1, 100], [2, 100]]);
    rig.ack(3, 1);
    rig.pass(REPEAT_MS);
    expect(rig.touch().edges.map(({ n }) => n)).toEqual([2]);
  });

  it('gives an edge up when it is older than half a second', () => {
    rig.down(7);
    rig.up(7);
    rig.pass(EDGE_VOID_MS);
    expect(rig.touch().edges).toHaveLength(2);
    const before = rig.sent.length;
    rig.pass(10_000);
    expect(rig.sent.length - before).toBeLessThanOrEqual(1);
    expect(rig.drain()).toBeNull();
  });

  it('carries where it was before, oldest first, four places with their ages', () => {
    rig.down(7, 0, 0);
    rig.pass(20);
    rig.move(7, [1, 1, 1004], [2, 2, 1008], [3, 3, 1012], [4, 4, 1016], [5, 5, 1020]);
    expect(rig.touch().pointers[0]).toMatchObject({ x: 5, y: 5 });
    expect(rig.touch().pointers[0]?.moves).toEqual([
      { age_ms: 16, x: 1, y: 1 },
      { age_ms: 12, x: 2, y: 2 },
      { age_ms: 8, x: 3, y: 3 },
      { age_ms: 4, x: 4, y: 4 },
    ]);
  });

  it('names one moment the same in every packet, whatever fractions the clocks have', () => {
    rig.now = 1000.9;
    rig.down(7, 0, 0);
    rig.now = 1010.2;
    rig.move(7, [1, 1, 1009.95]);
    rig.now = 1020.1;
    rig.move(7, [2, 2, 1019.5]);
    const moments = (touch: Touch): number[] => touch.pointers[0]!.moves.map(({ age_ms }) => touch.t_ms - age_ms);
    expect(moments(rig.touch(-2))).toEqual([1000]);
    expect(moments(rig.touch(-1))).toEqual([1000, 1009]);
  });

  it('does not move twice when the browser tells the same motion twice', () => {
    rig.down(7, 0, 0);
    rig.pass(20);
    rig.move(7, [1, 1, 1010], [2, 2, 1015]);
    const before = rig.sent.length;
    rig.now += MOVE_INTERVAL_MS;
    rig.move(7, [1, 1, 1010], [2, 2, 1015]);
    expect(rig.sent).toHaveLength(before);
  });

  it('that moves a thousand times a second sends at most 240 packets and loses no place', () => {
    rig.down(7, 0, 0);
    for (let step = 1; step <= 1000; step++) {
      rig.pass(1);
      rig.move(7, [step, step]);
    }
    rig.pass(REPEAT_MS);
    expect(rig.sent.length).toBeLessThanOrEqual(243);
    const seen = new Set(
      rig.sent.flatMap((message) =>
        message.type === 'touch' ? message.pointers.flatMap(({ x, moves }) => [x, ...moves.map((each) => each.x)]) : [],
      ),
    );
    expect(seen.size).toBe(1001);
  });

  it('that was never seen to press neither moves nor lifts', () => {
    rig.move(9, [1, 1]);
    rig.up(9);
    expect(rig.sent).toEqual([]);
  });
});

describe('before the first picture', () => {
  const early = (): Rig => new Rig(null);

  it('nothing is sent', () => {
    const rig = early();
    rig.down(1);
    rig.wheel(0, 120);
    rig.pass(200);
    expect(rig.sent).toEqual([]);
  });

  it('a press waits, and leaves with the first generation as old as it is', () => {
    const rig = early();
    rig.down(1, 7, 8);
    rig.move(1, [9, 10, rig.now + 5]);
    rig.pass(120);
    rig.show(3);
    const { generation, pointers, edges } = rig.touch();
    expect(generation).toBe(3);
    expect(edges).toEqual([{ n: 1, kind: 'down', id: 0, generation: 3, x: 7, y: 8, age_ms: 120 }]);
    expect(pointers[0]).toMatchObject({ id: 0, x: 9, y: 10 });
  });

  it('a whole tap waits', () => {
    const rig = early();
    rig.down(1);
    rig.pass(60);
    rig.up(1);
    rig.pass(100);
    rig.show(1);
    expect(rig.touch().edges.map(({ kind, age_ms }) => [kind, age_ms])).toEqual([['down', 160], ['up', 100]]);
    expect(rig.touch().pointers).toEqual([]);
  });

  it('a tap that waited for half a second is void', () => {
    const rig = early();
    rig.down(1);
    rig.up(1);
    rig.pass(EDGE_VOID_MS + 1);
    rig.show(1);
    expect(rig.touch()).toMatchObject({ pointers: [], edges: [] });
  });

  it('the wheel waits as well', () => {
    const rig = early();
    rig.wheel(0, 120);
    rig.pass(100);
    rig.show(2);
    expect(rig.sent).toMatchObject([{ type: 'wheel', generation: 2, total_v: 120 }]);
  });
});

describe('many fingers', () => {
  it('have ids of their own, and the eleventh is ignored', () => {
    for (let key = 20; key < 31; key++) rig.down(key);
    expect(rig.touch().pointers.map(({ id }) => id)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(rig.machine.fingers).toBe(10);
    rig.up(23);
    rig.down(99);
    expect(rig.touch().pointers.map(({ id }) => id).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('are all lifted together when the page loses them', () => {
    for (let key = 0; key < 3; key++) rig.down(key);
    rig.machine.handle({ kind: 'lift_all', time: pageMs(rig.now) });
    rig.drain();
    expect(rig.touch().pointers).toEqual([]);
    expect(rig.touch().edges.filter(({ kind }) => kind === 'up')).toHaveLength(3);
  });

  it('never put more than twenty edges into a packet, and the oldest give way', () => {
    for (let tap = 0; tap < 15; tap++) {
      rig.down(tap);
      rig.up(tap);
    }
    expect(rig.touch().edges.map(({ n }) => n)).toEqual(Array.from({ length: 20 }, (_, index) => index + 11));
  });
});

describe('a new picture', () => {
  it('lifts what was aimed at the old one, and names the new one afterwards', () => {
    rig.down(7);
    rig.show(2);
    expect(rig.touch().generation).toBe(2);
    expect(rig.touch().pointers).toEqual([]);
    expect(rig.touch().edges.map(({ kind, generation: of }) => [kind, of])).toEqual([['down', 1], ['up', 1]]);
    rig.move(7, [5, 5]);
    expect(rig.touch().pointers).toEqual([]);
    rig.down(8);
    expect(rig.touch().edges.at(-1)).toMatchObject({ kind: 'down', generation: 2 });
  });

  it('that is the same one changes nothing', () => {
    rig.down(7);
    rig.show(1);
    expect(rig.sent).toHaveLength(1);
    expect(rig.machine.fingers).toBe(1);
  });
});

describe('the wheel', () => {
  const totals = (): [number, number][] =>
    rig.sent.flatMap((message) => (message.type === 'wheel' ? [[message.total_h, message.total_v]] : []));

  it('sends running totals and repeats them until their own packet is acknowledged', () => {
    rig.wheel(0, 120);
    rig.pass(10);
    rig.wheel(0, 120);
    expect(totals()).toEqual([[0, 120], [0, 240]]);
    rig.ack(1, 0);
    rig.pass(REPEAT_MS);
    expect(totals()).toHaveLength(3);
    rig.ack(3, 0);
    rig.pass(10_000);
    expect(totals()).toHaveLength(3);
  });

  it('is not settled by the acknowledgement of a newer touch', () => {
    rig.wheel(0, 120);
    rig.down(1);
    rig.ack(2, 1);
    rig.pass(REPEAT_MS);
    expect(totals()).toHaveLength(2);
  });

  it('adds up the small steps of a touchpad without losing any', () => {
    for (let step = 0; step < 100; step++) {
      rig.wheel(0, 0.4);
      rig.pass(5);
    }
    expect(totals().at(-1)).toEqual([0, 40]);
  });

  it('wraps its totals as the wire does', () => {
    rig.wheel(0, 0x7fffffff);
    rig.pass(10);
    rig.wheel(0, 1);
    expect(totals().at(-1)).toEqual([0, -0x80000000]);
  });
});

describe('whatever people do', () => {
  interface Action { kind: 'down' | 'up' | 'move' | 'pass' | 'ack'; key: number; value: number }
  const action: fc.Arbitrary<Action> = fc.record({
    kind: fc.constantFrom('down', 'up', 'move', 'pass', 'ack'),
    key: fc.integer({ min: 0, max: 12 }),
    value: fc.integer({ min: 0, max: 65535 }),
  });

  it('every packet is valid, numbers only rise, and one packet after the end tells the whole truth', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const world = new Rig();
        const fingers = new Set<number>();
        for (const { kind, key, value } of actions) {
          if (kind === 'down') {
            if (!fingers.has(key) && fingers.size < 10) fingers.add(key);
            world.down(key, value, value);
          } else if (kind === 'up') {
            fingers.delete(key);
            world.up(key);
          } else if (kind === 'move') world.move(key, [value, value]);
          else if (kind === 'pass') world.pass(value % 200);
          else world.ack(world.sent.length, value % 40);
        }
        let seq = 0;
        for (const message of world.sent) {
          expect(decode(encode(message))).toEqual(message);
          expect(message.seq).toBeGreaterThan(seq);
          seq = message.seq;
        }
        world.pass(REPEAT_MS);
        if (fingers.size > 0) expect(world.touch().pointers).toHaveLength(fingers.size);
        expect(world.machine.fingers).toBe(fingers.size);
      }),
    );
  });
});
