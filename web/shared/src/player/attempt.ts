/**
 * One try at streaming with everything that lives exactly as long: the connection, what its channels
 * say, the gesture machine (edges are numbered per connection), the picture's generations, the
 * gateway's clock and the numbers for the overlay.
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
import * as stats from '../wire/stats';
import { type PageMs, pageMs } from '../wire/time';
import { GatewayClock } from './clock';
import { Pictures } from './picture';
import { type ChannelName, Connection, type ConnectionListener, mark } from './rtc';
import { type Snapshot, Stats, presentedFrame } from './stats';
import { Transport, type TransportSnapshot } from './transport';

/** The clock is found quickly at first, then followed. */
const PING_FIRST_MS = 50;
const PINGS_FIRST = 5;
const PING_MS = 1000;

/** Everything the overlay shows. */
export type Overlay = Snapshot & TransportSnapshot;

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
  readonly #clock = new GatewayClock();
  readonly #stats = new Stats(this.#clock);
  readonly #transport = new Transport();
  #video: Size = { width: 0, height: 0 };
  #phase: 'starting' | 'playing' | 'closed' = 'starting';
  #pings = 0;
  #pingTimer: ReturnType<typeof setTimeout> | null = null;
  #heard: PageMs;
  #frameTimes = false;
  /** Whether the gateway has ended this connection itself. */
  #dismissed = false;

  constructor(iceServers: RTCIceServer[], listener: AttemptListener) {
    this.#listener = listener;
    this.#heard = pageMs(performance.now());
    this.#connection = new Connection(iceServers, this.#connectionListener());
    this.#connection.channels.stats.addEventListener('open', this.#ping);
    this.#outlet = new Outlet(this.#connection.channels.input, (seq, now) => { this.#stats.inputSent(seq, now); });
  }

  /** Offers. Resolves with the ICE servers that the gateway named; throws `Problem` or `Unreachable`. */
  open(session: SessionId): Promise<RTCIceServer[]> {
    return this.#connection.open(session);
  }

  /** Says goodbye and ends everything. */
  close(): void {
    if (this.#phase === 'closed') return;
    this.#phase = 'closed';
    this.send({ type: 'bye', reason: 'client_left' });
    if (this.#pingTimer !== null) clearTimeout(this.#pingTimer);
    this.#outlet.close();
    this.#connection.close({ tell: !this.#dismissed });
  }

  /** A finger, the wheel, or all lifted. */
  gesture(input: GestureInput): void {
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
    this.#stats.presented(presentedFrame(metadata));
    // Before it is connected, what the video still shows is the last frame of the attempt before.
    if (this.#phase !== 'starting' || !this.#connection.connected) return;
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
    this.#subscribe();
  }

  /** When the gateway was last heard. */
  get heard(): PageMs {
    return this.#heard;
  }

  /** The numbers of this moment. */
  async overlay(): Promise<Overlay> {
    const report = await this.#connection.stats();
    return { ...this.#stats.snapshot(pageMs(performance.now())), ...this.#transport.read(report) };
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
        this.#stats.inputAcked(ack.seq, now);
        this.gesture({ kind: 'ack', ack });
      } else if (name === 'control') this.#control(control.decodeToViewer(bytes));
      else this.#timing(stats.decodeToViewer(bytes), now);
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

  #timing(message: stats.Pong | stats.FrameMeta, now: PageMs): void {
    if (message.type === 'pong') this.#clock.take(message, now);
    else this.#stats.frameMeta(message);
  }

  readonly #ping = (): void => {
    const channel = this.#connection.channels.stats;
    if (this.#phase === 'closed' || channel.readyState !== 'open') return;
    this.#pings += 1;
    this.#pingTimer = setTimeout(this.#ping, this.#pings < PINGS_FIRST ? PING_FIRST_MS : PING_MS);
    this.#subscribe();
    const t0_us = Math.round(performance.now() * 1000);
    channel.send(stats.encode({ type: 'ping', id: this.#pings, t0_us }));
  };

  /** Sent with every ping, because this channel may lose it. */
  #subscribe(): void {
    const channel = this.#connection.channels.stats;
    if (channel.readyState !== 'open') return;
    channel.send(stats.encode({ type: 'subscribe', every_n: this.#frameTimes ? 1 : 0 }));
  }
}
