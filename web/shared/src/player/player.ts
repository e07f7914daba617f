/**
 * From a link to a playing picture, and back to it after every fault: the policy above one attempt.
 *
 *   launch ──granted──► follow (SSE) ∥ attempt ──first frame──► streaming
 *                                        │ lost
 *                                        ▼
 *                                wait (backoff) ─► new attempt … until the lease ends, or 30 s without success
 *
 * The offer leaves as soon as the lease is granted, while the device is still being prepared; media
 * starts when the gateway opens the gate. Owns every timer and listener of the page's stream; the
 * page only shows `State`. It knows no framework.
 */

import * as api from '../api/launch';
import { Problem, Unreachable } from '../api/problem';
import type { GestureInput } from '../input/gesture';
import type { listenToKeyboard } from '../input/keyboard_source';
import { listenToPointers } from '../input/pointer';
import { type CloseReason, parseCloseReason } from '../wire/close';
import type { SystemButton, ToGateway } from '../wire/control';
import type { SessionId } from '../wire/ids';
import { type PageMs, pageMs } from '../wire/time';
import { Attempt } from './attempt';
import { BUSY, RECONNECT, retryDelayMs } from './backoff';
import type { Measure, Overlay } from './measure';
import { mark, supportsStreaming } from './rtc';
import { type Event, type State, type StopReason, stopForClose, stopForCode, stopForStatus, transition } from './state';
import type { Still } from './still';

/** Without success for this long a person should be told, and asked. The lease's grace is 30 s as well. */
const GIVE_UP_MS = 30_000;
/** A gateway that answers pings each second and was not heard for this long is gone. */
const SILENCE_MS_MAX = 3000;
/** The longest timer that browsers have; a link that opens later is asked about once in between. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The elements that the player works with, from the page. */
export interface Elements {
  video: HTMLVideoElement;
  /** Receives pointers and keys; holds `video` and `field`. */
  stage: HTMLElement;
  /** The hidden text field that phone keyboards and input methods need. */
  field: HTMLTextAreaElement;
}

/** What the page is told. */
export interface PlayerListener {
  onState(state: State): void;
  /** The link is redeemed: its secret must leave the address bar. */
  onGranted(session: SessionId): void;
}

/** What a player can do without until the first frame is shown; the page loads it then. */
export interface Equipment {
  listenToKeyboard: typeof listenToKeyboard;
  Measure: typeof Measure;
  Still: typeof Still;
}

/** A page's stream. */
export class Player {
  readonly #elements: Elements;
  readonly #listener: PlayerListener;
  readonly #life = new AbortController();
  #ticket: api.Ticket;
  /** Names a launch until it is granted: sent again after a lost answer, it finds the lease that it was given. */
  #key = crypto.randomUUID();
  #state: State = { kind: 'checking', again: null };
  /** Ends what belongs to one lease: its events and its requests. */
  #lease = new AbortController();
  #attempt: Attempt | null = null;
  #iceServers: RTCIceServer[] = [];
  #tries = 0;
  #failingSince: PageMs | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #frameTimes = false;
  /** Whether a frame was asked for and has not come. */
  #watching = false;
  #equipment: Equipment | null = null;
  #still: Still | null = null;

  /** Starts at once. */
  constructor(elements: Elements, ticket: api.Ticket, listener: PlayerListener) {
    this.#elements = elements;
    this.#ticket = ticket;
    this.#listener = listener;
    this.#listen();
    if (supportsStreaming()) void this.#launch(0);
    else this.#apply({ kind: 'stopped', why: 'unsupported' });
  }

  /** Ends everything. */
  close(): void {
    this.#life.abort();
    this.#drop({ tell: true });
  }

