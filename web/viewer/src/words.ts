/**
 * The words of every page without a picture: what is the matter, in a title and a sentence, and what
 * a person can do about it. Words only; `Page.svelte` draws them.
 */

import type { State, StopReason } from '@farglass/shared/player/state';
import type { PageMs } from '@farglass/shared/wire/time';

/** One page: its title, its sentence, and the label of its button, if trying again can help. */
export type Words = readonly [title: string, text: string, retry?: string];

/** The page at an address without a link. */
export const NO_LINK: Words = ['Nothing to show yet', 'Open the link that you were sent, and its device appears here.'];

/** The page for a state. `restartable`: the link is still at hand, so that an ended session can be followed by another. */
export function wordsFor(state: State, restartable: boolean): Words {
  switch (state.kind) {
    case 'checking':
      // The page of a device that is waited for stays as it is while it is asked for.
      return state.again === null ? ['One moment', 'Looking up your link.'] : STOPPED[state.again];
    case 'preparing':
    case 'streaming':
      return [state.session.deviceName, `Getting ${state.session.appPackage ?? 'the device'} ready for you.`];
    case 'waiting':
    case 'stopped': {
      const [title, text, retry] = STOPPED[state.why];
      if (retry !== AGAIN || restartable) return retry === undefined ? [title, text] : [title, text, retry];
      return [title, `${text} Open your link again to start a new session.`];
    }
  }
}

/** What a page that waits says about its next try at `now`, `wall` by the calendar; null on every other page. */
export function nextTry(state: State, now: PageMs, wall: number): string | null {
  if (state.kind === 'checking' && state.again !== null) return 'Checking again…';
  if (state.kind !== 'waiting') return null;
  const left = state.until - now;
  if (state.why === 'scheduled') return `Opens ${new Date(wall + left).toLocaleString()}`;
  return `Checking again in ${Math.max(1, Math.ceil(left / 1000))} s`;
}

const AGAIN = 'Start again';
const RETRY = 'Try again';
const RETRY_NOW = 'Try now';

const STOPPED: Readonly<Record<StopReason, Words>> = {
  invalid: [
    'This link does not work',
    'It may be incomplete. Check it, or ask whoever sent it for a new one.',
  ],
  expired: ['This link has expired', 'Its time is over. Ask whoever sent it for a new one.'],
  revoked: ['This link was withdrawn', 'Whoever sent it has switched it off. Ask them for a new one.'],
  exhausted: ['This link is used up', 'All its visits are taken. Ask whoever sent it for a new one.'],
  closed: ['This link is closed for now', 'Whoever sent it has paused it. Try again later, or ask them.', RETRY],
  scheduled: [
    'This link is not open yet',
    'Leave this page open: the device appears here when its time comes.',
    RETRY_NOW,
  ],
  busy: [
    'Somebody else is using this device',
    'Leave this page open: the device appears here when it is free.',
    RETRY_NOW,
  ],
  offline: [
    'The device is offline',
    'Leave this page open: the device appears here when it is back.',
    RETRY_NOW,
  ],
  elsewhere: [
    'This link is open in another browser',
    'Close it there, wait half a minute and try again.',
    RETRY,
  ],
  replaced: ['The device moved to another tab', 'You opened it there.', 'Use it here'],
  idle: ['Still there?', 'Nobody touched the device for a while, so it was given back.', AGAIN],
  time_up: ['Time is up', 'This session was as long as it may be.', AGAIN],
  ended: ['The session has ended', 'The device was given back.', AGAIN],
  unsupported: [
    'This browser cannot show the device',
    'It needs WebRTC with H.264 video. A current Chrome, Edge, Firefox or Safari has both.',
  ],
  network: [
    'No connection',
    'The device cannot be reached from here. Check your network.',
    RETRY,
  ],
  failed: ['The device could not be made ready', 'Something went wrong on our side.', RETRY],
};
