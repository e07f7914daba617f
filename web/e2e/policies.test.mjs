// What links say about time and company, as a person meets it: each page says what happened and what to do.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { browser, house, journeysOnBoth } from './rig/journeys.mjs';
import { Onlooker } from './rig/onlooker.mjs';
import { until } from './rig/until.mjs';
import { Viewer } from './rig/viewer.mjs';

const MOTION = { app: 'dev.farglass.motion' };

/** A time from now, for the API. @param {number} ms */
const inMs = (ms) => new Date(Date.now() + ms).toISOString();

/** @param {Viewer} viewer */
const sessionOf = (viewer) => new URL(viewer.page.url()).pathname.split('/').at(-1);

journeysOnBoth({ devices: 1 }, () => {
  test('a paused link says so and whom to ask, and opens when it is tried again after the pause', async () => {
    const link = await house.link(MOTION);
    await house.api('POST', `/links/${link.id}/pause`);
    const viewer = await Viewer.open(browser, link.url);
    const { words } = await viewer.becomes('stopped', 'closed');
    assert.match(words, /closed for now[^]*paused[^]*Try again later, or ask/);
    await viewer.press('Try again');
    await viewer.becomes('stopped', 'closed');
    await house.api('POST', `/links/${link.id}/resume`);
    await viewer.press('Try again');
    await viewer.plays();
  });

  test('a pause leaves the person who is in where he is', async () => {
    const link = await house.link(MOTION);
    const viewer = await Viewer.open(browser, link.url);
    await viewer.plays();
    await house.api('POST', `/links/${link.id}/pause`);
    await viewer.page.reload();
    await viewer.plays();
    await viewer.playsOn(10);
  });

  test('a scheduled link says when it opens, and opens by itself at its time', async () => {
    const begin = Date.now() + 18_000;
    const link = await house.link({ ...MOTION, wish: { not_before: new Date(begin).toISOString() } });
    const viewer = await Viewer.open(browser, link.url);
    const { words } = await viewer.becomes('waiting', 'scheduled');
    assert.match(words, /not open yet[^]*Leave this page open[^]*Opens \d/);
    // Whoever does not wait is told the same again.
    await viewer.press('Try now');
    await viewer.becomes('waiting', 'scheduled');
    await viewer.plays();
    assert.ok(Date.now() >= begin, 'not before its time');
  });

  test('the end of a link is announced over the picture, and the page says that it has come', async () => {
    const link = await house.link({ ...MOTION, wish: { expires_at: inMs(14_000) } });
    const viewer = await Viewer.open(browser, link.url);
    await viewer.plays();
    await viewer.says(/Ends in \d+ s/);
    await viewer.playsOn(10);
    const { words } = await viewer.becomes('stopped', 'expired');
    assert.match(words, /expired[^]*Ask whoever sent it for a new one/);
    await house.idle();
  });

  test('a session that nobody touches asks, is kept by a touch, and is given back without one', async () => {
    const link = await house.link({ ...MOTION, wish: { idle_timeout_s: 12 } });
    const viewer = await Viewer.open(browser, link.url);
    await viewer.plays();
    await viewer.says(/Still there\? Ends in \d+ s/);
    await viewer.tap({ x: 360, y: 1200 });
    await until('the question is gone', async () => !/Still there/.test((await viewer.shows()).words));
    await viewer.playsOn(10);
    await viewer.says(/Still there\? Ends in \d+ s/);
    const { words } = await viewer.becomes('stopped', 'idle');
    assert.match(words, /Nobody touched the device for a while/);
    await house.idle();
    await viewer.press('Start again');
    await viewer.plays();
  });

  test('a session of a greatest length is warned of its end, and can be followed by another', async () => {
    const link = await house.link({ ...MOTION, wish: { max_duration_s: 10 } });
    const viewer = await Viewer.open(browser, link.url);
    await viewer.plays();
    await viewer.says(/Ends in \d+ s/);
    const { words } = await viewer.becomes('stopped', 'time_up');
    assert.match(words, /Time is up[^]*as long as it may be/);
    await house.idle();
    await viewer.press('Start again');
    await viewer.plays();
  });

  test('whoever looks on is shown to the person on the device, from the first picture to the last', async () => {
    const link = await house.link(MOTION);
    const viewer = await Viewer.open(browser, link.url);
    await viewer.plays();
    await viewer.playsOn(5);
    assert.doesNotMatch((await viewer.shows()).words, /watching/);
    const session = sessionOf(viewer);
    const observe = () => house.api('POST', `/sessions/${session}/observe`);
    const first = await Onlooker.join(browser, house.url, await observe());
    await viewer.says(/Somebody is watching/);
    const second = await Onlooker.join(browser, house.url, await observe());
    await viewer.says(/2 are watching/);
    await viewer.page.reload();
    await viewer.says(/2 are watching/);

    assert.equal(await first.leave(), 200);
    await viewer.says(/Somebody is watching/);
    assert.equal(await first.leave(), 200, 'whoever is not sure may leave again');
    assert.equal(await second.leave(), 200);
    await until('nobody watches', async () => !/watching/.test((await viewer.shows()).words));
    await viewer.playsOn(10);
    const { items } = await house.api('GET', '/audit?action=connection.observe');
    assert.equal(items.length, 2, 'and each of them is written down');
  });

  test('whoever does not wait for the next try is not disturbed by it when it would have come', async () => {
    const link = await house.link(MOTION);
    const WAIT_S = 6;
    let launches = 0;
    const viewer = await Viewer.open(browser, 'about:blank');
    await viewer.page.route('**/api/v1/launch', async (route) => {
      launches += 1;
      if (launches > 1) return route.continue();
      return route.fulfill({
        status: 409,
        contentType: 'application/problem+json',
        headers: { 'retry-after': String(WAIT_S) },
        body: JSON.stringify({ code: 'DEVICE_IN_USE', detail: 'busy' }),
      });
    });
    await viewer.page.goto(link.url);
    await viewer.becomes('waiting', 'busy');
    const due = performance.now() + WAIT_S * 1000;
    await viewer.press('Try now');
    await viewer.plays();
    await until('the time of the next try', () => performance.now() > due);
    await viewer.playsOn(30);
    const mark = await house.device.mark();
    await viewer.tap({ x: 360, y: 1200 });
    await house.device.touchesSince(mark);
    assert.equal(launches, 2, 'no third one');
  });

  test('a launch whose answer was lost finds its lease again', async () => {
    const link = await house.link({ ...MOTION, maxUses: 1 });
    /** What the server answered to whom nobody heard. @type {number[]} */
    const unheard = [];
    const viewer = await Viewer.open(browser, 'about:blank');
    await viewer.page.route('**/api/v1/launch', async (route) => {
      if (unheard.length > 0) return route.continue();
      // The server does its work, over another connection; the answer, with its cookie, goes nowhere.
      const request = route.request();
      const answer = await fetch(request.url(), {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': request.headers()['idempotency-key'] ?? '' },
        body: request.postData(),
      });
      unheard.push(answer.status);
      await answer.text();
      return route.abort('connectionreset');
    });
    await viewer.page.goto(link.url);
    await viewer.becomes('stopped', 'network');
    assert.deepEqual(unheard, [202]);
    await viewer.press('Try again');
    await viewer.plays();
  });
});
