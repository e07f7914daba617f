// Who may not: a second browser, a withdrawn link, an expired one, none at all.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { House } from './rig/house.mjs';
import { until } from './rig/until.mjs';
import { Viewer, launch } from './rig/viewer.mjs';

/** Promised: a revoke cuts picture and input within this. */
const CUT_MS = 1000;

/** @type {House} */ let house;
/** @type {import('playwright-core').Browser} */ let browser;

before(async () => {
  [house, browser] = await Promise.all([House.start({ devices: 1 }), launch()]);
});

after(async () => {
  await browser?.close();
  await house?.end();
});

afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  await house.free();
});

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

test('a revoke cuts picture and input within a second', async () => {
  const link = await house.link({ app: 'dev.farglass.motion' });
  const viewer = await Viewer.open(browser, link.url);
  await viewer.plays();
  await viewer.playsOn(10);
  const begun = performance.now();
  await house.revoke(link);
  await viewer.becomes('stopped', 'revoked');
  const took = performance.now() - begun;
  assert.ok(took < CUT_MS, `the page was cut after ${took.toFixed(0)} ms`);

  const frames = await viewer.frames();
  const mark = await house.device.mark();
  await viewer.tap({ x: 360, y: 640 }).catch(() => undefined);
  await house.idle();
  assert.equal(await viewer.frames(), frames, 'pictures came after the revoke');
  const late = (await house.device.state()).events.filter(({ seq, kind }) => seq > mark && kind === 'down');
  assert.deepEqual(late, [], 'a touch came through after the revoke');

  await viewer.page.reload();
  await viewer.becomes('stopped');
  await viewer.close();

  const again = await Viewer.open(browser, link.url);
  await again.becomes('stopped', 'revoked');
  await again.close();
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
