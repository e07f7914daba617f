import { afterEach, describe, expect, it, vi } from 'vitest';
import { Problem, Unreachable } from '../../src/api/problem';
import { iceServers, patchCandidates, sdpFragment } from '../../src/player/relay';
import { postOffer } from '../../src/player/whep';
import type { SessionId } from '../../src/wire/ids';

const SESSION = '0191d3f0-0000-7000-8000-000000000001' as SessionId;

/** The server: answers one request and remembers it. */
function server(answer: () => Response): Request[] {
  const requests: Request[] = [];
  vi.stubGlobal('fetch', (path: string, init: RequestInit) => {
    requests.push(new Request(new URL(path, 'http://localhost:3000'), init));
    return Promise.resolve(answer());
  });
  return requests;
}

function created(headers: Record<string, string>): Response {
  const response = new Response('v=0 answer', { status: 201, headers });
  Object.defineProperty(response, 'url', { value: `http://localhost:3000/whep/${SESSION}` });
  return response;
}

afterEach(() => {
  vi.unstubAllGlobals();
});

describe('an offer', () => {
  it('is posted as it is, and the answer names the connection', async () => {
    const requests = server(() => created({ location: `/whep/${SESSION}/c1`, etag: '"e1"' }));
    const answer = await postOffer(SESSION, 'v=0 offer', new AbortController().signal);
    expect(answer).toEqual({ sdp: 'v=0 answer', location: `/whep/${SESSION}/c1`, etag: '"e1"', link: null });
    expect(requests[0]?.method).toBe('POST');
    expect(requests[0]?.headers.get('content-type')).toBe('application/sdp');
    expect(await requests[0]?.text()).toBe('v=0 offer');
  });

  it('that is refused throws the problem with its code and its wish to wait', async () => {
    const body = JSON.stringify({ code: 'DEVICE_OFFLINE', detail: 'The device is offline.' });
    server(() => new Response(body, { status: 503, headers: { 'retry-after': '3' } }));
    const refusal = postOffer(SESSION, '', new AbortController().signal);
    await expect(refusal).rejects.toMatchObject({ status: 503, code: 'DEVICE_OFFLINE', retryAfterS: 3 });
    await expect(refusal).rejects.toBeInstanceOf(Problem);
  });

  it('that meets a proxy’s own error page is still a problem', async () => {
    server(() => new Response('<h1>Bad gateway</h1>', { status: 502 }));
    const refusal = postOffer(SESSION, '', new AbortController().signal);
    await expect(refusal).rejects.toMatchObject({ status: 502, code: 'HTTP_502', retryAfterS: null });
  });

  it('that reaches nobody says so', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('failed to fetch')));
    await expect(postOffer(SESSION, '', new AbortController().signal)).rejects.toBeInstanceOf(Unreachable);
  });
});

describe('late candidates', () => {
  const candidate = (text: string) => ({ candidate: text }) as RTCIceCandidate;

  it('go into a fragment with the credentials of the offer', () => {
    const offer = 'v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:secretsecret\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n';
    const fragment = sdpFragment(offer, [candidate('candidate:1 1 udp 1 192.0.2.1 5 typ relay')]);
    expect(fragment).toBe(
      'a=ice-ufrag:abcd\r\na=ice-pwd:secretsecret\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n' +
        'a=candidate:1 1 udp 1 192.0.2.1 5 typ relay\r\n',
    );
  });

  it('are patched with the entity tag', async () => {
    const requests = server(() => new Response(null, { status: 204 }));
    await patchCandidates('/whep/s/c', '"e1"', 'a=x\r\n');
    expect(requests[0]?.method).toBe('PATCH');
    expect(requests[0]?.headers.get('if-match')).toBe('"e1"');
    expect(requests[0]?.headers.get('content-type')).toBe('application/trickle-ice-sdpfrag');
  });
});

describe('ICE servers in a Link header', () => {
  it('are read with their credentials, other links are not', () => {
    const header =
      '<stun:stun.example.net>; rel="ice-server", ' +
      '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="1:u,x"; credential="a;b"; credential-type="password", ' +
      '<https://example.net/>; rel="help"';
    expect(iceServers(header)).toEqual([
      { urls: 'stun:stun.example.net' },
      { urls: 'turn:turn.example.net?transport=udp', username: '1:u,x', credential: 'a;b' },
    ]);
  });

  it('are none in an empty or broken header', () => {
    expect(iceServers('')).toEqual([]);
    expect(iceServers('<turn:x; rel=')).toEqual([]);
  });
});
