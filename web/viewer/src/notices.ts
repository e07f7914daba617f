/**
 * The words over a picture that stands still. Apart from `words.ts`, because nobody needs them before the
 * first frame.
 */

import type { State } from '@farglass/shared/player/state';

/** Why the picture stands still; null while it lives. */
export function stillWords({ link, session }: Extract<State, { kind: 'streaming' }>): string | null {
  if (link.kind === 'lost') {
    return session.presence === 'unlinked' ? 'The connection to the host is lost. Reconnecting…' : 'Reconnecting…';
  }
  switch (session.presence) {
    case 'returning':
      return 'The device is restarting…';
    case 'lost':
      return 'The device does not answer. Waiting for it…';
    // The picture lives: what only the server has lost is no news to a person.
    case 'unlinked':
    case 'ready':
      return null;
  }
}

/** Who else sees the picture; null while nobody does. */
export function observerWords(observers: number): string | null {
  if (observers === 0) return null;
  return observers === 1 ? 'Somebody is watching' : `${observers} are watching`;
}
