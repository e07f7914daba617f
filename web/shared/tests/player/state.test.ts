import { describe, expect, it } from 'vitest';
import type { LaunchState, Stage } from '../../src/api/launch';
import { BUSY, RECONNECT, retryDelayMs } from '../../src/player/backoff';
import { Pictures } from '../../src/player/picture';
import { type Event, type State, stopForClose, stopForCode, stopForStatus, transition } from '../../src/player/state';
import type { SessionId } from '../../src/wire/ids';
import { generation, pageMs } from '../../src/wire/time';

const session = (stage: Stage): LaunchState => ({
  sessionId: '0191d3f0-0000-7000-8000-000000000001' as SessionId,
  stage,
  progress: 50,
  deviceName: 'one',
  presence: 'ready',
  appPackage: null,
  endReason: null,
  warning: null,
  observers: 0,
  heardAt: pageMs(0),
});

const after = (...events: Event[]): State => events.reduce<State>(transition, { kind: 'checking', again: null });
const GRANTED: Event = { kind: 'granted', session: session('reset') };
const FRAME: Event = { kind: 'first_frame' };
const LOST: Event = { kind: 'lost', now: pageMs(7) };

describe('the page', () => {
  it('goes from the link over the preparation to the picture', () => {
    expect(after()).toEqual({ kind: 'checking', again: null });
    expect(after(GRANTED)).toEqual({ kind: 'preparing', session: session('reset') });
    const ready: Event = { kind: 'progress', session: session('ready') };
    expect(after(GRANTED, ready)).toEqual({ kind: 'preparing', session: session('ready') });
    expect(after(GRANTED, ready, FRAME)).toEqual({ kind: 'streaming', session: session('ready'), link: { kind: 'live' } });
  });

  it('keeps the picture while the connection is replaced', () => {
    expect(after(GRANTED, FRAME, LOST)).toMatchObject({ kind: 'streaming', link: { kind: 'lost', since: 7 } });
    expect(after(GRANTED, FRAME, LOST, { kind: 'lost', now: pageMs(99) })).toMatchObject({ link: { since: 7 } });
    expect(after(GRANTED, FRAME, LOST, { kind: 'back' })).toMatchObject({ kind: 'streaming', link: { kind: 'live' } });
  });

  it('stays with the first reason for an end', () => {
    const end = after(GRANTED, FRAME, { kind: 'stopped', why: 'revoked' }, { kind: 'stopped', why: 'ended' });
    expect(end).toEqual({ kind: 'stopped', why: 'revoked' });
  });

  it('waits for a busy device, says until when, and remembers what it waited for while it tries again', () => {
    const waiting = after({ kind: 'wait', why: 'busy', until: pageMs(4000) });
    expect(waiting).toEqual({ kind: 'waiting', why: 'busy', until: 4000 });
    const checking = transition(waiting, { kind: 'retry' });
    expect(checking).toEqual({ kind: 'checking', again: 'busy' });
    expect(transition(checking, { kind: 'wait', why: 'offline', until: pageMs(9000) })).toMatchObject({ why: 'offline' });
  });

  it('begins anew when a person tries again after an end', () => {
    const stopped = after({ kind: 'stopped', why: 'network' });
    expect(transition(stopped, { kind: 'retry' })).toEqual({ kind: 'checking', again: null });
  });

  it('does not change for what makes no sense', () => {
    const states: State[] = [after(), after(GRANTED), after(GRANTED, FRAME), after({ kind: 'stopped', why: 'ended' })];
    const [checking, preparing, streaming, stopped] = states as [State, State, State, State];
    for (const event of [FRAME, LOST, { kind: 'back' }, { kind: 'retry' }, { kind: 'progress', session: session('ready') }] as Event[]) {
      expect(transition(checking, event)).toBe(checking);
    }
    for (const event of [GRANTED, LOST, { kind: 'retry' }] as Event[]) expect(transition(preparing, event)).toBe(preparing);
    for (const event of [GRANTED, FRAME, { kind: 'retry' }] as Event[]) expect(transition(streaming, event)).toBe(streaming);
    for (const event of [GRANTED, FRAME, LOST, { kind: 'back' }] as Event[]) expect(transition(stopped, event)).toBe(stopped);
  });
});

describe('reasons', () => {
  it('of a refused launch have their own pages', () => {
    const codes = ['LINK_NOT_FOUND', 'LINK_EXPIRED', 'LINK_REVOKED', 'LINK_EXHAUSTED', 'DEVICE_IN_USE', 'DEVICE_OFFLINE', 'LINK_BOUND_ELSEWHERE'];
    expect(codes.map(stopForCode)).toEqual(['invalid', 'expired', 'revoked', 'exhausted', 'busy', 'offline', 'elsewhere']);
    expect(['LINK_PAUSED', 'LINK_SCHEDULED'].map(stopForCode)).toEqual(['closed', 'scheduled']);
    expect(stopForCode('CONNECTION_LIMIT')).toBeNull();
    expect(stopForCode('SOMETHING_NEW')).toBeNull();
    expect(stopForCode('constructor')).toBeNull();
  });

  it('that this page does not know are told by their status', () => {
    expect([409, 404, 410, 503, 500].map(stopForStatus)).toEqual(['closed', 'invalid', 'ended', 'offline', 'failed']);
  });

  it('of a closed connection end the session, or are tried again', () => {
    expect(stopForClose('link_revoked')).toBe('revoked');
    expect(stopForClose('replaced')).toBe('replaced');
    expect(stopForClose('server_shutdown')).toBeNull();
    expect(stopForClose('ice_failed')).toBeNull();
  });
});

describe('waiting before another try', () => {
  it('is nothing at first, then doubles up to its cap, half of it by chance', () => {
    expect(retryDelayMs(RECONNECT, 0, 0.9)).toBe(0);
    expect([1, 2, 3].map((attempt) => retryDelayMs(RECONNECT, attempt, 0))).toEqual([125, 250, 500]);
    expect([1, 2, 3].map((attempt) => retryDelayMs(RECONNECT, attempt, 1))).toEqual([250, 500, 1000]);
    expect(retryDelayMs(BUSY, 50, 1)).toBe(BUSY.capMs);
  });
});

describe('the picture that a person sees', () => {
  const picture = (n: number, width: number, height: number) => ({ type: 'picture' as const, generation: generation(n), width, height });

  it('is unknown until one is announced', () => {
    expect(new Pictures().shown({ width: 720, height: 1280 })).toBeNull();
  });

  it('is the old one until a frame of the new size is on the screen', () => {
    const pictures = new Pictures();
    pictures.announce(picture(1, 720, 1280));
    pictures.announce(picture(2, 1280, 720));
    expect(pictures.shown({ width: 720, height: 1280 })?.generation).toBe(1);
    expect(pictures.shown({ width: 1280, height: 720 })?.generation).toBe(2);
  });

  it('is the newest one when sizes cannot tell', () => {
    const pictures = new Pictures();
    pictures.announce(picture(1, 720, 1280));
    pictures.announce(picture(2, 1280, 720));
    pictures.announce(picture(3, 720, 1280));
    expect(pictures.shown({ width: 720, height: 1280 })?.generation).toBe(3);
    expect(pictures.shown({ width: 0, height: 0 })?.generation).toBe(3);
  });
});
