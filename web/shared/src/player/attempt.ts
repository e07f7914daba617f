/**
 * One try at streaming with everything that lives exactly as long: the connection, what its channels
 * say, the gesture machine (edges are numbered per connection), the picture's generations and, once
 * it is loaded, the measuring.
 *
 * It decides nothing about retries: `player.ts` does. A message that cannot be read is dropped; the
 * gateway is newer or older than this page, and the next message may be fine.
 */

import type { Size } from '../input/coords';
import type { GestureInput } from '../input/gesture';
import { Outlet } from '../input/outlet';
import { WireError } from '../wire/bytes';
import type { CloseReason } from '../wire/close';
import * as control from '../wire/control';
import type { SessionId } from '../wire/ids';
import { decodeAck } from '../wire/input';
import { type PageMs, pageMs } from '../wire/time';
import type { Measure, Overlay } from './measure';
import { Pictures } from './picture';
import { type ChannelName, Connection, type ConnectionListener, mark } from './rtc';

/** What a try tells its owner. Nothing is told after `close`. */
export interface AttemptListener {
  onTrack(track: MediaStreamTrack): void;
  /** The first frame of this try is on the screen. */
  onFirstFrame(): void;
  /** The gateway said goodbye. */
  onBye(reason: CloseReason): void;
  onLost(): void;
}

/** One try. */
export class Attempt {
  readonly #listener: AttemptListener;
  readonly #connection: Connection;
  readonly #outlet: Outlet;
  readonly #pictures = new Pictures();
  #video: Size = { width: 0, height: 0 };
  #phase: 'starting' | 'playing' | 'closed' = 'starting';
  /** Null until what measures is loaded. */
  #measure: Measure | null = null;
  #heard: PageMs;
  #frameTimes = false;
  /** Whether the gateway has ended this connection itself. */
  #dismissed = false;

  constructor(iceServers: RTCIceServer[], listener: AttemptListener) {
    this.#listener = listener;
    this.#heard = pageMs(performance.now());
    this.#connection = new Connection(iceServers, this.#connectionListener());
    this.#outlet = new Outlet(this.#connection.channels.input, (seq, now) => { this.#measure?.inputSent(seq, now); });
  }

  /** Offers. Resolves with the ICE servers that the gateway named; throws `Problem` or `Unreachable`. */
  open(session: SessionId): Promise<RTCIceServer[]> {
    return this.#connection.open(session);
  }

  /** Says goodbye and ends everything; `tell` the server as well, if the gateway has not heard it. */
  close({ tell }: { tell: boolean }): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.send({ type: 'bye', reason: 'client_left' });
    this.#measure?.close();
    this.#outlet.close();
    this.#connection.close({ tell: tell && !this.#dismissed });
  }

  /** A finger, the wheel, or all lifted. What begins before this try shows a picture was aimed at another one. */
  gesture(input: GestureInput): void {
    if (this.#phase === 'starting' && (input.kind === 'down' || input.kind === 'wheel')) return;
    this.#outlet.handle(input);
  }

  /** Keys, text, buttons. What cannot be sent now is dropped: nobody wants it typed later. */
  send(message: control.ToGateway): void {
    const channel = this.#connection.channels.control;
    if (channel.readyState === 'open') channel.send(control.encode(message));
  }

  /** The video has this size from now on. */
  showing(video: Size): void {
    this.#video = video;
    const picture = this.#pictures.shown(video);
    if (picture === null) return;
    this.gesture({ kind: 'picture', generation: picture.generation, time: pageMs(performance.now()) });
  }

  /** A frame was presented. */
  presented(metadata: VideoFrameCallbackMetadata): void {
    this.#measure?.presented(metadata);
    // Before it is connected, what the video still shows is the last frame of the attempt before.
    if (this.#connection.connected) this.begun();
  }

  /** A frame of this try is on the screen. */
  begun(): void {
    if (this.#phase !== 'starting') return;
    this.#phase = 'playing';
    this.#listener.onFirstFrame();
  }

  /** Whether frames matter one by one: until the first has come, and while the overlay shows their times. */
  get watching(): boolean {
    return this.#phase === 'starting' || (this.#phase === 'playing' && this.#frameTimes);
  }

  /** Whether the gateway should tell the times of each frame, which costs it a packet a frame. */
  set frameTimes(wanted: boolean) {
    this.#frameTimes = wanted;
    if (this.#measure !== null) this.#measure.frameTimes = wanted;
  }

  /** When the gateway was last heard. */
  get heard(): PageMs {
    return this.#heard;
  }

  /** The numbers of this moment; null while nothing is measured. */
  async overlay(): Promise<Overlay | null> {
    const report = await this.#connection.stats();
    return this.#measure?.overlay(report, pageMs(performance.now())) ?? null;
  }

  /** Begins to measure. */
  measure(Kind: typeof Measure): void {
    this.#measure = new Kind(this.#connection.channels.stats, { frameTimes: this.#frameTimes });
  }

  #connectionListener(): ConnectionListener {
    return {
      onTrack: (track) => { this.#listener.onTrack(track); },
      onMessage: (name, bytes) => { this.#receive(name, bytes); },
      onLost: () => {
        if (this.#phase !== 'closed') this.#listener.onLost();
      },
    };
  }

  #receive(name: ChannelName, bytes: Uint8Array): void {
    const now = pageMs(performance.now());
    this.#heard = now;
    try {
      if (name === 'input') {
        const ack = decodeAck(bytes);
        this.#measure?.inputAcked(ack.seq, now);
        this.gesture({ kind: 'ack', ack });
      } else if (name === 'control' || bytes[0] === control.PICTURE) this.#control(control.decodeToViewer(bytes));
      else this.#measure?.receive(bytes, now);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
    }
  }

  #control(message: control.ToViewer): void {
    switch (message.type) {
      case 'picture':
        this.#pictures.announce(message);
        this.showing(this.#video);
        break;
      case 'gate':
        if (message.open) mark('gate');
        else this.gesture({ kind: 'lift_all', time: pageMs(performance.now()) });
        break;
      case 'bye':
        this.#dismissed = true;
        this.#listener.onBye(message.reason);
        break;
    }
  }
}
