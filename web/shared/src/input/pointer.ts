/**
 * Pointer events to gesture inputs: the only file that listens to fingers, pens, mouse and wheel.
 *
 * Uses `pointerrawupdate` where it exists (moves as they happen, not once a frame) and coalesced
 * events everywhere; the gesture machine drops what it is told twice. A mouse is a finger while its
 * primary button is held; its right button is Back and its middle button Home. A press that starts
 * on a bar beside the picture is no touch; a finger that slides off the picture stays at its edge.
 * All listeners end with the signal.
 */

import type { SystemButton } from '../wire/control';
import { type PageMs, pageMs } from '../wire/time';
import { type Box, type Located, type Size, locate } from './coords';
import type { GestureInput, Sample } from './gesture';

/** One notch of a mouse wheel in the units of the wire. */
const NOTCH = 120;
/** What browsers report for one notch, by `deltaMode`: pixels, lines, pages. */
const NOTCH_DELTA = [100, 3, 1] as const;
const PRESSURE_MAX = 65535;
const PRIMARY = 1;

/** Where the picture is now, and who is told. */
export interface PointerSink {
  /** The element's box and the video's size, read at every event; null while nothing is shown. */
  place(): { element: Box; video: Size } | null;
  gesture(input: GestureInput): void;
  system(button: SystemButton): void;
}

/** Listens on `stage` until `signal` aborts. */
export function listenToPointers(stage: HTMLElement, sink: PointerSink, signal: AbortSignal): void {
  const source = new PointerSource(stage, sink);
  const on = <K extends keyof HTMLElementEventMap>(type: K, listener: (event: HTMLElementEventMap[K]) => void): void => {
    stage.addEventListener(type, listener, { signal, passive: false });
  };
  on('pointerdown', (event) => { source.press(event); });
  on('pointermove', (event) => { source.move(event); });
  // Not yet in TypeScript's map of events.
  stage.addEventListener('pointerrawupdate', (event) => { source.move(event as PointerEvent); }, { signal });
  on('pointerup', (event) => { source.release(event); });
  on('pointercancel', (event) => { source.release(event); });
  on('lostpointercapture', (event) => { source.release(event); });
  on('wheel', (event) => { source.wheel(event); });
  for (const type of ['mousedown', 'contextmenu', 'dragstart', 'selectstart', 'touchstart', 'touchmove', 'auxclick'] as const) {
    on(type, (event) => { event.preventDefault(); });
  }
  const liftAll = (): void => {
    source.liftAll();
  };
  window.addEventListener('blur', liftAll, { signal });
  window.addEventListener('pagehide', liftAll, { signal });
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') liftAll();
  }, { signal });
}

class PointerSource {
  readonly #stage: HTMLElement;
  readonly #sink: PointerSink;
  readonly #down = new Set<number>();

  constructor(stage: HTMLElement, sink: PointerSink) {
    this.#stage = stage;
    this.#sink = sink;
  }

  press(event: PointerEvent): void {
    // Keeps the focus where the keyboard needs it, and stops text selection and middle-click scrolling.
    event.preventDefault();
    if (event.pointerType === 'mouse' && event.button !== 0) {
      this.#otherButton(event.button);
      return;
    }
    this.#touch(event);
  }

  move(event: PointerEvent): void {
    // While one mouse button is held, the others arrive as moves that name a button.
    if (event.pointerType === 'mouse' && event.button >= 0) {
      this.#chord(event);
      return;
    }
    if (!this.#down.has(event.pointerId)) return;
    const samples = coalesced(event).flatMap((each): Sample[] => {
      const located = this.#locate(each);
      return located === null ? [] : [{ at: located.at, time: eventTime(each) }];
    });
    this.#sink.gesture({ kind: 'move', key: event.pointerId, pressure: pressure(event), samples });
  }

  release(event: PointerEvent): void {
    if (!this.#down.delete(event.pointerId)) return;
    // A lift carries its own last position, which may be further than the last move.
    const located = event.type === 'pointerup' ? this.#locate(event) : null;
    if (located !== null) {
      const samples = [{ at: located.at, time: eventTime(event) }];
      this.#sink.gesture({ kind: 'move', key: event.pointerId, pressure: PRESSURE_MAX, samples });
    }
    this.#sink.gesture({ kind: 'up', key: event.pointerId, time: eventTime(event) });
  }

  wheel(event: WheelEvent): void {
    event.preventDefault();
    // Ctrl with a wheel is a pinch on a touchpad: zooming the page would break the picture's place.
    const located = event.ctrlKey ? null : this.#locate(event);
    if (located?.inside !== true) return;
    const notch = NOTCH_DELTA[event.deltaMode] ?? NOTCH_DELTA[0];
    const dh = (event.deltaX / notch) * NOTCH;
    const dv = (-event.deltaY / notch) * NOTCH;
    this.#sink.gesture({ kind: 'wheel', at: located.at, dh, dv, time: eventTime(event) });
  }

  liftAll(): void {
    this.#down.clear();
    this.#sink.gesture({ kind: 'lift_all', time: pageMs(performance.now()) });
  }

  #touch(event: PointerEvent): void {
    const located = this.#locate(event);
    if (located?.inside !== true) return;
    this.#stage.setPointerCapture(event.pointerId);
    this.#down.add(event.pointerId);
    const time = eventTime(event);
    this.#sink.gesture({ kind: 'down', key: event.pointerId, at: located.at, pressure: pressure(event), time });
  }

  #chord(event: PointerEvent): void {
    const held = (event.buttons & PRIMARY) !== 0;
    if (event.button !== 0) {
      const pressed = (event.buttons & (event.button === 1 ? 4 : 2)) !== 0;
      if (pressed) this.#otherButton(event.button);
    } else if (held) this.#touch(event);
    else this.release(event);
  }

  #otherButton(button: number): void {
    if (button === 2) this.#sink.system('back');
    else if (button === 1) this.#sink.system('home');
  }

  #locate(event: MouseEvent): Located | null {
    const place = this.#sink.place();
    return place === null ? null : locate(event.clientX, event.clientY, place.element, place.video);
  }
}

/** The moves that one event stands for; Safari before 18.2 does not tell. */
function coalesced(event: PointerEvent): PointerEvent[] {
  const events = 'getCoalescedEvents' in event ? event.getCoalescedEvents() : [];
  return events.length > 0 ? events : [event];
}

function eventTime(event: Event): PageMs {
  return pageMs(event.timeStamp);
}

/** A mouse has no pressure of its own, and some screens report none. */
function pressure(event: PointerEvent): number {
  if (event.pointerType === 'mouse' || event.pressure === 0) return PRESSURE_MAX;
  return Math.round(event.pressure * PRESSURE_MAX);
}
