import type { LaunchState, Presence } from '@farglass/shared/api/launch';
import type { Link } from '@farglass/shared/player/state';
import type { SessionId } from '@farglass/shared/wire/ids';
import { pageMs } from '@farglass/shared/wire/time';
import { describe, expect, it } from 'vitest';
import { observerWords, stillWords } from '../src/notices';

const LIVE: Link = { kind: 'live' };
const LOST: Link = { kind: 'lost', since: pageMs(0) };

const words = (link: Link, presence: Presence): string | null => {
  const session: LaunchState = {
    sessionId: '0191d3f0-0000-7000-8000-000000000001' as SessionId,
    stage: 'ready',
    progress: 100,
    deviceName: 'one',
    presence,
    appPackage: null,
    endReason: null,
    warning: null,
    observers: 0,
    heardAt: pageMs(0),
  };
  return stillWords({ kind: 'streaming', session, link });
};

describe('over the picture', () => {
  it('nothing is said while it lives, whatever the server has lost', () => {
    expect([words(LIVE, 'ready'), words(LIVE, 'unlinked')]).toEqual([null, null]);
  });

  it('it says that the device is away or on its way back', () => {
    expect(words(LIVE, 'returning')).toMatch(/restarting/);
    expect(words(LIVE, 'lost')).toMatch(/does not answer/);
  });

  it('it says which connection is lost', () => {
    expect(words(LOST, 'ready')).toBe('Reconnecting…');
    expect(words(LOST, 'unlinked')).toMatch(/host is lost/);
  });

  it('it says who else sees it, and nothing when nobody does', () => {
    expect([0, 1, 3].map(observerWords)).toEqual([null, 'Somebody is watching', '3 are watching']);
  });
});
