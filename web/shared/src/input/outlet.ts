/**
 * Drains a gesture machine into the `input` channel: the one owner of its timer.
 *
 * Every packet is sent in the handler of the event that caused it, never on an animation frame. A
 * channel that is backed up drops packets here: the next one carries the whole state anyway.
 */

import { encode } from '../wire/input';
import { type PageMs, pageMs } from '../wire/time';
import { Gesture, type GestureInput } from './gesture';

/** Unsent bytes above which packets are dropped: about 60 packets of one finger, a quarter second. */
const BACKLOG_BYTES_MAX = 4096;

/** The part of `RTCDataChannel` that is needed. */
export interface PacketChannel {
  readonly readyState: string;
  readonly bufferedAmount: number;
  send(bytes: Uint8Array<ArrayBuffer>): void;
}

/** Told of every packet that left, for the round trip. */
export type OnSent = (seq: number, now: PageMs) => void;

/** A gesture machine with its channel and its timer. `close` ends it. */
export class Outlet {
  readonly #gesture = new Gesture();
  readonly #channel: PacketChannel;
  readonly #onSent: OnSent;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(channel: PacketChannel, onSent: OnSent) {
    this.#channel = channel;
    this.#onSent = onSent;
  }

  /** Takes one input and sends what is due. */
  handle(input: GestureInput): void {
    this.#gesture.handle(input);
    this.#drain();
  }

  /** Stops repeating. The gateway lifts what is still down when the connection ends. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #drain(): void {
    this.close();
    const now = pageMs(performance.now());
    for (;;) {
      const output = this.#gesture.poll(now);
      if (output.kind === 'wait') {
        if (output.until !== null) this.#timer = setTimeout(this.#wake, output.until - now);
        return;
      }
      if (this.#channel.readyState !== 'open' || this.#channel.bufferedAmount > BACKLOG_BYTES_MAX) continue;
      this.#channel.send(encode(output.message));
      this.#onSent(output.message.seq, now);
    }
  }

  readonly #wake = (): void => {
    this.#timer = null;
    this.#drain();
  };
}