  /** The person asks to try again now. */
  retry(): void {
    if (this.#state.kind !== 'stopped' && this.#state.kind !== 'waiting') return;
    this.#apply({ kind: 'retry' });
    void this.#launch(0);
  }

  /** Whether this page still holds the link's secret, so that an ended session can be followed by another. */
  get restartable(): boolean {
    return this.#ticket.kind === 'token';
  }

  /** A button of the device. */
  system(what: SystemButton): void {
    this.#send({ type: 'system', what });
  }

  /** Gives the device back. */
  async end(): Promise<void> {
    const session = this.#session();
    this.#stop('ended');
    // The lease also ends by itself, after its grace.
    if (session !== null) await api.end(session).catch(() => undefined);
  }

  /** Completes the player: from now on it takes keys, measures, and keeps the picture over a loss. Once. */
  equip(equipment: Equipment): void {
    this.#equipment = equipment;
    const { stage, field, video } = this.#elements;
    this.#still = new equipment.Still(video);
    equipment.listenToKeyboard(stage, field, (message) => { this.#send(message); }, this.#life.signal);
    this.#attempt?.measure(equipment.Measure);
  }

  /** Whether the overlay is open. */
  set frameTimes(wanted: boolean) {
    this.#frameTimes = wanted;
    if (this.#attempt !== null) this.#attempt.frameTimes = wanted;
    this.#watch();
  }

  /** The overlay's numbers; null while nothing is connected or measured. */
  async overlay(): Promise<Overlay | null> {
    return (await this.#attempt?.overlay()) ?? null;
  }

  async #launch(attempt: number): Promise<void> {
    // A try that was waited for is not due any more: this is it.
    this.#settle();
    this.#lease = new AbortController();
    this.#tries = 0;
    this.#failingSince = null;
    mark('launch');
    const armed = this.#arm();
    try {
      const session = await api.launch(this.#ticket, this.#key, this.#lease.signal);
      this.#key = crypto.randomUUID();
      this.#apply({ kind: 'granted', session });
      this.#listener.onGranted(session.sessionId);
      this.#progress(session);
      if (this.#state.kind !== 'preparing') return;
      this.#follow(session.sessionId, 0);
      await this.#open(armed, session.sessionId);
    } catch (error) {
      this.#drop({ tell: true });
      this.#refused(error, attempt);
    }
  }

  /** Makes the next attempt the current one; its offer is being made. */
  #arm(): Attempt {
    const attempt = new Attempt(this.#iceServers, {
      onTrack: (track) => {
        this.#elements.video.srcObject = new MediaStream([track]);
      },
      onFirstFrame: () => { this.#playing(); },
      onBye: (reason) => { this.#bye(reason); },
      onLost: () => { this.#lost(null); },
    });
    attempt.frameTimes = this.#frameTimes;
    if (this.#equipment !== null) attempt.measure(this.#equipment.Measure);
    this.#attempt = attempt;
    this.#watch();
    return attempt;
  }

  async #open(attempt: Attempt, session: SessionId): Promise<void> {
    try {
      const servers = await attempt.open(session);
      if (servers.length > 0) this.#iceServers = servers;
    } catch (error) {
      if (this.#attempt === attempt) this.#lost(error);
    }
  }

  #playing(): void {
    mark('first-frame');
    this.#still?.clear();
    this.#tries = 0;
    this.#failingSince = null;
    this.#apply({ kind: 'first_frame' });
    this.#apply({ kind: 'back' });
  }

  #bye(reason: CloseReason): void {
    const stop = stopForClose(reason);
    if (stop === null) this.#lost(null);
    else this.#stop(stop);
  }

  /** The attempt failed or broke: another one, unless its error says that the lease is gone. */
  #lost(error: unknown): void {
    const session = this.#session();
    if (session === null) return;
    const stop = error instanceof Problem ? lostLease(error) : null;
    if (stop !== null) {
      this.#stop(stop);
      return;
    }
    const now = pageMs(performance.now());
    if (this.#state.kind === 'streaming' && this.#state.link.kind === 'live') this.#still?.keep();
    this.#end({ tell: true });
    this.#apply({ kind: 'lost', now });
    this.#failingSince ??= now;
    if (now - this.#failingSince > GIVE_UP_MS) {
      this.#stop('network');
      return;
    }
    const wished = error instanceof Problem ? (error.retryAfterS ?? 0) * 1000 : 0;
    this.#after(Math.max(wished, retryDelayMs(RECONNECT, this.#tries, Math.random())), () => {
      this.#reconnect();
    });
    this.#tries += 1;
  }

  #reconnect(): void {
    const session = this.#session();
    if (session === null) return;
    this.#attempt?.close({ tell: true });
    void this.#open(this.#arm(), session);
  }

  #follow(session: SessionId, failures: number): void {
    const { signal } = this.#lease;
    let failed = failures;
    const heard = (state: api.LaunchState): void => {
      failed = 0;
      this.#progress(state);
    };
    // The server closed the stream of events: ask why, then follow again.
    const closed = async (): Promise<void> => {
      await this.#verify(session);
      setTimeout(() => {
        if (!signal.aborted) this.#follow(session, failed + 1);
      }, retryDelayMs(RECONNECT, failed + 1, Math.random()));
    };
    api.follow(session, heard, () => void closed(), signal);
  }

  async #verify(session: SessionId): Promise<void> {
    try {
      this.#progress(await api.current(session, this.#lease.signal));
    } catch (error) {
      const stop = error instanceof Problem ? lostLease(error) : null;
      if (stop !== null && !this.#lease.signal.aborted) this.#stop(stop);
    }
  }

  #progress(session: api.LaunchState): void {
    if (session.stage === 'ended') {
      const reason = session.endReason === null ? null : parseCloseReason(session.endReason);
      this.#stop((reason === null ? null : stopForClose(reason)) ?? 'ended');
      return;
    }
    this.#apply({ kind: 'progress', session });
    this.#doubt();
  }

  /**
   * The server has lost the host. Its link may be all that broke, so the gateway's silence decides; there is none
   * to hear before the pings have begun.
   */
  #doubt(): void {
    const state = this.#state;
    if (state.kind !== 'streaming' || state.link.kind === 'lost' || state.session.presence !== 'unlinked') return;
    if (this.#attempt === null || this.#equipment === null) return;
    const patience = this.#attempt.heard + SILENCE_MS_MAX - performance.now();
    if (patience < 0) this.#lost(null);
    else this.#after(patience + 1, () => { this.#doubt(); });
  }

  /** The launch was refused, or its server could not be reached. */
  #refused(error: unknown, attempt: number): void {
    if (this.#life.signal.aborted || this.#state.kind !== 'checking') return;
    const why = error instanceof Problem ? (stopForCode(error.code) ?? stopForStatus(error.status)) : 'network';
    if (why !== 'busy' && why !== 'offline' && why !== 'scheduled') {
      this.#stop(error instanceof Problem || error instanceof Unreachable ? why : 'failed');
      return;
    }
    const wished = error instanceof Problem ? (error.retryAfterS ?? 0) * 1000 : 0;
    const wait = Math.max(wished, retryDelayMs(BUSY, attempt + 1, Math.random()));
    this.#apply({ kind: 'wait', why, until: pageMs(performance.now() + wait) });
    this.#after(Math.min(wait, TIMER_MS_MAX), () => {
      this.#apply({ kind: 'retry' });
      void this.#launch(attempt + 1);
    });
  }

  #stop(why: StopReason): void {
    const session = this.#session();
    // The lease is over, and the connection with it: there is nothing to end any more.
    this.#drop({ tell: false });
    this.#apply({ kind: 'stopped', why });
    // Another page of this browser took over, or the way was lost: this page resumes by its cookie.
    if (session !== null && (why === 'replaced' || why === 'network')) this.#ticket = { kind: 'session', session };
  }

  /**
   * Ends the attempt. A video that has shown nothing lets go of its track first: Chromium would give it two black
   * pixels at the track's end, which are no picture.
   */
  #end(how: { tell: boolean }): void {
    const { video } = this.#elements;
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) video.srcObject = null;
    this.#attempt?.close(how);
    this.#attempt = null;
  }

  /** Ends what belongs to the lease, on this side; `tell` the server that the connection is over. */
  #drop(how: { tell: boolean }): void {
    this.#lease.abort();
    this.#end(how);
    this.#still?.clear();
    this.#settle();
  }

  /** Gives up what was waited for. */
  #settle(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #after(ms: number, then: () => void): void {
    this.#settle();
    this.#timer = setTimeout(then, ms);
  }

  #session(): SessionId | null {
    return this.#state.kind === 'preparing' || this.#state.kind === 'streaming' ? this.#state.session.sessionId : null;
  }

  #apply(event: Event): void {
    const next = transition(this.#state, event);
    if (next === this.#state || this.#life.signal.aborted) return;
    this.#state = next;
    this.#listener.onState(next);
  }

  #gesture(input: GestureInput): void {
    this.#attempt?.gesture(input);
  }

  #send(message: ToGateway): void {
    this.#attempt?.send(message);
  }

  /**
   * Asks for the next frame, while frames matter one by one. Not longer: a page that asks is drawn at every vsync,
   * and Chromium gives such a page its touches at the vsync too, up to 17 ms late. A change of size tells itself.
   */
  #watch(): void {
    if (this.#watching || this.#attempt?.watching !== true || this.#life.signal.aborted) return;
    this.#watching = true;
    const { video } = this.#elements;
    video.requestVideoFrameCallback((_now, metadata) => {
      this.#watching = false;
      // A new attempt learns the size here, when it is that of the attempt before.
      this.#attempt?.showing({ width: video.videoWidth, height: video.videoHeight });
      this.#attempt?.presented(metadata);
      this.#watch();
    });
  }

  #listen(): void {
    const { video, stage } = this.#elements;
    const { signal } = this.#life;
    const size = (): { width: number; height: number } => ({ width: video.videoWidth, height: video.videoHeight });
    listenToPointers(stage, {
      place: () => ({ element: video.getBoundingClientRect(), video: size() }),
      gesture: (input) => { this.#gesture(input); },
      system: (button) => { this.system(button); },
    }, signal);
    video.addEventListener('resize', () => { this.#attempt?.showing(size()); }, { signal });
    // A frame that comes while the browser still sets the new track up is shown, but no frame callback tells of it,
    // and a screen that stands still has no next one for seconds. Data is there: the second vsync from now shows it.
    video.addEventListener('loadeddata', () => {
      const attempt = this.#attempt;
      requestAnimationFrame(() => requestAnimationFrame(() => {
        attempt?.showing(size());
        attempt?.begun();
      }));
    }, { signal });
    window.addEventListener('pagehide', () => { this.#attempt?.close({ tell: true }); }, { signal });
    window.addEventListener('pageshow', (event) => {
      if (event.persisted) this.#lost(null);
    }, { signal });
    window.addEventListener('online', () => {
      if (this.#state.kind === 'stopped' && this.#state.why === 'network') this.retry();
    }, { signal });
  }
}

/** The page for an error of a session that was granted before; null when it may still live. */
function lostLease(problem: Problem): StopReason | null {
  const gone = problem.status === 401 || problem.status === 403 || problem.status === 404 || problem.status === 410;
  const byCode = stopForCode(problem.code);
  if (byCode === 'offline' || byCode === 'busy') return null;
  return byCode ?? (gone ? 'ended' : null);
}
