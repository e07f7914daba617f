// What goes on when a part dies: a session without control, and a page without its device or its host.
//
//   what dies    SQLite   PostgreSQL
//   control        ×          ×        what it had written is all that the next one knows of the session
//   the device     ×
//   the host                  ×
//
// A device's or a host's coming back is the same to either database: each is lived once.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { browser, house, journeys } from './rig/journeys.mjs';
import { until } from './rig/until.mjs';
import { Viewer } from './rig/viewer.mjs';

/**
 * @param {Viewer} viewer
 * @param {{ x: number, y: number }} pixel
 */
async function tapsExactly(viewer, pixel) {
  const touches = await house.device.feels(() => viewer.tap(pixel));
  assert.deepEqual(touches.map(({ kind, x, y }) => [kind, x, y]), [['down', pixel.x, pixel.y], ['up', pixel.x, pixel.y]]);
}

function outlivesControl() {
  test('a session goes on while control is dead, and after it has come back', async () => {
    const link = await house.link({ app: 'dev.farglass.motion' });
    const viewer = await Viewer.open(browser, link.url);
    await viewer.plays();
    await viewer.playsOn(10);
    const address = viewer.page.url();

    await house.without('control', async () => {
      assert.ok(!(await house.healthy()), 'control is dead');
      // Pictures are counted, and touches are made, only while it is dead.
      const dead = await viewer.frames();
      for (const y of [1001, 640, 311]) {
        await viewer.playsOn(30);
        await tapsExactly(viewer, { x: 123, y });
      }
      assert.ok((await viewer.frames()) >= dead + 90, 'the picture went on');
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
    assert.equal(viewer.page.url(), address, 'the same session');

    // And it can be taken away from him: what the killed control gave, the new one revokes.
    await house.revoke(link);
    await viewer.becomes('stopped', 'revoked');
    await house.idle();
    await until('a device without fingers', async () => (await house.device.state()).pointers.length === 0);
  });
}

describe('SQLite', () => {
  journeys({ devices: 1, database: 'SQLite' });
  outlivesControl();

  test('while a device is dead its link says offline; back again, it plays on, and who waited gets it', async () => {
    const link = await house.link({ app: 'dev.farglass.motion' });
    const viewer = await Viewer.open(browser, link.url);
    await viewer.plays();
    const another = await house.link({ app: 'dev.farglass.motion' });

    const address = viewer.page.url();
    const { waiting } = await house.without('device', async () => {
      // The person who was looking at it is told, over the last picture, and keeps both.
      await viewer.says(/The device is restarting|The device does not answer/);
      assert.equal((await viewer.shows()).state, 'streaming');
      const late = await Viewer.open(browser, another.url);
      const { words } = await late.becomes('waiting', 'offline');
      assert.match(words, /offline/);
      assert.deepEqual(await late.size(), { width: 0, height: 0 });
      return { waiting: late };
    });

    // The device has started anew; the session on it is the same, with its app in front, which moves.
    await until('the app', async () => (await house.device.state()).foreground === 'dev.farglass.motion');
    await viewer.playsOn(60);
    assert.doesNotMatch((await viewer.shows()).words, /restarting|does not answer/);
    assert.equal(viewer.page.url(), address);
    await tapsExactly(viewer, { x: 360, y: 1200 });
    await viewer.end();
    assert.deepEqual(viewer.complaints, []);
    await waiting.plays();
    await waiting.playsOn(30);
  });
});

describe('PostgreSQL', () => {
  journeys({ devices: 1, database: 'PostgreSQL' });
  outlivesControl();

  test('when the host dies the page says so, and plays on by itself when it is back', async () => {
    const link = await house.link({ app: 'dev.farglass.motion' });
    const viewer = await Viewer.open(browser, link.url);
    await viewer.plays();
    await viewer.playsOn(30);
    const address = viewer.page.url();
    await house.without('agent', async () => {
      await viewer.says(/The connection to the host is lost/);
      assert.equal((await viewer.shows()).state, 'streaming');
    });
    await until('no more words', async () => !/connection|Reconnecting/.test((await viewer.shows()).words));
    await viewer.playsOn(30);
    await tapsExactly(viewer, { x: 360, y: 1200 });
    assert.equal(viewer.page.url(), address);
  });
});
