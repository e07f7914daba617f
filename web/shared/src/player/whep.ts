/**
 * The exchange of session descriptions over HTTP: a WHEP client (draft-ietf-wish-whep; the rules of
 * PATCH, ETag and DELETE are those of WHIP, RFC 9725).
 *
 *   POST   /whep/{session}  offer ──► 201, answer, Location, ETag, Link: <turn:…>; rel="ice-server"
 *   DELETE {Location}       the viewer leaves
 *
 * PATCH, and what the `Link` header says, are in `relay.ts`. It knows no peer connection; text in, text out.
 */

import { request } from '../api/problem';
import type { SessionId } from '../wire/ids';

/** What the gateway answered. */
export interface Answer {
  sdp: string;
  /** The connection's own path. */
  location: string;
  /** Names this ICE session in a PATCH; null when the server takes none. */
  etag: string | null;
  /** The ICE servers, as a `Link` header that `relay.ts` reads; null when there are none. */
  link: string | null;
}

/** Posts an offer. Throws `Problem` or `Unreachable`. */
export async function postOffer(session: SessionId, sdp: string, signal: AbortSignal): Promise<Answer> {
  const headers = { 'content-type': 'application/sdp', accept: 'application/sdp' };
  const response = await request(`/whep/${session}`, { method: 'POST', headers, body: sdp, signal });
  const location = response.headers.get('location');
  if (location === null) throw new TypeError('the answer has no Location');
  return {
    sdp: await response.text(),
    location: new URL(location, response.url).pathname,
    etag: response.headers.get('etag'),
    link: response.headers.get('link'),
  };
}

/** Ends the connection; goes out even while the page is closing. */
export async function deleteConnection(location: string): Promise<void> {
  await request(location, { method: 'DELETE', keepalive: true });
}
