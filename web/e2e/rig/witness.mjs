/**
 * Witnesses inside a page: scripts that run before its own and write down, by the page's clock, what it was told,
 * what it showed, and which pictures came. They change nothing; `stubborn` alone does, and says what.
 *
 * Each function runs in the browser: it closes over nothing of this file.
 */

/* global EventSource, HTMLVideoElement, MutationObserver, RTCDataChannel, RTCPeerConnection, document, window */

/**
 * @typedef {{ stage: string, progress: number }} Told
 * @typedef {{ at: number, step: string | undefined, done: number, progress: number }} Shown
 * @typedef {{ at: number, told: Told }[]} Heard
 */

/** `farglassHeard`: every state of the session that control told this page, with its time. */
export function hears() {
  const heard = (window.farglassHeard = []);
  const note = (told) => heard.push({ at: performance.now(), told: { stage: told.stage, progress: told.progress } });
  const ask = window.fetch;
  window.fetch = async (...args) => {
    const answer = await ask(...args);
    if (String(args[0]).endsWith('/api/v1/launch') && answer.ok) note(await answer.clone().json());
    return answer;
  };
  window.EventSource = class extends EventSource {
    constructor(...args) {
      super(...args);
      this.addEventListener('state', ({ data }) => note(JSON.parse(data)));
    }
  };
}

/** `farglassReady`: at each offer that the page sent, whether its video was set up for the picture already. */
export function watchesOffers() {
  const ready = (window.farglassReady = []);
  const ask = window.fetch;
  window.fetch = (...args) => {
    if (/\/whep\/[^/]+$/.test(String(args[0]))) ready.push((document.querySelector('video')?.srcObject ?? null) !== null);
    return ask(...args);
  };
}

/** `farglassShown`: every change of the steps and the progress on the loading page, from the first document on. */
export function watchesSteps() {
  const shown = (window.farglassShown = []);
  const look = () => {
    const progress = document.querySelector('progress');
    if (progress === null) return;
    const step = document.querySelector('ol [aria-current="step"]')?.textContent;
    const now = { step, done: document.querySelectorAll('ol [data-done]').length, progress: progress.value };
    const last = shown.at(-1);
    if (last?.step === now.step && last?.done === now.done && last?.progress === now.progress) return;
    shown.push({ at: performance.now(), ...now });
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
}

/** `farglassPeers`: every connection that the page made, the first one first. */
export function watchesPeers() {
  window.farglassPeers = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) {
      super(...args);
      window.farglassPeers.push(this);
    }
  };
}

/** `farglassPictures`: when the last packet of each picture came that was shown; `farglassBye`: when the page stopped. */
export function watchesPictures() {
  const pictures = (window.farglassPictures = []);
  window.farglassBye = null;
  const next = (video) => {
    video.requestVideoFrameCallback((now, { receiveTime }) => {
      pictures.push({ shown: now, received: receiveTime });
      next(video);
    });
  };
  let watched = null;
  new MutationObserver(() => {
    const video = document.querySelector('video');
    if (video instanceof HTMLVideoElement && video !== watched) next((watched = video));
    const state = document.querySelector('main')?.dataset['state'];
    if (state === 'stopped' && window.farglassBye === null) {
      window.farglassBye = { at: performance.now(), pictures: pictures.length };
    }
  }).observe(document, { subtree: true, childList: true, attributes: true });
}

/**
 * A page that does not go: its connection cannot be closed from this side, and whatever touch was sent last is
 * sent again and again under a new number and at another place; `farglassAgain` counts how often.
 */
export function stubborn() {
  /** Of a touch packet: its type, and where its number and the first finger's place from the left stand. */
  const [TOUCH, SEQ_AT, X_AT] = [0x01, 1, 13];
  RTCPeerConnection.prototype.close = () => undefined;
  RTCDataChannel.prototype.close = () => undefined;
  window.farglassAgain = 0;
  const send = RTCDataChannel.prototype.send;
  let again = null;
  RTCDataChannel.prototype.send = function (data) {
    send.call(this, data);
    const bytes = new Uint8Array(ArrayBuffer.isView(data) ? data.slice() : data.slice(0));
    if (this.label !== 'input' || bytes[0] !== TOUCH) return;
    clearInterval(again);
    let seq = new DataView(bytes.buffer).getUint32(SEQ_AT, true) + 1_000_000;
    again = setInterval(() => {
      window.farglassAgain += 1;
      const packet = new DataView(bytes.buffer);
      packet.setUint32(SEQ_AT, (seq += 1), true);
      packet.setUint16(X_AT, (seq * 512) & 0xffff, true);
      try {
        send.call(this, bytes);
      } catch {
        // The gateway has closed the channel: nothing more can be sent, which is one way to be cut off.
      }
    }, 10);
  };
}
