/**
 * A person's browser: real Chromium, the page at a link, the picture as it is decoded, fingers as the browser
 * feels them. Positions are pixels of the device; where they are on the page is worked out here, and nowhere
 * in the product's own code.
 */

/* global document, HTMLVideoElement, OffscreenCanvas, window */

import assert from 'node:assert/strict';

import { chromium } from 'playwright-core';

import { until } from './until.mjs';

export const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
/** As root there is no sandbox to be had, and without a screen no GPU. */
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

/** A button that is there is pressed long before this, and a page is loaded. */
const ACTION_MS = 120_000;

/** A phone held upright, and a desktop's window. */
export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 3, hasTouch: true, isMobile: true };
export const DESKTOP = { viewport: { width: 1100, height: 800 }, hasTouch: true };

export async function launch() {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

export class Viewer {
  /**
   * Opens an address in a browser that knows nothing yet: its own cookies, its own storage.
   * @param {import('playwright-core').Browser} browser
   * @param {string} url
   * @param {import('playwright-core').BrowserContextOptions} [shape]
   * @param {(() => void)[]} [witnesses] scripts that run in the page before its own
   */
  static async open(browser, url, shape = DESKTOP, witnesses = []) {
    const context = await browser.newContext(shape);
    context.setDefaultTimeout(ACTION_MS);
    for (const witness of witnesses) await context.addInitScript(witness);
    const page = await context.newPage();
    const viewer = new Viewer(context, page);
    page.on('console', (message) => {
      if (message.type() !== 'error') return;
      viewer.complaints.push(`${message.text()} ${message.location().url}`);
    });
    page.on('pageerror', (error) => viewer.complaints.push(error.message));
    Viewer.#unjudged.add(viewer);
    await viewer.visit(url);
    return viewer;
  }

  /** Fails when a server saw a token of anybody whose page was opened: also of whoever was not closed. */
  static judge() {
    const viewers = [...Viewer.#unjudged];
    Viewer.#unjudged.clear();
    for (const viewer of viewers) viewer.#judge();
  }

  /** Those of whom it is not yet said that no server saw their tokens. @type {Set<Viewer>} */
  static #unjudged = new Set();

  /** @type {import('playwright-core').CDPSession | undefined} */
  #devtools;

  /**
   * @param {import('playwright-core').BrowserContext} context
   * @param {import('playwright-core').Page} page
   */
  constructor(context, page) {
    this.context = context;
    this.page = page;
    /** What the page complained about on its console. @type {string[]} */
    this.complaints = [];
    /** Requests whose address or referrer gave the link's token away. @type {string[]} */
    this.leaks = [];
    /** How many requests were looked at for that; not a number for a page without a token. */
    this.asked = Number.NaN;
  }

  /** Goes to an address. From then on it is looked at who gets to see a token in it. @param {string} url */
  async visit(url) {
    this.#guard(new URL(url).hash.slice(1));
    await this.page.goto(url);
  }

  /**
   * Looks at what servers get to see of a link's token: the address of every request and the page it says it came from.
   * @param {string} token
   */
  #guard(token) {
    if (token === '') return;
    this.asked = 0;
    this.context.on('request', (request) => {
      this.asked += 1;
      const seen = [request.url(), request.headers()['referer'] ?? ''];
      if (seen.some((text) => text.includes(token))) this.leaks.push(request.url());
    });
    this.page.on('websocket', (socket) => {
      if (socket.url().includes(token)) this.leaks.push(socket.url());
    });
  }

  /** What a witness in the page has written down. @param {string} name of its global */
  async witnessed(name) {
    return this.page.evaluate((key) => window[key], name);
  }

  /**
   * The page's own marks, in ms since it began to load; the first of each name.
   * @returns {Promise<Record<string, number>>}
   */
  async marks() {
    return this.page.evaluate(() => {
      const marks = performance.getEntriesByType('mark').filter(({ name }) => name.startsWith('farglass:'));
      return Object.fromEntries(marks.toReversed().map(({ name, startTime }) => [name.slice(9), startTime]));
    });
  }

  /** Which page is shown: `{ state, why }`. */
  async shows() {
    return this.page.evaluate(() => {
      const main = document.querySelector('main');
      return { state: main?.dataset['state'], why: main?.dataset['why'], words: document.body.innerText };
    });
  }

  /**
   * Waits for a page without a picture.
   * @param {string} state
   * @param {string} [why]
   */
  async becomes(state, why) {
    return until(
      `the page ${state} ${why ?? ''}`,
      async () => {
        const now = await this.shows();
        return now.state === state && (why === undefined || now.why === why) && now;
      },
      { seen: () => this.shows() },
    );
  }

  /** Waits until the page says this. @param {RegExp} words */
  async says(words) {
    await until(`the page to say ${words}`, async () => words.test((await this.shows()).words), { seen: () => this.shows() });
  }

  /** Waits for the picture. */
  async plays() {
    await until('the picture', () => this.page.evaluate(() => document.querySelector('video[data-ready]') !== null), {
      seen: async () => ({ ...(await this.shows()), complaints: this.complaints }),
    });
  }

  /** How many pictures were shown so far. */
  async frames() {
    return this.page.evaluate(() => document.querySelector('video')?.getVideoPlaybackQuality().totalVideoFrames ?? 0);
  }

  /**
   * What each stream of pictures has come to, as WebRTC counts it; of a page whose connections are watched (see
   * `witness.mjs`).
   * @returns {Promise<{ ssrc: number, packetsReceived: number, packetsLost: number, framesReceived: number,
   *   framesDropped: number, keyFramesDecoded: number, pliCount: number, lastPacketReceivedTimestamp: number }[]>}
   */
  async inbound() {
    return this.page.evaluate(async () => {
      const streams = [];
      for (const peer of window.farglassPeers) {
        for (const each of (await peer.getStats()).values()) if (each.type === 'inbound-rtp') streams.push(each);
      }
      return streams;
    });
  }

  /** Waits for `more` pictures from now on. @param {number} more */
  async playsOn(more = 10) {
    const before = await this.frames();
    await until(`${more} more pictures`, async () => (await this.frames()) >= before + more);
  }

  /** Waits for a picture of this size. @param {{ width: number, height: number }} size */
  async playsAt(size) {
    await until(
      `a picture of ${size.width}×${size.height}`,
      async () => {
        const now = await this.size();
        return now.width === size.width && now.height === size.height;
      },
      { seen: () => this.size() },
    );
  }

  /** The picture's own size, in the device's pixels. */
  async size() {
    return this.page.evaluate(() => {
      const video = document.querySelector('video');
      return { width: video?.videoWidth ?? 0, height: video?.videoHeight ?? 0 };
    });
  }

  /**
   * Colours of the decoded picture.
   * @param {{ x: number, y: number }[]} points in pixels of the picture
   * @returns {Promise<[number, number, number][]>}
   */
  async colours(points) {
    return this.page.evaluate((at) => {
      const video = document.querySelector('video');
      if (!(video instanceof HTMLVideoElement) || video.videoWidth === 0) return [];
      const context = new OffscreenCanvas(video.videoWidth, video.videoHeight).getContext('2d');
      if (context === null) return [];
      context.drawImage(video, 0, 0);
      return at.map(({ x, y }) => {
        const [r = 0, g = 0, b = 0] = context.getImageData(x, y, 1, 1).data;
        return [r, g, b];
      });
    }, points);
  }

  /**
   * Waits until the picture has this colour at all these points, as near as a lossy picture comes.
   * @param {string} what
   * @param {{ x: number, y: number }[]} points
   * @param {[number, number, number]} colour
   */
  async colouredAt(what, points, colour) {
    const near = (seen) => seen.every((part, n) => Math.abs(part - (colour[n] ?? 0)) <= COLOUR_TOLERANCE);
    await until(
      what,
      async () => {
        const seen = await this.colours(points);
        return seen.length === points.length && seen.every(near);
      },
      { seen: () => this.colours(points) },
    );
  }

  /** Where the middle of a device's pixel is on the page. @param {{ x: number, y: number }} pixel */
  async onPage(pixel) {
    return this.page.evaluate(({ x, y }) => {
      const video = document.querySelector('video');
      if (video === null) throw new Error('no video');
      const box = video.getBoundingClientRect();
      // `object-fit: contain`: as large as fits, in the middle.
      const scale = Math.min(box.width / video.videoWidth, box.height / video.videoHeight);
      const left = box.left + (box.width - video.videoWidth * scale) / 2;
      const top = box.top + (box.height - video.videoHeight * scale) / 2;
      return { x: left + (x + 0.5) * scale, y: top + (y + 0.5) * scale };
    }, pixel);
  }

  /**
   * Fingers as the browser feels them.
   * @param {'touchStart' | 'touchMove' | 'touchEnd'} type
   * @param {{ id?: number, x: number, y: number }[]} fingers all that are down, in pixels of the device
   */
  async touch(type, fingers) {
    this.#devtools ??= await this.context.newCDPSession(this.page);
    const touchPoints = [];
    for (const { id = 0, ...pixel } of fingers) touchPoints.push({ id, ...(await this.onPage(pixel)) });
    await this.#devtools.send('Input.dispatchTouchEvent', { type, touchPoints });
  }

  /** @param {{ x: number, y: number }} pixel */
  async tap(pixel) {
    await this.touch('touchStart', [pixel]);
    await this.touch('touchEnd', []);
  }

  /** @param {string} name of a button in the bar */
  async press(name) {
    await this.page.getByRole('button', { name, exact: true }).click();
  }

  /** Presses a button unless the page was faster and has taken it away. @param {string} name */
  async pressIfThere(name) {
    await this.page.evaluate((label) => {
      const button = [...document.querySelectorAll('button')].find(({ textContent }) => textContent === label);
      button?.click();
    }, name);
  }

  /**
   * How the page's next launch is answered: the one that `something` brings about, or its own.
   * @param {() => Promise<void>} something
   */
  async launches(something) {
    const isLaunch = (response) => response.url().endsWith('/api/v1/launch');
    const [answer] = await Promise.all([this.page.waitForResponse(isLaunch), something()]);
    return { status: answer.status(), code: (await answer.json()).code };
  }

  /** The session that the page is at. */
  get session() {
    return new URL(this.page.url()).pathname.split('/').at(-1) ?? '';
  }

  /** Gives the device back, as a person does. */
  async end() {
    await this.press('End session');
    await this.press('Press again to end the session');
    await this.becomes('stopped', 'ended');
  }

  async close() {
    await this.context.close();
    Viewer.#unjudged.delete(this);
    this.#judge();
  }

  #judge() {
    assert.deepEqual(this.leaks, [], 'a server saw the token of the link');
    assert.notEqual(this.asked, 0, 'requests are looked at');
  }
}

/** 4:2:0 and a quantiser blur a plain area by a few steps; the colours that tests tell apart differ by many more. */
const COLOUR_TOLERANCE = 36;
