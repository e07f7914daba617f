import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Measure, type StatsChannel } from '../../src/player/measure';
import { pageMs } from '../../src/wire/time';

const PING = 0x30;
const SUBSCRIBE = 0x33;

/** A channel that keeps what is sent. */
class Channel implements StatsChannel {
  readyState = 'connecting';
  readonly sent: Uint8Array[] = [];
  #opened: (() => void)[] = [];

  addEventListener(_type: 'open', listener: () => void): void {
    this.#opened.push(listener);
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.readyState !== 'open') throw new Error(`sent while ${this.readyState}`);
    this.sent.push(bytes);
  }

  open(): void {
    this.readyState = 'open';
    for (const listener of this.#opened) listener();
  }

  /** How often this message was sent. */
  count(type: number): number {
    return this.sent.filter(([first]) => first === type).length;
  }

  /** The last wish for frame times. */
  get wish(): number | undefined {
    return this.sent.findLast(([first]) => first === SUBSCRIBE)?.[1];
  }
}

describe('measuring', () => {
  beforeEach(() => { vi.useFakeTimers(); });
  afterEach(() => { vi.useRealTimers(); });

  it('waits for a channel that opens later than the first picture comes', () => {
    const channel = new Channel();
    new Measure(channel, { frameTimes: false });
    vi.advanceTimersByTime(5000);
    expect(channel.sent).toEqual([]);
    channel.open();
    expect(channel.count(PING)).toBe(1);
  });

  it('finds the clock quickly and then follows it once a second', () => {
    const channel = new Channel();
    channel.open();
    new Measure(channel, { frameTimes: false });
    vi.advanceTimersByTime(200);
    expect(channel.count(PING)).toBe(5);
    vi.advanceTimersByTime(3000);
    expect(channel.count(PING)).toBe(8);
  });

  it('asks for frame times only while they are wanted, and at once', () => {
    const channel = new Channel();
    channel.open();
    const measure = new Measure(channel, { frameTimes: false });
    expect(channel.wish).toBe(0);
    measure.frameTimes = true;
    expect(channel.wish).toBe(1);
    measure.frameTimes = false;
    expect(channel.wish).toBe(0);
  });

  it('is silent after its end, and on a channel that has closed', () => {
    const channels = [new Channel(), new Channel()] as const;
    const [ended, closed] = channels;
    for (const channel of channels) channel.open();
    new Measure(ended, { frameTimes: false }).close();
    new Measure(closed, { frameTimes: false });
    closed.readyState = 'closed';
    vi.advanceTimersByTime(60_000);
    expect([ended.count(PING), closed.count(PING)]).toEqual([1, 1]);
  });

  it('tells how long input takes', () => {
    const measure = new Measure(new Channel(), { frameTimes: false });
    measure.inputSent(1, pageMs(100));
    measure.inputAcked(1, pageMs(112));
    const overlay = measure.overlay(new Map(), pageMs(200));
    expect(overlay).toMatchObject({ input: { p50: 12, p95: 12 }, frameAge: null, route: null });
  });
});
