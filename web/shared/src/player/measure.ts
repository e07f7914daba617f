/**
 * What one connection measures about itself: the gateway's clock by pings, and the numbers that the
 * overlay shows. The picture and the touches need nothing of it, so it is loaded after the first frame.
 *
 *   ping ──► pong ──► GatewayClock ─┐
 *   frame-meta, frames presented ───┼─► Stats ─────┐
 *   input sent, input acknowledged ─┘              ├─► Overlay
 *   getStats ─────────────────────────► Transport ─┘
 *
 * It owns the timer of the pings and the sending side of the `stats` channel, and decides nothing.
 */

import * as stats from '../wire/stats';
import type { PageMs } from '../wire/time';
import { GatewayClock } from './clock';
import { type Snapshot, Stats, presentedFrame } from './stats';
import { Transport, type TransportSnapshot } from './transport';

/** The clock is found quickly at first, then followed. */
const PING_FIRST_MS = 50;
const PINGS_FIRST = 5;
const PING_MS = 1000;

/** Everything the overlay shows. */
export type Overlay = Snapshot & TransportSnapshot;

/** The part of `RTCDataChannel` that is needed. */
export interface StatsChannel {
  readonly readyState: string;
  addEventListener(type: 'open', listener: () => void): void;
  send(bytes: Uint8Array<ArrayBuffer>): void;
}

/** The measuring of one connection. `close` ends it. */
export class Measure {
  readonly #channel: StatsChannel;
  readonly #clock = new GatewayClock();
  readonly #stats = new Stats(this.#clock);
  readonly #transport = new Transport();
  #pings = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #frameTimes: boolean;

  /** Pings as soon as the channel is open. `frameTimes`: whether the gateway should tell the times of each frame, which costs it a packet a frame. */
  constructor(channel: StatsChannel, { frameTimes }: { frameTimes: boolean }) {
    this.#channel = channel;
    this.#frameTimes = frameTimes;
    // A picture can come before the channels: they need two more round trips.
    channel.addEventListener('open', this.#ping);
    this.#ping();
  }

  /** Ends the pings. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Whether the overlay is open. */
  set frameTimes(wanted: boolean) {
    this.#frameTimes = wanted;
    if (this.#channel.readyState === 'open') this.#subscribe();
  }

  /** Takes a message of the `stats` channel, read at `now`. Throws `WireError` when it cannot be read. */
  receive(bytes: Uint8Array, now: PageMs): void {
    const message = stats.decodeToViewer(bytes);
    if (message.type === 'pong') this.#clock.take(message, now);
    else if (message.type === 'frame_meta') this.#stats.frameMeta(message);
  }

  /** The browser presented a frame. */
  presented(metadata: VideoFrameCallbackMetadata): void {
    this.#stats.presented(presentedFrame(metadata));
  }

  /** An input packet left. */
  inputSent(seq: number, now: PageMs): void {
    this.#stats.inputSent(seq, now);
  }

  /** An input packet was acknowledged. */
  inputAcked(seq: number, now: PageMs): void {
    this.#stats.inputAcked(seq, now);
  }

  /** The numbers at `now`, with the connection's own `report`. */
  overlay(report: RTCStatsReport, now: PageMs): Overlay {
    return { ...this.#stats.snapshot(now), ...this.#transport.read(report) };
  }

  readonly #ping = (): void => {
    if (this.#channel.readyState !== 'open') return;
    this.#pings += 1;
    this.#timer = setTimeout(this.#ping, this.#pings < PINGS_FIRST ? PING_FIRST_MS : PING_MS);
    this.#subscribe();
    const t0_us = Math.round(performance.now() * 1000);
    this.#channel.send(stats.encode({ type: 'ping', id: this.#pings, t0_us }));
  };

  /** Sent with every ping, because this channel may lose it. */
  #subscribe(): void {
    this.#channel.send(stats.encode({ type: 'subscribe', every_n: this.#frameTimes ? 1 : 0 }));
  }
}
