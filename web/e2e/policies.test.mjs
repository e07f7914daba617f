// What links say about time and company, as a person meets it: each page says what happened and what to do.
//
//   What people may count on                                   Shown here, and in control/tests/control/policies.rs
//   ───────────────────────────────────────────────────────    ────────────────────────────────────────────────────────────
//   paused: nobody comes in, who is in stays                   "a paused link …", "a pause …"; a_paused_link_lets_…
//   scheduled: opens at its time                               "a scheduled link …"; a_link_opens_at_its_time_…
//   expired, policy cut: announced, then cut                   "the end of a link …"; revoke.rs: an_expired_link_cuts_its_holder
//   expired, policy finish: who is in stays, nobody follows    "a session whose link …"; a_link_that_lets_its_session_finish_…
//   nobody touches: asked, kept by a touch, given back         "a session that nobody …"; a_session_that_nobody_touches_…
//   a greatest length: warned, ended; an admin moves the end   "a session of a greatest …"; a_session_is_warned_and_ends_…,
//                                                                a_moved_end_moves_the_end_of_the_session_that_runs
//   who looks on is shown, and written down                    "whoever looks on …"; observers.rs
//   a launch that is disturbed or lost on its way              the last two; idempotency.rs
//   revoked, used up, unknown                                  refuse.test.mjs

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { browser, house, journeysOnBoth } from './rig/journeys.mjs';
import { Onlooker } from './rig/onlooker.mjs';
import { until } from './rig/until.mjs';
import { Viewer } from './rig/viewer.mjs';

const MOTION = { app: 'dev.farglass.motion' };

/** A time from now, for the API. @param {number} ms */
const inMs = (ms) => new Date(Date.now() + ms).toISOString();

const HOUR_S = 3600;

/** Moves the end of a link or of its sessions. @param {{ id: string }} link @param {object} to */
const moves = (link, to) => house.api('POST', `/links/${link.id}/extend`, to);

/** Waits until the page says nothing of this any more. @param {Viewer} viewer @param {RegExp} words */
const unsays = (viewer, words) => until(`no more ${words}`, async () => !words.test((await viewer.shows()).words));

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
    // With everything loaded that a page needs: it has to ask twice before the link opens.
    const viewer = await Viewer.open(browser, house.url);
    await viewer.becomes('stopped');
    const begin = Date.now() + 18_000;
    const link = await house.link({ ...MOTION, wish: { not_before: new Date(begin).toISOString() } });
    await viewer.visit(link.url);
    const { words } = await viewer.becomes('waiting', 'scheduled');
    assert.match(words, /not open yet[^]*Leave this page open[^]*Opens \d/);
    // Whoever does not wait is told the same again.
    const refused = await viewer.launches(() => viewer.pressIfThere('Try now'));
    if (Date.now() < begin) assert.deepEqual(refused, { status: 409, code: 'LINK_SCHEDULED' });
    await viewer.plays();
    assert.ok(Date.now() >= begin, 'not before its time');
  });

  test('the end of a link is announced over the picture, and the page says that it has come', async () => {
    const link = await house.link({ ...MOTION, wish: { expires_at: inMs(HOUR_S * 1000) } });
    const viewer = await Viewer.open(browser, link.url);
    await viewer.plays();
    assert.doesNotMatch((await viewer.shows()).words, /Ends in/);
    // Not before there is a page to announce it on, however long that took to open.
    await moves(link, { expires_at: inMs(9000) });
    await viewer.says(/Ends in \d+ s/);
    await viewer.playsOn(10);
    const { words } = await viewer.becomes('stopped', 'expired');
    assert.match(words, /expired[^]*Ask whoever sent it for a new one/);
    await house.idle();
  });

  test('a session whose link lets it finish goes on after the end of the link, and nobody follows it', async () => {
    const link = await house.link({ ...MOTION, wish: { on_expiry: 'finish', expires_at: inMs(HOUR_S * 1000) } });
    const viewer = await Viewer.open(browser, link.url);
    await viewer.plays();
    await moves(link, { expires_at: inMs(4000) });
    await until('the end of the link', async () => (await house.api('GET', `/links/${link.id}`)).state === 'expired');
    const next = await Viewer.open(browser, link.url);
    await next.becomes('stopped', 'expired');
    await viewer.playsOn(30);
    const { state, words } = await viewer.shows();
    assert.equal(state, 'streaming');
    assert.doesNotMatch(words, /Ends in/);
    await house.device.feels(() => viewer.tap({ x: 360, y: 1200 }));
    await viewer.page.reload();
    await viewer.plays();
    await viewer.end();
    await house.idle();
  });

  test('a session that nobody touches asks, is kept by a touch, and is given back without one', async () => {
    const link = await house.link({ ...MOTION, wish: { idle_timeout_s: 16 } });
    const viewer = await Viewer.open(browser, link.url);
    await viewer.plays();
    await viewer.says(/Still there\? Ends in \d+ s/);
    await until('the question is gone', async () => {
      await viewer.tap({ x: 360, y: 1200 });
      return !/Still there/.test((await viewer.shows()).words);
    });
    await viewer.playsOn(10);
    await viewer.says(/Still there\? Ends in \d+ s/);
    const { words } = await viewer.becomes('stopped', 'idle');
    assert.match(words, /Nobody touched the device for a while/);
    await house.idle();
    await viewer.press('Start again');
    await viewer.plays();
  });

  test('a session of a greatest length is warned of its end, which an admin can move, and can be followed by another', async () => {
    const link = await house.link({ ...MOTION, wish: { max_duration_s: HOUR_S } });
    const viewer = await Viewer.open(browser, link.url);
    await viewer.plays();
    // Not before there is a page to warn on. The time of a session counts from when its device was ready: before this.
    const played = Date.now();
    const wouldEnd = played + 16_000;
    await moves(link, { max_duration_s: 16 });
    await viewer.says(/Ends in \d+ s/);
    await moves(link, { max_duration_s: HOUR_S });
    await unsays(viewer, /Ends in/);
    await until('the time at which it would have ended', () => Date.now() > wouldEnd);
    assert.equal((await viewer.shows()).state, 'streaming');
    await viewer.playsOn(30);

    await moves(link, { max_duration_s: Math.ceil((Date.now() - played) / 1000) });
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
    const { session } = viewer;
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
    await unsays(viewer, /watching/);
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
    await viewer.visit(link.url);
    await viewer.becomes('waiting', 'busy');
    const due = performance.now() + WAIT_S * 1000;
    await viewer.pressIfThere('Try now');
    await viewer.plays();
    await until('the time of the next try', () => performance.now() > due);
    await viewer.playsOn(30);
    await house.device.feels(() => viewer.tap({ x: 360, y: 1200 }));
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
    await viewer.visit(link.url);
    await viewer.becomes('stopped', 'network');
    assert.deepEqual(unheard, [202]);
    await viewer.press('Try again');
    await viewer.plays();
  });
});
