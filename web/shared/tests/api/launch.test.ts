import { describe, expect, it } from 'vitest';
import { parseLaunchState } from '../../src/api/launch';
import { parseLinkToken, parseSessionId } from '../../src/wire/ids';

const ID = '0191d3f0-0000-7000-8000-000000000001';
const JSON_STATE = {
  session_id: ID,
  link_state: 'active',
  lease_state: 'preparing',
  session_state: 'preparing',
  stage: 'launch',
  progress: 40,
  device: { name: 'one', width: 720, height: 1280 },
  app: { package: 'dev.farglass.paint' },
};

describe('a session from the server', () => {
  it('becomes a value that the page can trust', () => {
    expect(parseLaunchState(JSON_STATE)).toEqual({
      sessionId: ID,
      stage: 'launch',
      progress: 40,
      deviceName: 'one',
      presence: 'ready',
      appPackage: 'dev.farglass.paint',
      endReason: null,
      warning: undefined,
      observers: 0,
      heardAt: expect.any(Number) as number,
    });
    expect(parseLaunchState({ ...JSON_STATE, observers: 2 }).observers).toBe(2);
    expect(parseLaunchState({ ...JSON_STATE, app: null, stage: 'ended', end_reason: 'idle', progress: 400 })).toMatchObject({
      appPackage: null,
      endReason: 'idle',
      progress: 100,
    });
  });

  it('says whether the device is there, in the words that this page knows', () => {
    const presence = (state: unknown): string =>
      parseLaunchState({ ...JSON_STATE, device: { name: 'one', state } }).presence;
    expect(['ready', 'returning', 'lost', 'unlinked'].map(presence)).toEqual(['ready', 'returning', 'lost', 'unlinked']);
    expect([undefined, 'asleep'].map(presence)).toEqual(['ready', 'ready']);
  });

  it.each([
    ['nothing', null],
    ['a stage that this page does not know', { ...JSON_STATE, stage: 'later' }],
    ['a number as text', { ...JSON_STATE, progress: '40' }],
    ['no device', { ...JSON_STATE, device: undefined }],
    ['an id that is none', { ...JSON_STATE, session_id: '../../etc' }],
  ])('is refused when it has %s', (_name, json) => {
    expect(() => parseLaunchState(json)).toThrow(TypeError);
  });
});

describe('what an address may hold', () => {
  it('is a session id or nothing', () => {
    expect(parseSessionId(ID)).toBe(ID);
    expect(parseSessionId(`${ID}/x`)).toBeNull();
    expect(parseSessionId(ID.toUpperCase())).toBeNull();
  });

  it('is a token or nothing', () => {
    expect(parseLinkToken('a'.repeat(43))).toBe('a'.repeat(43));
    expect(parseLinkToken('')).toBeNull();
    expect(parseLinkToken('<script>alert(1)</script>')).toBeNull();
  });
});
