// What goes on when a part dies: a session without control, and a page without its device.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { House } from './rig/house.mjs';
import { until } from './rig/until.mjs';
import { Viewer, launch } from './rig/viewer.mjs';

/** @type {House} */ let house;
/** @type {import('playwright-core').Browser} */ let browser;

before(async () => {
  // One after the other: a house that fails must leave a browser that can be closed.
  browser = await launch();
  house = await House.start({ devices: 1 });
});

after(async () => {
  await browser?.close();
  await house?.end();
});

afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  await house.free();
});

/**
 * @param {Viewer} viewer
 * @param {{ x: number, y: number }} pixel
 */
async function tapsExactly(viewer, pixel) {
  const mark = await house.device.mark();
  await viewer.tap(pixel);
  const touches = await house.device.touchesSince(mark);
  assert.deepEqual(touches.map(({ kind, x, y }) => [kind, x, y]), [['down', pixel.x, pixel.y], ['up', pixel.x, pixel.y]]);
}

test('a session goes on while control is dead, and after it has come back', async () => {
  const link = await house.link({ app: 'dev.farglass.motion' });
  const viewer = await Viewer.open(browser, link.url);
  await viewer.plays();
  await viewer.playsOn(10);
  const address = viewer.page.url();

  await house.without('control', async () => {
    assert.ok(!(await house.healthy()), 'control is dead');
    await viewer.playsOn(60);
    await tapsExactly(viewer, { x: 123, y: 1001 });
    assert.equal((await viewer.shows()).state, 'streaming');
    assert.ok(!(await house.healthy()), 'control was dead all the time');
  });

  await viewer.playsOn(60);
  await tapsExactly(viewer, { x: 600, y: 400 });
  assert.deepEqual([(await viewer.shows()).state, viewer.page.url()], ['streaming', address]);
  // Control still knows whose device it is: the same browser resumes, another is refused.
  const other = await Viewer.open(browser, link.url);
  await other.becomes('stopped', 'elsewhere');
  await viewer.page.reload();
  await viewer.plays();
  await viewer.playsOn(10);
});

test('while a device is dead its link says offline; back again, it plays on, and who waited gets it', async () => {
  const link = await house.link({ app: 'dev.farglass.motion' });
  const viewer = await Viewer.open(browser, link.url);
  await viewer.plays();
  const another = await house.link({ app: 'dev.farglass.motion' });

  const { waiting, frozen } = await house.without('device', async () => {
    const late = await Viewer.open(browser, another.url);
    const { words } = await late.becomes('waiting', 'offline');
    assert.match(words, /offline/);
    assert.deepEqual(await late.size(), { width: 0, height: 0 });
    return { waiting: late, frozen: await viewer.frames() };
  });

  // The device has started anew, in its launcher; the session on it is the same.
  await until('pictures of the device that came back', async () => (await viewer.frames()) > frozen);
  await tapsExactly(viewer, { x: 360, y: 1200 });
  await viewer.end();
  await waiting.plays();
  await waiting.playsOn(30);
});
