/**
 * What a connection needs when it has to go through a relay: the servers that the answer named, and the
 * candidates that they gave, told to the gateway (RFC 8840 in a PATCH of RFC 9725).
 *
 *   Link: <turn:…>; rel="ice-server" ──► RTCIceServer[] of the next try
 *   candidates ──► trickle-ice-sdpfrag ──► PATCH {Location}, If-Match: the ETag
 *
 * Loaded when an answer names servers or a candidate has to be told: on most networks neither happens.
 */

import { request } from '../api/problem';

/** Sends late candidates. */
export async function patchCandidates(location: string, etag: string, fragment: string): Promise<void> {
  const headers = { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': etag };
  await request(location, { method: 'PATCH', headers, body: fragment });
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
