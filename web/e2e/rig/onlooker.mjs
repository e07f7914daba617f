/**
 * Somebody who only watches: a page without our viewer in it, which does what any WHEP player with a viewer token
 * does.
 */

/* global document, HTMLVideoElement, MediaStream, RTCPeerConnection */

import { until } from './until.mjs';

export class Onlooker {
  /**
   * Offers, takes the answer, and waits until it sees pictures.
   * @param {import('playwright-core').Browser} browser
   * @param {string} url of the house; the page at it is only its ground
   * @param {{ token: string, whep: string }} ticket
   */
  static async join(browser, url, ticket) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(url);
    const location = await page.evaluate(async ({ token, whep }) => {
      const peer = new RTCPeerConnection();
      peer.addTransceiver('video', { direction: 'recvonly' });
      const video = document.createElement('video');
      video.id = 'onlooker';
      video.muted = true;
      document.body.append(video);
      peer.ontrack = ({ track }) => {
        video.srcObject = new MediaStream([track]);
        void video.play();
      };
      await peer.setLocalDescription();
      const answer = await fetch(whep, {
        method: 'POST',
        headers: { 'content-type': 'application/sdp', authorization: `Bearer ${token}` },
        body: peer.localDescription?.sdp,
      });
      if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
      await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
      return answer.headers.get('location');
    }, ticket);
    const onlooker = new Onlooker(context, page, ticket, location ?? '');
    await until('the onlooker sees pictures', () => onlooker.#sees());
    return onlooker;
  }

  /**
   * @param {import('playwright-core').BrowserContext} context
   * @param {import('playwright-core').Page} page
   * @param {{ token: string }} ticket
   * @param {string} location of the connection
   */
  constructor(context, page, ticket, location) {
    this.context = context;
    this.page = page;
    this.ticket = ticket;
    this.location = location;
  }

  async #sees() {
    return this.page.evaluate(() => {
      const video = document.querySelector('#onlooker');
      return video instanceof HTMLVideoElement && video.getVideoPlaybackQuality().totalVideoFrames >= 5;
    });
  }

  /** Leaves as a player does, and says what was answered. */
  async leave() {
    return this.page.evaluate(async ({ location, token }) => {
      const answer = await fetch(location, { method: 'DELETE', headers: { authorization: `Bearer ${token}` } });
      return answer.status;
    }, { location: this.location, token: this.ticket.token });
  }
}
