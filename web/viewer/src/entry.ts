/**
 * What the address says: which link, which session, or none. Pure, so that it can be tested.
 *
 *   /l#TOKEN      a link: its secret is in the fragment, which no server sees
 *   /s/SESSION    a session that this browser's cookie is bound to
 */

import type { Ticket } from '@farglass/shared/api/launch';
import { type SessionId, parseLinkToken, parseSessionId } from '@farglass/shared/wire/ids';

/** What the address says. */
export type Entry = { kind: 'ticket'; ticket: Ticket } | { kind: 'broken_link' } | { kind: 'none' };

/** Reads an address. */
export function readEntry({ pathname, hash }: { pathname: string; hash: string }): Entry {
  if (pathname === '/l' || pathname === '/l/') {
    const token = parseLinkToken(hash.slice(1));
    return token === null ? { kind: 'broken_link' } : { kind: 'ticket', ticket: { kind: 'token', token } };
  }
  const id = /^\/s\/([^/]+)\/?$/.exec(pathname)?.[1];
  if (id === undefined) return { kind: 'none' };
  const session = parseSessionId(id);
  return session === null ? { kind: 'broken_link' } : { kind: 'ticket', ticket: { kind: 'session', session } };
}

/** The address of a session. */
export function sessionPath(session: SessionId): string {
  return `/s/${session}`;
}
