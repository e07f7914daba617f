/**
 * Opening a link: the public launch routes, typed. JSON becomes a valid value here, in one step.
 *
 *   POST /api/v1/launch {token} | {session_id} → the session, and a cookie that binds this browser to it
 *   GET  /api/v1/launch/current?session=ID     → the same, now
 *   GET  /api/v1/launch/events?session=ID      → the same, at once and on every change (server-sent events)
 *   POST /api/v1/launch/end {session_id}
 *
 * The token travels in bodies only, never in a URL that reaches a server.
 */

import { type LinkToken, type SessionId, parseSessionId } from '../wire/ids';
import { type PageMs, pageMs } from '../wire/time';
import { request } from './problem';

/** How far the device is; `ready` opens media and input. */
export type Stage = 'reset' | 'launch' | 'connect' | 'ready' | 'ended';

/** Whether the device is there; `unlinked`: the server does not know, and what the host sends does not pass it. */
export type Presence = 'ready' | 'returning' | 'lost' | 'unlinked';

/** A session as its page sees it. */
export interface LaunchState {
  sessionId: SessionId;
  stage: Stage;
  /** 0 to 100. */
  progress: number;
  deviceName: string;
  presence: Presence;
  /** The package that is started; null for the launcher. */
  appPackage: string | null;
  /** A close reason by name; null while the session lives. */
  endReason: string | null;
  /** An end that is near, as the server sent it: `player/warning.ts` reads it. */
  warning: unknown;
  /** How many others look on. */
  observers: number;
  /** When this was heard: what it says of time counts from here. */
  heardAt: PageMs;
}

/** What a page holds to be let in: the link's secret, or the session that its cookie is bound to. */
export type Ticket = { kind: 'token'; token: LinkToken } | { kind: 'session'; session: SessionId };

/** Claims the device, or resumes what this browser already holds. The same `key` again finds what it was granted. */
export async function launch(ticket: Ticket, key: string, signal: AbortSignal): Promise<LaunchState> {
  const body = ticket.kind === 'token' ? { token: ticket.token } : { session_id: ticket.session };
  return read(await post('/api/v1/launch', body, { signal }, { 'idempotency-key': key }));
}

/** The session now. */
export async function current(session: SessionId, signal: AbortSignal): Promise<LaunchState> {
  const path = `/api/v1/launch/current?session=${session}`;
  return read(await request(path, { signal }));
}

/** Gives the device back. */
export async function end(session: SessionId): Promise<void> {
  await post('/api/v1/launch/end', { session_id: session }, { keepalive: true });
}

/** Follows the session. `onClosed` tells that the server refused to go on; a lost network is retried inside. */
export function follow(
  session: SessionId,
  onState: (state: LaunchState) => void,
  onClosed: () => void,
  signal: AbortSignal,
): void {
  const source = new EventSource(`/api/v1/launch/events?session=${session}`);
  source.addEventListener('state', (event: MessageEvent<string>) => {
    onState(parseLaunchState(JSON.parse(event.data)));
  });
  source.addEventListener('error', () => {
    if (source.readyState === EventSource.CLOSED) onClosed();
  });
  signal.addEventListener('abort', () => { source.close(); });
}

/** Reads a session. Throws `TypeError` when the server speaks another language than this page. */
export function parseLaunchState(json: unknown): LaunchState {
  const state = object(json);
  const device = object(state.device);
  const sessionId = parseSessionId(text(state.session_id));
  const stage = STAGES.find((each) => each === state.stage);
  if (sessionId === null || stage === undefined) throw new TypeError('session');
  return {
    sessionId,
    stage,
    progress: Math.max(0, Math.min(100, number(state.progress))),
    deviceName: text(device.name),
    // An older server says nothing, a newer one perhaps more: then the picture speaks for itself.
    presence: PRESENCES.find((each) => each === device.state) ?? 'ready',
    appPackage: state.app == null ? null : text(object(state.app).package),
    endReason: state.end_reason == null ? null : text(state.end_reason),
    warning: state.warning,
    observers: Number(state.observers) || 0,
    heardAt: pageMs(performance.now()),
  };
}

const PRESENCES: readonly Presence[] = ['ready', 'returning', 'lost', 'unlinked'];
const STAGES: readonly Stage[] = ['reset', 'launch', 'connect', 'ready', 'ended'];

function post(path: string, body: unknown, init: RequestInit, more?: object): Promise<Response> {
  const headers = { 'content-type': 'application/json', ...more };
  return request(path, { method: 'POST', headers, body: JSON.stringify(body), ...init });
}

async function read(response: Response): Promise<LaunchState> {
  return parseLaunchState(await response.json());
}

function object(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new TypeError('object');
  return value as Record<string, unknown>;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('text');
  return value;
}

function number(value: unknown): number {
  if (typeof value !== 'number') throw new TypeError('number');
  return value;
}
