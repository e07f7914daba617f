// Who may not: a second browser, a withdrawn link, an expired one, none at all.
//
//   What people may count on                                      Shown here, and in control/tests/control
//   ──────────────────────────────────────────────────────────    ─────────────────────────────────────────────────────────
//   whoever comes second is told that the device is busy, the     "a second browser is refused …"; launch.rs:
//   first plays on without a gap, and is followed when he ends      a_second_person_is_refused_and_the_first_notices_nothing
//   a link that is open in one browser is refused in another      the same two
//   of many who claim one device at once exactly one gets it      not here; launch.rs: of_*_at_once_exactly_one_gets_it, races.rs
//   a revoke ends pictures and input, and the page says so        "a revoke lifts …", "a revoke cuts off …"; revoke.rs
//   what the ended session gave out opens nothing any more        "a revoke cuts off …"; revoke.rs: a_revoked_link_cuts_…
//   how long that takes                                           `farglass bench revoke`
//   used up, expired, half, unknown and no links: a page each     "a link for one use …" to "a link that never was …"; launch.rs:
//                                                                   unknown_expired_revoked_and_used_up_links_are_told_apart
//   paused and scheduled links, and every end that has a time     policies.test.mjs; policies.rs
//   nobody watches somebody else's session                        "a visitor of an address …"; viewers.rs, observers.rs
//   a link's token is in no address, log, or file                 after each journey (rig/journeys.mjs), at the end of each
//                                                                   house (rig/house.mjs); secrets.rs

/* global RTCPeerConnection */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { browser, house, journeysOnBoth } from './rig/journeys.mjs';
import { Onlooker } from './rig/onlooker.mjs';
import { until } from './rig/until.mjs';
import { DESKTOP, Viewer } from './rig/viewer.mjs';
import { stubborn, watchesPeers, watchesPictures } from './rig/witness.mjs';

const MOTION = { app: 'dev.farglass.motion' };

/** A picture whose last packet came together with the goodbye. */
const TOGETHER_MS = 34;
/** A gap in the picture that may be. */
const GAP_MS = 100;
/** Refusals whose gap is measured, and as many spans in which nobody is refused. */
const ROUNDS = 5;
/** Pictures that belong to such a span after what happened in it. */
const PICTURES_AFTER = 10;
/** Moves of a finger that would have come through. */
const MOVES_AFTER = 100;

/**
 * The longest time for which no picture came to a page that watches them, ms: while something happens, and for some
 * pictures after it. As the browser's network side says when the last packet of each came: a page that is slow to draw
 * them has no gap.
 * @param {Viewer} viewer
 * @param {() => Promise<void>} something
 */
async function longestGap(viewer, something) {
  const last = (await viewer.witnessed('farglassPictures')).length - 1;
  await something();
  await viewer.playsOn(PICTURES_AFTER);
  const came = (await viewer.witnessed('farglassPictures')).slice(last).map(({ received }) => received);
  assert.ok(came.length > 1, 'pictures were watched');
  return Math.max(...came.slice(1).map((at, n) => at - came[n]));
}

/** Somebody who waits for a device that is busy asks for it again, and is refused again. @param {Viewer} viewer */
async function isRefusedAgain(viewer) {
  const refused = await viewer.launches(() => viewer.pressIfThere('Try now'));
  assert.deepEqual(refused, { status: 409, code: 'DEVICE_IN_USE' });
}

/**
 * How a page is answered that offers a new connection for a session, by its cookie or with a viewer token.
 * @param {import('playwright-core').Page} page
 * @param {string} whep
 * @param {string} [token]
 */
async function offers(page, whep, token) {
  return page.evaluate(async ([at, bearer]) => {
    const peer = new RTCPeerConnection();
    peer.addTransceiver('video', { direction: 'recvonly' });
    await peer.setLocalDescription();
    const headers = { 'content-type': 'application/sdp', ...(bearer && { authorization: `Bearer ${bearer}` }) };
    const answer = await fetch(at, { method: 'POST', headers, body: peer.localDescription?.sdp });
    return answer.status;
  }, [whep, token]);
}

/**
 * A finger that goes down and swipes to and fro, from now on until it is told to end. One that the device does not feel,
 * because a busy machine held its press up for too long, is lifted and goes down again.
 * @param {Viewer} viewer
 */
