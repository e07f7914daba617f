// Who may not: a second browser, a withdrawn link, an expired one, none at all.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { browser, house, journeysOnBoth } from './rig/journeys.mjs';
import { until } from './rig/until.mjs';
import { DESKTOP, Viewer } from './rig/viewer.mjs';
import { stubborn, watchesPictures } from './rig/witness.mjs';

/** A picture whose last packet came together with the goodbye. */
const TOGETHER_MS = 34;

/** A finger that goes down and swipes to and fro until it is told to end. @param {Viewer} viewer */
function swiping(viewer) {
  const swipe = { moves: 0, end: async () => undefined };
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
  return swipe;
}

journeysOnBoth({ devices: 1 }, () => {
  test('a second browser is refused while the first plays on', async () => {
    const link = await house.link({ app: 'dev.farglass.motion' });
    const first = await Viewer.open(browser, link.url);
    await first.plays();

    const second = await Viewer.open(browser, link.url);
    await second.becomes('stopped', 'elsewhere');
    await first.playsOn(30);

    const another = await house.link();
    const third = await Viewer.open(browser, another.url);
    await third.becomes('waiting', 'busy');
    await first.playsOn(30);
    assert.deepEqual(first.complaints, [], 'the first was disturbed');

    // Who waits for a busy device gets it as soon as it is free.
    await first.close();
    await house.revoke(link);
    await third.plays();
  });

  test('a revoke lifts the finger that is down, and nothing else of it arrives', async () => {
    const link = await house.link({ app: 'dev.farglass.motion' });
    const viewer = await Viewer.open(browser, link.url, DESKTOP, [watchesPictures]);
    await viewer.plays();
    const mark = await house.device.mark();
    const swipe = swiping(viewer);
    await house.device.becomes('a swipe', ({ pointers, events }) => {
      return pointers.length === 1 && events.filter(({ seq, kind }) => seq > mark && kind === 'move').length >= 5;
    });

    // That it takes less than a second is measured by `farglass bench revoke`.
    await house.revoke(link);
    await viewer.becomes('stopped', 'revoked');
    const cut = await house.device.mark();
    const swiped = swipe.moves;
    await until('the finger swipes on', () => swipe.moves >= swiped + 20);
    await house.idle();
    await swipe.end();

    const touches = (await house.device.touchesSince(mark)).map(({ seq, kind }) => ({ seq, kind }));
    assert.deepEqual(touches.filter(({ seq, kind }) => seq > cut && kind !== 'up'), [], 'a touch came through after the revoke');
    assert.deepEqual([touches[0].kind, touches.at(-1).kind], ['down', 'up']);
    assert.equal(touches.filter(({ kind }) => kind !== 'move').length, 2, 'one finger went down, once, and left, once');

    const bye = await viewer.witnessed('farglassBye');
    const late = (await viewer.witnessed('farglassPictures')).filter(({ received }) => received > bye.at + TOGETHER_MS);
    assert.ok(bye.pictures > 0);
    assert.deepEqual(late, [], 'pictures came after the goodbye');

    await viewer.page.reload();
    await viewer.becomes('stopped');
    const again = await Viewer.open(browser, link.url);
    await again.becomes('stopped', 'revoked');
  });

  test('a revoke cuts off a page that keeps its connection and sends on', async () => {
    const link = await house.link({ app: 'dev.farglass.motion' });
    const viewer = await Viewer.open(browser, link.url, DESKTOP, [stubborn]);
    await viewer.plays();
    await viewer.touch('touchStart', [{ x: 300, y: 300 }]);
    await viewer.touch('touchMove', [{ x: 300, y: 400 }]);
    const mark = await house.device.mark();
    await house.device.becomes('a finger that moves by itself', ({ events }) => {
      return events.filter(({ seq, kind }) => seq > mark && kind === 'move').length >= 20;
    });

    await house.revoke(link);
    await viewer.becomes('stopped', 'revoked');
    const [cut, packets] = [await house.device.mark(), await viewer.packets()];
    assert.ok(packets > 0);
    await house.device.becomes('no finger', ({ pointers }) => pointers.length === 0);
    await house.idle();
    const late = (await house.device.state()).events.filter(({ seq, kind }) => seq > cut && ['down', 'move'].includes(kind));
    assert.deepEqual(late, [], 'a touch came through after the revoke');
    assert.equal(await viewer.packets(), packets, 'media came after the revoke');
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
