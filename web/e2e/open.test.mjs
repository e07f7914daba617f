// A link is opened: a moving picture, a still one at once, and again after a reload.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { House } from './rig/house.mjs';
import { DESKTOP, PHONE, Viewer, launch } from './rig/viewer.mjs';

/** @type {House} */ let house;
/** @type {import('playwright-core').Browser} */ let browser;

before(async () => {
  [house, browser] = await Promise.all([House.start(), launch()]);
});

after(async () => {
  await browser?.close();
  await house?.end();
});

/**
 * Opens a link to `app`, and gives the device back afterwards.
 * @param {{ app?: string, shape?: import('playwright-core').BrowserContextOptions }} how
 * @param {(viewer: Viewer, link: { id: string, url: string }) => Promise<void>} journey
 */
async function visit({ app, shape }, journey) {
  const link = await house.link({ ...(app === undefined ? {} : { app }) });
  const viewer = await Viewer.open(browser, link.url, shape);
  try {
    await viewer.plays();
    await journey(viewer, link);
    assert.deepEqual(viewer.complaints, [], 'the page complained');
  } finally {
    await viewer.close();
    await house.free();
  }
}

test('the link that up prints leads to a moving picture of the device', async () => {
  const [link] = house.facts.links;
  assert.ok(link !== undefined);
  const viewer = await Viewer.open(browser, link.url);
  try {
    await viewer.plays();
    assert.deepEqual(await viewer.size(), { width: 720, height: 1280 });
    const { foreground } = await house.device.state();
    assert.equal(foreground, 'dev.farglass.launcher');
    // The launcher stands still: what moves it is a touch.
    const before = await viewer.frames();
    await viewer.tap({ x: 360, y: 1200 });
    await viewer.playsOn(1);
    assert.ok((await viewer.frames()) > before);
    await viewer.end();
  } finally {
    await viewer.close();
    await house.free();
  }
});

for (const [name, shape] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
  test(`a moving app moves on a ${name}`, async () => {
    await visit({ app: 'dev.farglass.motion', shape }, async (viewer) => {
      await viewer.playsOn(60);
      const place = [{ x: 360, y: 640 }];
      const seen = new Set();
      for (let n = 0; n < 30; n += 1) {
        await viewer.playsOn(2);
        seen.add(JSON.stringify(await viewer.colours(place)));
      }
      assert.ok(seen.size > 1, 'the middle of the picture never changed');
    });
  });
}

test('the secret of a link leaves the address as soon as the session has one', async () => {
  await visit({}, async (viewer, link) => {
    const address = viewer.page.url();
    const [, secret] = link.url.split('#');
    assert.match(address, /\/s\/[^/#]+$/);
    assert.ok(secret !== undefined && !address.includes(secret));
  });
});

test('a page that stands still is shown at once, and again after a reload that resumes the session', async () => {
  await visit({ app: 'dev.farglass.still' }, async (viewer) => {
    const paper = [{ x: 20, y: 1240 }, { x: 700, y: 1240 }];
    await viewer.colouredAt('the still page', paper, [0xfa, 0xfb, 0xfd]);
    const address = viewer.page.url();
    const { events } = await house.device.state();

    await viewer.page.reload();
    await viewer.plays();
    await viewer.colouredAt('the still page after a reload', paper, [0xfa, 0xfb, 0xfd]);
    assert.equal(viewer.page.url(), address);
    const after = await house.device.state();
    assert.deepEqual([after.foreground, after.events], ['dev.farglass.still', events], 'the device was left as it was');
  });
});

test('what was done on the device is still there after a reload', async () => {
  await visit({ app: 'dev.farglass.paint' }, async (viewer) => {
    await viewer.tap({ x: 300, y: 700 });
    await house.device.becomes('one stroke', ({ strokes }) => strokes === 1);
    await viewer.page.reload();
    await viewer.plays();
    await viewer.tap({ x: 300, y: 900 });
    await house.device.becomes('a second stroke beside the first', ({ strokes }) => strokes === 2);
  });
});

test('the overlay tells the way, the age of frames and the round trip of touches', async () => {
  await visit({ app: 'dev.farglass.motion' }, async (viewer) => {
    await viewer.press('Latency');
    await viewer.tap({ x: 360, y: 900 });
    const metric = (name) => viewer.page.locator(`[data-metric="${name}"]`);
    await metric('frame-age').filter({ hasText: /\d ms$/ }).waitFor();
    await metric('input-round-trip').filter({ hasText: /\d ms$/ }).waitFor();
    await metric('transport').filter({ hasText: /\w/ }).waitFor();
  });
});