async function swiping(viewer) {
  return until('a swipe that the device feels', async () => {
    const mark = await house.device.mark();
    const swipe = { mark, moves: 0, end: async () => undefined };
    let ending = false;
    const going = (async () => {
      await viewer.touch('touchStart', [{ x: 360, y: 300 }]);
      while (!ending) {
        swipe.moves += 1;
        await viewer.touch('touchMove', [{ x: 360, y: 300 + (swipe.moves % 60) * 10 }]);
      }
      await viewer.touch('touchEnd', []);
    })();
    swipe.end = async () => {
      ending = true;
      await going;
    };
    if (await house.device.sees((state) => isMoved(state, mark, 5))) return swipe;
    await swipe.end();
    return null;
  });
}

/** Whether a finger is down and has moved so often since `mark`. */
function isMoved({ pointers, events }, mark, times) {
  return pointers.length === 1 && events.filter(({ seq, kind }) => seq > mark && kind === 'move').length >= times;
}

journeysOnBoth({ devices: 1 }, () => {
  test('a second browser is refused while the first plays on, and is let in when the first has ended', async (t) => {
    const link = await house.link(MOTION);
    const first = await Viewer.open(browser, link.url, DESKTOP, [watchesPeers, watchesPictures]);
    await first.plays();
    await first.playsOn(30);
    const before = await first.inbound();

    const second = await Viewer.open(browser, link.url);
    await second.becomes('stopped', 'elsewhere');
    const another = await house.link();
    const third = await Viewer.open(browser, another.url);
    await third.becomes('waiting', 'busy');

    // Any one gap may be the machine's. A refusal that stops the picture stops it each time: the shortest of the gaps
    // around several counts, against the longest of those around looks at the same page that ask for nothing.
    const [refused, quiet] = [[], []];
    for (let n = 0; n < ROUNDS; n += 1) {
      quiet.push(await longestGap(first, async () => void (await third.shows())));
      refused.push(await longestGap(first, () => isRefusedAgain(third)));
    }
    const gaps = (spans) => spans.map((gap) => gap.toFixed(0)).join(', ');
    const told = `longest gaps in the first one's picture, ms: ${gaps(refused)} while another is refused, ${gaps(quiet)} else`;
    t.diagnostic(told);
    assert.ok(Math.min(...refused) <= Math.max(GAP_MS, 2 * Math.max(...quiet)), told);

    // And whatever the time: there is one connection, with the one stream from before.
    const after = await first.inbound();
    assert.deepEqual(after.map(({ ssrc }) => ssrc), [before[0].ssrc]);
    assert.deepEqual(first.complaints, [], 'the first was disturbed');

    await first.end();
    await third.pressIfThere('Try now');
    await third.plays();
  });

  test('a revoke lifts the finger that is down, and nothing else of it arrives', async () => {
    const link = await house.link(MOTION);
    const viewer = await Viewer.open(browser, link.url, DESKTOP, [watchesPictures]);
    await viewer.plays();
    const swipe = await swiping(viewer);

    // That it takes less than a second is measured by `farglass bench revoke`.
    await house.revoke(link);
    await viewer.becomes('stopped', 'revoked');
    // The page hears of it from control, whose agent may still be at it: the device is clean when all is over.
    await house.idle();
    const cut = await house.device.mark();
    const swiped = swipe.moves;
    await until('the finger swipes on', () => swipe.moves >= swiped + MOVES_AFTER);
    await swipe.end();

    const touches = (await house.device.touchesSince(swipe.mark)).map(({ seq, kind }) => ({ seq, kind }));
    assert.deepEqual(touches.filter(({ seq }) => seq > cut), [], 'a touch came through after the revoke');
    assert.equal(touches.at(-1).kind, 'up', 'the finger was lifted');
    assert.equal(touches.filter(({ kind }) => kind === 'up').length, 1, 'one finger left, once');
    assert.ok(touches.filter(({ kind }) => kind === 'down').length <= 1, 'and none went down again');

    const bye = await viewer.witnessed('farglassBye');
    const late = (await viewer.witnessed('farglassPictures')).filter(({ received }) => received > bye.at + TOGETHER_MS);
    assert.ok(bye.pictures > 0);
    assert.deepEqual(late, [], 'pictures came after the goodbye');

    await viewer.page.reload();
    await viewer.becomes('stopped');
    const again = await Viewer.open(browser, link.url);
    await again.becomes('stopped', 'revoked');
  });

  test('a revoke cuts off a page that keeps its connection and sends on, and closes what its session had opened', async (t) => {
    const link = await house.link(MOTION);
    const viewer = await Viewer.open(browser, link.url, DESKTOP, [watchesPeers, stubborn]);
    await viewer.plays();
    const { session } = viewer;
    const onlooker = await Onlooker.join(browser, house.url, await house.api('POST', `/sessions/${session}/observe`));
    await until('a finger that moves by itself', async () => {
      const mark = await house.device.mark();
      await viewer.touch('touchStart', [{ x: 300, y: 300 }]);
      await viewer.touch('touchMove', [{ x: 300, y: 400 }]);
      if (await house.device.sees((state) => isMoved(state, mark, 20))) return true;
      await viewer.touch('touchEnd', []);
      return false;
    });

    await house.revoke(link);
    const [answered, [atAnswer]] = [Date.now(), await viewer.inbound()];
    assert.equal(await offers(viewer.page, `/whep/${session}`), 410, 'by the cookie');
    const { ticket } = onlooker;
    assert.ok([401, 410].includes(await offers(onlooker.page, ticket.whep, ticket.token)), 'with the viewer token');
    await viewer.becomes('stopped', 'revoked');
    // The page hears of it from control, whose agent may still be at it: the device is clean when all is over.
    await house.idle();
    const [cut, [atCut], sent] = [await house.device.mark(), await viewer.inbound(), await viewer.witnessed('farglassAgain')];
    assert.ok(atCut.packetsReceived > 0);
    await until('it sends on', async () => (await viewer.witnessed('farglassAgain')) >= sent + MOVES_AFTER);
    assert.deepEqual((await house.device.state()).pointers, []);
    assert.deepEqual(await house.device.touchesSince(cut), [], 'a touch came through after the revoke');
    const [atEnd] = await viewer.inbound();
    assert.equal(atEnd.packetsReceived, atCut.packetsReceived, 'media came after the revoke');
    // By Chromium's clock of packets, which is the machine's. It is no bound here: how long it takes is measured.
    const last = atEnd.lastPacketReceivedTimestamp - answered;
    const pictures = atEnd.framesReceived - atAnswer.framesReceived;
    t.diagnostic(`last packet ${last.toFixed(0)} ms after the answer to the admin, ${pictures} pictures after it`);
  });

  test('a link for one use is used up for the next browser once its session has ended', async () => {
    const link = await house.link({ maxUses: 1 });
    const first = await Viewer.open(browser, link.url);
    await first.plays();
    await first.end();
    await house.idle();
    const second = await Viewer.open(browser, link.url);
    const { words } = await second.becomes('stopped', 'exhausted');
    assert.match(words, /used up/);
    assert.equal((await house.device.state()).foreground, 'dev.farglass.launcher');
  });

  test('an expired link says so', async () => {
    const link = await house.link({ expiresAt: new Date(Date.now() + 1500).toISOString() });
    const token = link.url.split('#')[1];
    await until('the link expires', async () => {
      const answer = await fetch(`${house.url}/api/v1/launch/describe`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ token }),
      });
      return answer.status === 410;
    });
    const viewer = await Viewer.open(browser, link.url);
    await viewer.becomes('stopped', 'expired');
    await viewer.close();
  });

  test('a link that never was, half a link and no link each get their page', async () => {
    const never = `${house.url}/l#${'A'.repeat(43)}`;
    const pages = [[never, /does not work/], [`${house.url}/l#half`, /does not work/], [house.url, /nothing to show/i]];
    for (const [address, words] of pages) {
      const viewer = await Viewer.open(browser, address);
      assert.match((await viewer.becomes('stopped', 'invalid')).words, words);
      await viewer.close();
    }
  });

  test('a visitor of an address with somebody else’s session gets nothing', async () => {
    const link = await house.link();
    const owner = await Viewer.open(browser, link.url);
    await owner.plays();
    const thief = await Viewer.open(browser, owner.page.url());
    await thief.becomes('stopped');
    assert.deepEqual(await thief.size(), { width: 0, height: 0 });
  });
});
