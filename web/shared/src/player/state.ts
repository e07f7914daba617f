/**
 * What the page shows, as one value with one transition function. Everything else derives from it.
 *
 *   checking ──granted──► preparing ──first_frame──► streaming{live} ◄──back── streaming{lost}
 *      │  ▲                  │                            │  └────────lost───────────▲
 *      │  └─retry─┐          │ stopped                    │ stopped
 *      ▼          │          ▼                            ▼
 *   waiting ──────┴────── stopped{why} ◄──────────────────┘
 *   (busy, offline, scheduled: tried again by itself)
 *
 * An event that makes no sense in a state leaves it as it is. It knows no DOM, no HTTP and no timer.
 */

import type { LaunchState } from '../api/launch';
import type { CloseReason } from '../wire/close';
import type { PageMs } from '../wire/time';

/** Why there is no picture, one page each. */
export type StopReason =
  | 'invalid'
  | 'expired'
  | 'revoked'
  | 'exhausted'
  | 'closed'
  | 'scheduled'
  | 'busy'
  | 'offline'
  | 'elsewhere'
  | 'replaced'
  | 'idle'
  | 'time_up'
  | 'ended'
  | 'unsupported'
  | 'network'
  | 'failed';

/** What a page waits for, and tries again by itself. */
export type Awaited = Extract<StopReason, 'busy' | 'offline' | 'scheduled'>;

/** Whether pictures can arrive right now. */
export type Link = { kind: 'live' } | { kind: 'lost'; since: PageMs };

/** What the page shows. */
export type State =
  /** `again`: what was waited for until now; null for a first look. */
  | { kind: 'checking'; again: Awaited | null }
  | { kind: 'preparing'; session: LaunchState }
  | { kind: 'streaming'; session: LaunchState; link: Link }
  /** `until`: when it is tried again. */
  | { kind: 'waiting'; why: Awaited; until: PageMs }
  | { kind: 'stopped'; why: StopReason };

/** What happened. */
export type Event =
  | { kind: 'granted'; session: LaunchState }
  | { kind: 'progress'; session: LaunchState }
  | { kind: 'first_frame' }
  | { kind: 'lost'; now: PageMs }
  | { kind: 'back' }
  | { kind: 'wait'; why: Awaited; until: PageMs }
  | { kind: 'stopped'; why: StopReason }
  | { kind: 'retry' };

/** The state after an event. */
export function transition(state: State, event: Event): State {
  switch (event.kind) {
    case 'granted':
      return state.kind === 'checking' ? { kind: 'preparing', session: event.session } : state;
    case 'progress':
      return state.kind === 'preparing' || state.kind === 'streaming' ? { ...state, session: event.session } : state;
    case 'first_frame':
      return state.kind === 'preparing' ? { kind: 'streaming', session: state.session, link: { kind: 'live' } } : state;
    case 'lost':
      return state.kind === 'streaming' && state.link.kind === 'live'
        ? { ...state, link: { kind: 'lost', since: event.now } }
        : state;
    case 'back':
      return state.kind === 'streaming' ? { ...state, link: { kind: 'live' } } : state;
    case 'wait':
      return state.kind === 'checking' ? { kind: 'waiting', why: event.why, until: event.until } : state;
    case 'stopped':
      // The first reason is the true one: what follows an ended lease is only its echo.
      return state.kind === 'stopped' ? state : { kind: 'stopped', why: event.why };
    case 'retry':
      if (state.kind === 'waiting') return { kind: 'checking', again: state.why };
      return state.kind === 'stopped' ? { kind: 'checking', again: null } : state;
  }
}

/** The page for an error code of the REST API; null when trying again may help. */
export function stopForCode(code: string): StopReason | null {
  return BY_CODE.get(code) ?? null;
}

/** The page for an error of the launch whose code this page does not know. */
export function stopForStatus(status: number): StopReason {
  if (status === 404 || status === 400 || status === 422) return 'invalid';
  if (status === 401 || status === 403 || status === 410) return 'ended';
  // Whatever it is, it will pass.
  if (status === 409) return 'closed';
  if (status === 503) return 'offline';
  return 'failed';
}

/** The page for the end of a connection; null when only the connection ended and a new one may work. */
export function stopForClose(reason: CloseReason): StopReason | null {
  return BY_CLOSE[reason] ?? null;
}

const BY_CODE: ReadonlyMap<string, StopReason> = new Map([
  ['LINK_NOT_FOUND', 'invalid'],
  ['LINK_EXPIRED', 'expired'],
  ['LINK_REVOKED', 'revoked'],
  ['LINK_EXHAUSTED', 'exhausted'],
  ['LINK_PAUSED', 'closed'],
  ['LINK_SCHEDULED', 'scheduled'],
  ['LINK_BOUND_ELSEWHERE', 'elsewhere'],
  ['DEVICE_IN_USE', 'busy'],
  ['DEVICE_OFFLINE', 'offline'],
  ['DEVICE_NOT_FOUND', 'offline'],
  ['SESSION_NOT_FOUND', 'ended'],
  ['LEASE_LOST', 'ended'],
  ['CODEC_UNSUPPORTED', 'unsupported'],
]);

/** What is not here ends one connection only. */
const BY_CLOSE: Readonly<Partial<Record<CloseReason, StopReason>>> = {
  client_left: 'ended',
  replaced: 'replaced',
  kicked: 'ended',
  link_revoked: 'revoked',
  link_expired: 'expired',
  lease_ended: 'ended',
  idle: 'idle',
  max_duration: 'time_up',
  quota: 'time_up',
  setup_failed: 'failed',
};
