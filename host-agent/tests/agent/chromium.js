// Viewers that note of every picture that Chromium decodes what it is, to the last bit.
//
// A track's processor gives out each decoded frame; its planes are hashed as they are (I420, the visible part).
'use strict';

const CHANNELS = [
  ['input', { negotiated: true, id: 1, ordered: false, maxRetransmits: 0 }],
  ['control', { negotiated: true, id: 2 }],
  ['stats', { negotiated: true, id: 4, ordered: false, maxRetransmits: 0 }],
];
// Decoded frames that wait for their hash: more than any test looks at.
const FRAMES_MAX = 600;

const views = [];

class View {
  constructor() {
    this.frames = [];
    this.error = null;
    this.heard = () => {};
    this.peer = new RTCPeerConnection();
    this.peer.addTransceiver('video', { direction: 'recvonly' });
    for (const [name, how] of CHANNELS) this.peer.createDataChannel(name, how);
    this.peer.ontrack = ({ track }) => {
      this.watch(track).catch((error) => {
        this.error = String(error);
        this.heard();
      });
    };
  }

  async watch(track) {
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: FRAMES_MAX }).readable.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.frames.push(await known(value));
      this.heard();
    }
  }

  async statistics() {
    for (const one of (await this.peer.getStats()).values()) {
      if (one.type === 'inbound-rtp') return one;
    }
    return {};
  }
}

async function known(frame) {
  const { width, height } = frame.visibleRect;
  const { format } = frame;
  const planes = new Uint8Array(frame.allocationSize());
  await frame.copyTo(planes);
  frame.close();
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', planes));
  const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return { width, height, format, hash };
}

// A new viewer; gives its number and its offer, sent at once.
async function offer() {
  const view = new View();
  await view.peer.setLocalDescription();
  return { view: views.push(view) - 1, sdp: view.peer.localDescription.sdp };
}

async function accept(number, sdp) {
  await views[number].peer.setRemoteDescription({ type: 'answer', sdp });
}

// Every picture so far, once they are as wanted.
function when(number, wanted, patienceMs) {
  const view = views[number];
  return new Promise((resolve, reject) => {
    const late = setTimeout(async () => {
      reject(new Error(`${view.frames.length} pictures; ${JSON.stringify(await statistics(number))}`));
    }, patienceMs);
    view.heard = () => {
      if (view.error) reject(new Error(view.error));
      if (!wanted(view.frames)) return;
      clearTimeout(late);
      resolve(view.frames);
    };
    view.heard();
  });
}

function pictures(number, count, patienceMs) {
  return when(number, (frames) => frames.length >= count, patienceMs);
}

function untilShown(number, hash, patienceMs) {
  return when(number, (frames) => frames.some((frame) => frame.hash === hash), patienceMs);
}

async function statistics(number) {
  const { framesDecoded = 0, framesDropped = 0, pliCount = 0 } = await views[number].statistics();
  return { framesDecoded, framesDropped, pliCount };
}

function close(number) {
  views[number].peer.close();
}
