/**
 * One peer connection with the gateway, from offer to close. A new try is a new `Connection`.
 *
 *   arm() ── offer made, nothing waits for candidates
 *   open(session) ── POST offer ─► answer ─► ICE, DTLS, channels ─► connected
 *                                                   │ failed, disconnected for 2 s, a channel closed, or 10 s without a way
 *                                                   ▼
 *                                                onLost, once
 *
 * The offer is made before the session is known, so that it leaves in the same breath as the grant.
 * Our own host candidates are not sent: the gateway learns the browser's address from its first
 * packet. Relay candidates (only with ICE servers) follow in a PATCH.
 *
 * The channels are negotiated with fixed ids on both sides (`signaling/protocol/src/lib.rs`).
 */

import type { SessionId } from '../wire/ids';
import { type Answer, deleteConnection, postOffer } from './whep';

/** A short outage heals by itself; ICE gives a pair up only after some 15 s, which is too long to watch. */
const DISCONNECTED_MS_MAX = 2000;
/** From answer to connected takes 0.1 s on a LAN and below 2 s at an RTT of 300 ms with loss. */
const CONNECT_MS_MAX = 10_000;

/** A channel of the gateway. */
export type ChannelName = 'input' | 'control' | 'stats';

const CHANNELS: Readonly<Record<ChannelName, RTCDataChannelInit>> = {
  input: { negotiated: true, id: 1, ordered: false, maxRetransmits: 0 },
  control: { negotiated: true, id: 2, ordered: true },
  stats: { negotiated: true, id: 4, ordered: false, maxRetransmits: 0 },
};

/** What a connection tells its owner. Nothing is told after `close`. */
export interface ConnectionListener {
  onTrack(track: MediaStreamTrack): void;
  onMessage(name: ChannelName, bytes: Uint8Array): void;
  /** The connection is of no use any more; the owner closes it and may try another. */
  onLost(): void;
}

/** Moments of the bench's timeline, as User Timing marks. */
export type Mark = 'launch' | 'offer' | 'answer' | 'connected' | 'gate' | 'first-frame';

/** Sets a User Timing mark. */
export function mark(name: Mark): void {
  performance.mark(`farglass:${name}`);
}

/** Whether this browser can show the stream at all. */
export function supportsStreaming(): boolean {
  return (
    typeof RTCPeerConnection === 'function' &&
    'requestVideoFrameCallback' in HTMLVideoElement.prototype &&
    h264Codecs().length > 0
  );
}

/** One try at streaming. */
export class Connection {
  readonly channels: Readonly<Record<ChannelName, RTCDataChannel>>;
  readonly #peer: RTCPeerConnection;
  readonly #listener: ConnectionListener;
  readonly #abort = new AbortController();
  readonly #offer: Promise<string>;
  readonly #late: RTCIceCandidate[] = [];
  #answer: Answer | null = null;
  #deadline: ReturnType<typeof setTimeout> | null = null;

  /** Makes the offer; nothing is sent yet. */
  constructor(iceServers: RTCIceServer[], listener: ConnectionListener) {
    this.#listener = listener;
    this.#peer = new RTCPeerConnection({ iceServers, bundlePolicy: 'max-bundle' });
    const transceiver = this.#peer.addTransceiver('video', { direction: 'recvonly' });
    transceiver.setCodecPreferences(h264Codecs());
    // Only the sender's playout-delay removes the jitter buffer; this is the receiver's half of the wish.
    if ('jitterBufferTarget' in transceiver.receiver) transceiver.receiver.jitterBufferTarget = 0;
    this.channels = {
      input: this.#channel('input'),
      control: this.#channel('control'),
      stats: this.#channel('stats'),
    };
    this.#listen();
    // Now, and not when the answer names it: a frame that arrives while the element is still being set up is gone,
    // and a screen that stands still has no next one until Chromium asks for a key frame, three seconds later.
    listener.onTrack(transceiver.receiver.track);
    this.#offer = this.#makeOffer();
    // Awaited in `open`; a failure that comes earlier must not count as unhandled.
    this.#offer.catch(() => undefined);
  }

