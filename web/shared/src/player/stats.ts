/**
 * What the overlay shows: how old frames are when they appear, how long input takes, how smooth it is.
 *
 *   frame age   = expected display time (on the gateway's clock) − capture time of the same frame,
 *                 matched by RTP timestamp; either half may arrive first, and either may be lost
 *   input       = packet sent → its acknowledgement
 *   frame rate  = frames presented in the last second: zero on a still screen is right
 *
 * Pure: it is told moments and never reads a clock. Numbers from `getStats` are the connection's.
 */

import type { FrameMeta } from '../wire/stats';
import { type GatewayUs, type PageMs, pageMs } from '../wire/time';
import type { GatewayClock } from './clock';

/** Frames and packets that wait for their other half: one second at 240 Hz. The oldest goes first. */
const UNMATCHED_MAX = 240;
/** Values behind a percentile: five seconds at 60 Hz. */
const WINDOW = 300;
const FRAME_RATE_SPAN_MS = 1000;

/** The middle and the tail, milliseconds. */
export interface Percentiles {
  p50: number;
  p95: number;
}

/** The numbers of one moment; null where nothing was measured. */
export interface Snapshot {
  frameAge: Percentiles | null;
  input: Percentiles | null;
  framesPerSecond: number;
}

/** A frame that the browser has presented. */
export interface Presented {
  /** The RTP timestamp; absent where a browser does not tell. */
  rtp: number | undefined;
  expectedDisplay: PageMs;
}

/** The collector of one connection. */
export class Stats {
  readonly #clock: GatewayClock;
  readonly #captured = new Bounded<GatewayUs>();
  readonly #displayed = new Bounded<PageMs>();
  readonly #sent = new Bounded<PageMs>();
  readonly #ages: number[] = [];
  readonly #roundTrips: number[] = [];
  #frames: PageMs[] = [];

  constructor(clock: GatewayClock) {
    this.#clock = clock;
  }

  /** The gateway told a frame's times. */
  frameMeta(meta: FrameMeta): void {
    const displayed = this.#displayed.take(meta.rtp);
    if (displayed === undefined) this.#captured.put(meta.rtp, meta.capture_us);
    else this.#aged(meta.capture_us, displayed);
  }

  /** The browser presented a frame. */
  presented({ rtp, expectedDisplay }: Presented): void {
    this.#frames = this.#frames.filter((time) => expectedDisplay - time < FRAME_RATE_SPAN_MS);
    this.#frames.push(expectedDisplay);
    if (rtp === undefined) return;
    const captured = this.#captured.take(rtp);
    if (captured === undefined) this.#displayed.put(rtp, expectedDisplay);
    else this.#aged(captured, expectedDisplay);
  }

  /** An input packet left. */
  inputSent(seq: number, now: PageMs): void {
    this.#sent.put(seq, now);
  }

  /** An input packet was acknowledged. A second acknowledgement of the same packet says nothing new. */
  inputAcked(seq: number, now: PageMs): void {
    const sent = this.#sent.take(seq);
    if (sent !== undefined) push(this.#roundTrips, now - sent);
  }

  /** The numbers at `now`. */
  snapshot(now: PageMs): Snapshot {
    const recent = this.#frames.filter((time) => now - time < FRAME_RATE_SPAN_MS);
    return {
      frameAge: percentiles(this.#ages),
      input: percentiles(this.#roundTrips),
      framesPerSecond: recent.length,
    };
  }

  #aged(captured: GatewayUs, displayed: PageMs): void {
    const shown = this.#clock.toGateway(displayed);
    if (shown !== null) push(this.#ages, Math.max(0, (shown - captured) / 1000));
  }
}

/** The nearest-rank percentiles of some values. */
export function percentiles(values: readonly number[]): Percentiles | null {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (share: number): number | undefined => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  const p50 = rank(0.5);
  const p95 = rank(0.95);
  return p50 === undefined || p95 === undefined ? null : { p50, p95 };
}

/** Moments by number, forgetting the oldest. */
class Bounded<T> {
  readonly #map = new Map<number, T>();

  put(key: number, value: T): void {
    this.#map.delete(key);
    this.#map.set(key, value);
    if (this.#map.size <= UNMATCHED_MAX) return;
    for (const oldest of this.#map.keys()) {
      this.#map.delete(oldest);
      return;
    }
  }

  take(key: number): T | undefined {
    const value = this.#map.get(key);
    this.#map.delete(key);
    return value;
  }
}

function push(window: number[], value: number): void {
  window.push(value);
  if (window.length > WINDOW) window.shift();
}

/** A frame from `requestVideoFrameCallback`. */
export function presentedFrame(metadata: VideoFrameCallbackMetadata): Presented {
  return { rtp: metadata.rtpTimestamp, expectedDisplay: pageMs(metadata.expectedDisplayTime) };
}
