// Text and the device's own buttons.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { browser, house, journeys } from './rig/journeys.mjs';
import { Viewer } from './rig/viewer.mjs';

journeys({ devices: 1 });

/** @param {(viewer: Viewer) => Promise<void>} journey */
async function typing(journey) {
  const link = await house.link({ app: 'dev.farglass.echo' });
  // A desktop without touch: its keyboard types into the device at once.
  const viewer = await Viewer.open(browser, link.url, { viewport: { width: 1100, height: 800 } });
  await viewer.plays();
  await journey(viewer);
  assert.deepEqual(viewer.complaints, [], 'the page complained');
}

test('"héllo 你好" typed on a keyboard and an input method arrives as it is', async () => {
  await typing(async ({ page }) => {
    await page.keyboard.type('h');
    // What a dead key or an input method commits comes as text, not as keys.
    await page.keyboard.insertText('é');
    await page.keyboard.type('llo ');
    await page.keyboard.insertText('你好');
    await house.device.becomes('the text', ({ text }) => text === 'héllo 你好');
  });
});

test('Backspace and Enter edit the text on the device', async () => {
  await typing(async ({ page }) => {
    await page.keyboard.type('abx');
    await page.keyboard.press('Backspace');
    await page.keyboard.press('Enter');
    await page.keyboard.type('c');
    await house.device.becomes('two lines', ({ text }) => text === 'ab\nc');
  });
});

test('Home leaves the app, Back and Recents reach the device', async () => {
  await typing(async (viewer) => {
    const mark = await house.device.mark();
    await viewer.press('Home');
    await house.device.becomes('the launcher', ({ foreground }) => foreground === 'dev.farglass.launcher');
    await viewer.press('Back');
    await viewer.press('Recent apps');
    await house.device.becomes('three keys', ({ events }) => {
      return events.filter(({ seq, kind }) => seq > mark && kind.startsWith('key')).length >= 3;
    });
  });
});