  /** Exchanges descriptions; resolves with the ICE servers that the gateway named. Throws what `postOffer` throws. */
  async open(session: SessionId): Promise<RTCIceServer[]> {
    const offer = await this.#offer;
    mark('offer');
    const answer = await postOffer(session, offer, this.#abort.signal);
    if (this.#abort.signal.aborted) {
      // Closed between the server's answer and its arrival: the server must not keep the connection.
      void deleteConnection(answer.location).catch(() => undefined);
      return [];
    }
    this.#answer = answer;
    this.#expect(CONNECT_MS_MAX);
    await this.#peer.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
    mark('answer');
    this.#trickle();
    return answer.link === null ? [] : (await import('./relay')).iceServers(answer.link);
  }

  /**
   * Ends the connection; `tell` the server, unless it was the one who ended it. Safe to call at any time,
   * and again.
   */
  close({ tell }: { tell: boolean }): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    this.#expect(null);
    this.#peer.close();
    // Best effort: a server that cannot be reached notices by itself.
    if (tell && this.#answer !== null) void deleteConnection(this.#answer.location).catch(() => undefined);
  }

  /** Whether media can arrive. */
  get connected(): boolean {
    return this.#peer.connectionState === 'connected';
  }

  /** The transport's numbers. */
  stats(): Promise<RTCStatsReport> {
    return this.#peer.getStats();
  }

  async #makeOffer(): Promise<string> {
    await this.#peer.setLocalDescription();
    const description = this.#peer.localDescription;
    if (description === null) throw new Error('a peer connection without an offer');
    return description.sdp;
  }

  #channel(name: ChannelName): RTCDataChannel {
    const channel = this.#peer.createDataChannel(name, CHANNELS[name]);
    channel.binaryType = 'arraybuffer';
    const { signal } = this.#abort;
    // A gateway that ends the connection in an orderly way closes the channels; ICE would notice seconds later.
    channel.addEventListener('close', this.#lost, { signal });
    channel.addEventListener('message', (event: MessageEvent<unknown>) => {
      if (event.data instanceof ArrayBuffer) this.#listener.onMessage(name, new Uint8Array(event.data));
    }, { signal });
    return channel;
  }

  #listen(): void {
    const peer = this.#peer;
    const { signal } = this.#abort;
    peer.addEventListener('connectionstatechange', () => { this.#observe(peer.connectionState); }, { signal });
    peer.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate === null || candidate.type === 'host' || candidate.candidate === '') return;
      this.#late.push(candidate);
      this.#trickle();
    }, { signal });
  }

  #observe(state: RTCPeerConnectionState): void {
    if (state === 'connected') {
      this.#expect(null);
      mark('connected');
    } else if (state === 'disconnected') this.#expect(DISCONNECTED_MS_MAX);
    else if (state === 'failed' || state === 'closed') this.#lost();
  }

  /** Sets the one deadline of this connection: being connected within `ms`; null when it is met. */
  #expect(ms: number | null): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#deadline = ms === null ? null : setTimeout(this.#lost, ms);
  }

  readonly #lost = (): void => {
    this.#expect(null);
    if (!this.#abort.signal.aborted) this.#listener.onLost();
  };

  #trickle(): void {
    const answer = this.#answer;
    const offer = this.#peer.localDescription?.sdp;
    const etag = answer?.etag ?? null;
    if (answer === null || etag === null || offer === undefined || this.#late.length === 0) return;
    const late = this.#late.splice(0);
    const told = import('./relay').then((relay) =>
      relay.patchCandidates(answer.location, etag, relay.sdpFragment(offer, late)),
    );
    // A candidate that does not arrive is a way less, not an error: the deadline above judges.
    told.catch(() => undefined);
  }
}

function h264Codecs(): RTCRtpCodec[] {
  const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  const ours = codecs.filter(({ mimeType }) => /^video\/(h264|rtx)$/i.test(mimeType));
  return ours.some(({ mimeType }) => /h264/i.test(mimeType)) ? ours : [];
}
