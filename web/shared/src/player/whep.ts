/**
 * The exchange of session descriptions over HTTP: a WHEP client (draft-ietf-wish-whep; the rules of
 * PATCH, ETag and DELETE are those of WHIP, RFC 9725).
 *
 *   POST   /whep/{session}  offer ──► 201, answer, Location, ETag, Link: <turn:…>; rel="ice-server"
 *   PATCH  {Location}       late candidates (trickle-ice-sdpfrag), If-Match: the ETag
 *   DELETE {Location}       the viewer leaves
 *
 * It knows no peer connection; text in, text out.
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
  iceServers: RTCIceServer[];
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
    iceServers: iceServers(response.headers.get('link') ?? ''),
  };
}

/** Sends late candidates. */
export async function patchCandidates(location: string, etag: string, fragment: string): Promise<void> {
  const headers = { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': etag };
  await request(location, { method: 'PATCH', headers, body: fragment });
}

/** Ends the connection; goes out even while the page is closing. */
export async function deleteConnection(location: string): Promise<void> {
  await request(location, { method: 'DELETE', keepalive: true });
}

/**
 * Candidates as a fragment (RFC 8840), with the credentials of the offer that they belong to. Everything is
 * bundled on the first media section, so all of them are its.
 */
export function sdpFragment(offer: string, candidates: readonly RTCIceCandidate[]): string {
  const credential = (name: string): string => new RegExp(`^a=${name}:.*$`, 'm').exec(offer)?.[0].trim() ?? '';
  const lines = [
    credential('ice-ufrag'),
    credential('ice-pwd'),
    'm=video 9 UDP/TLS/RTP/SAVPF 0',
    'a=mid:0',
    ...candidates.map(({ candidate }) => `a=${candidate}`),
    '',
  ];
  return lines.join('\r\n');
}

/** The ICE servers in a `Link` header (RFC 8288); links of other relations are left out. */
export function iceServers(header: string): RTCIceServer[] {
  const servers: RTCIceServer[] = [];
  for (const [, url, rest] of header.matchAll(/<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^",;\s]*))*)/g)) {
    const parameters = new Map<string, string>();
    for (const [, name, quoted, bare] of (rest ?? '').matchAll(/;\s*([\w-]+)\s*=\s*(?:"([^"]*)"|([^",;\s]*))/g)) {
      parameters.set((name ?? '').toLowerCase(), quoted ?? bare ?? '');
    }
    if (parameters.get('rel') !== 'ice-server' || url === undefined) continue;
    const username = parameters.get('username');
    const credential = parameters.get('credential');
    servers.push(username !== undefined && credential !== undefined ? { urls: url, username, credential } : { urls: url });
  }
  return servers;
}
