// A link is opened: a moving picture, a still one at once, and again after a reload.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { browser, house, journeys } from './rig/journeys.mjs';
import { until } from './rig/until.mjs';
import { DESKTOP, PHONE, Viewer } from './rig/viewer.mjs';
import { hears, watchesOffers, watchesSteps } from './rig/witness.mjs';

/**
 * A picture that is asked for: without it a still page waits for as long as the device draws nothing, which is for ever.
 * How long it takes is measured by `farglass bench quick`.
 */
const AT_ONCE_MS = 10_000;
/** What the loading page calls its steps, and which one control's stages belong to. */
const STEPS = ['Checking your link', 'Cleaning the device', 'Starting the app', 'Connecting the picture'];
const STEP_OF = { reset: 1, launch: 2, connect: 3, ready: 3 };

journeys();

/**
 * Opens a link to `app`.
 * @param {{ app?: string, shape?: import('playwright-core').BrowserContextOptions, witnesses?: (() => void)[] }} how
 * @param {(viewer: Viewer, link: { id: string, url: string }) => Promise<void>} journey
 */
async function visit({ app, shape, witnesses }, journey) {
  const link = await house.link({ ...(app === undefined ? {} : { app }) });
  const viewer = await Viewer.open(browser, link.url, shape, witnesses);
  await viewer.plays();
  await journey(viewer, link);
  assert.deepEqual(viewer.complaints, [], 'the page complained');
}

test('the link that up prints leads to a moving picture of the device', async () => {
  const [link] = house.facts.links;
  assert.ok(link !== undefined);
  const viewer = await Viewer.open(browser, link.url);
  await viewer.plays();
  assert.deepEqual(await viewer.size(), { width: 720, height: 1280 });
  const { foreground } = await house.device.state();
  assert.equal(foreground, 'dev.farglass.launcher');
  // The launcher stands still: what moves it is a touch.
  const before = await viewer.frames();
  await house.device.feels(() => viewer.tap({ x: 360, y: 1200 }));
  await until('a picture of it', async () => (await viewer.frames()) > before);
  await viewer.end();
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

/** The picture of a page that stands still: its paper, and how it was left. */
async function showsPaper(viewer) {
  await viewer.colouredAt('the still page', [{ x: 20, y: 1240 }, { x: 700, y: 1240 }], [0xfa, 0xfb, 0xfd]);
}

test('a page that stands still is shown once it is ready', async () => {
  await visit({ app: 'dev.farglass.still', witnesses: [hears] }, async (viewer) => {
    await showsPaper(viewer);
    const heard = await viewer.witnessed('farglassHeard');
    const marks = await viewer.marks();
    const told = heard.find(({ told: { stage } }) => stage === 'ready');
    // The gate's message and the event stream race; the first that the page heard counts.
    const ready = Math.min(marks.gate ?? Infinity, told?.at ?? Infinity);
    assert.ok(Number.isFinite(ready), 'the page was never told that it is ready');
    const took = marks['first-frame'] - ready;
    assert.ok(took < AT_ONCE_MS, `the first frame came ${took.toFixed(0)} ms after it was ready`);
  });
});

// A frame that comes while the element is being set up is gone, and a page that stands still sends no other.
test('the page is set up for the picture before it asks for it', async () => {
  await visit({ app: 'dev.farglass.still', witnesses: [watchesOffers] }, async (viewer) => {
    assert.deepEqual(await viewer.witnessed('farglassReady'), [true]);
  });
});

test('a reload shows a still page at once though its device draws nothing, and resumes the session', async () => {
  await visit({ app: 'dev.farglass.still' }, async (viewer) => {
    await showsPaper(viewer);
    const address = viewer.page.url();
    const { events } = await house.device.state();

    // A device that is stopped sends no picture for sure: what is shown then is the one that it sent before. It is stopped
    // no sooner than the page is back, because after 20 s its host gives it up.
    const { pid } = house.part('device');
    await viewer.page.reload({ waitUntil: 'commit' });
    process.kill(pid, 'SIGSTOP');
    try {
      await viewer.plays();
      await showsPaper(viewer);
      const { connected, 'first-frame': first } = await viewer.marks();
      assert.ok(first - connected < AT_ONCE_MS, `the first frame came ${(first - connected).toFixed(0)} ms after the way`);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    assert.equal(viewer.page.url(), address);
    const after = await house.device.state();
    assert.deepEqual([after.foreground, after.events], ['dev.farglass.still', events], 'the device was left as it was');
  });
});

test('the loading page shows the steps and the progress that control tells, in their order, and nothing else', async () => {
  await visit({ app: 'dev.farglass.paint', witnesses: [hears, watchesSteps] }, async (viewer) => {
    const heard = (await viewer.witnessed('farglassHeard')).map(({ told }) => told);
    const shown = (await viewer.witnessed('farglassShown')).map(({ step, done, progress }) => ({ step, done, progress }));
    const wanted = heard.map(({ stage, progress }) => ({ step: STEPS[STEP_OF[stage]], done: STEP_OF[stage], progress }));
    const changes = wanted.filter((now, n) => n === 0 || JSON.stringify(now) !== JSON.stringify(wanted[n - 1]));
    // What is told after the first frame has no page any more.
    assert.deepEqual(shown, changes.slice(0, shown.length));
    // Control tells the newest state: a step that is over at once, as starting an app can be, is skipped.
    const steps = [...new Set(shown.map(({ step }) => step))];
    assert.deepEqual(steps, STEPS.filter((step) => steps.includes(step)), 'the steps came in their order');
    assert.deepEqual([steps[0], steps.at(-1)], [STEPS[1], STEPS[3]], 'from the first to the last');
    const progress = shown.map((now) => now.progress);
    assert.deepEqual(progress, progress.toSorted((a, b) => a - b), 'progress goes forward');
    assert.ok(progress[0] < 30 && progress.at(-1) >= 60, `progress went from ${progress[0]} to ${progress.at(-1)}`);
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
