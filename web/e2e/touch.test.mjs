// Fingers land on the exact pixels: told by the device itself over adb, and seen in the picture.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';

import { browser, house, journeys } from './rig/journeys.mjs';
import { DESKTOP, PHONE, Viewer } from './rig/viewer.mjs';

journeys();

/** The paint app's colours, by the pointer's number modulo ten. */
const PALETTE = [
  [0x2f, 0x80, 0xed], [0xeb, 0x57, 0x57], [0x27, 0xae, 0x60], [0xf2, 0x99, 0x4a], [0x9b, 0x51, 0xe0],
  [0x00, 0xa8, 0xb5], [0xd6, 0x33, 0x84], [0x6b, 0x4f, 0x3a], [0x85, 0xb7, 0x16], [0x22, 0x2b, 0x45],
];
const colourOf = (id) => PALETTE[((id % PALETTE.length) + PALETTE.length) % PALETTE.length];

/**
 * @param {import('playwright-core').BrowserContextOptions} shape
 * @param {(viewer: Viewer) => Promise<void>} journey
 */
async function painting(shape, journey) {
  const link = await house.link({ app: 'dev.farglass.paint' });
  const viewer = await Viewer.open(browser, link.url, shape);
  await viewer.plays();
  await house.device.becomes('the paint app', ({ foreground }) => foreground === 'dev.farglass.paint');
  await journey(viewer);
  assert.deepEqual((await house.device.state()).dropped, [], 'the device dropped input');
  assert.deepEqual(viewer.complaints, [], 'the page complained');
}

const at = ({ x, y }) => ({ x, y });

for (const [name, shape] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
  test(`taps on a ${name} land on the exact pixel, from edge to edge`, async () => {
    await painting(shape, async (viewer) => {
      for (const pixel of [{ x: 0, y: 400 }, { x: 719, y: 1279 }, { x: 360, y: 640 }, { x: 123, y: 1001 }]) {
        const touches = await house.device.feels(() => viewer.tap(pixel));
        assert.deepEqual(touches.map(({ kind }) => kind), ['down', 'up']);
        assert.deepEqual(touches.map(at), [pixel, pixel]);
      }
      const [down] = await house.device.feels(() => viewer.tap({ x: 500, y: 900 }));
      await viewer.colouredAt('the dot under the finger', [{ x: 500, y: 900 }], colourOf(down.id));
    });
  });

  test(`a swipe on a ${name} begins, goes and ends where the finger does`, async () => {
    await painting(shape, async (viewer) => {
      const way = Array.from({ length: 21 }, (_, n) => ({ x: 100 + n * 25, y: 500 + n * 30 }));
      const [first, ...rest] = way;
      const last = way.at(-1);
      const swipe = async () => {
        await viewer.touch('touchStart', [first]);
        for (const point of rest) await viewer.touch('touchMove', [point]);
        await viewer.touch('touchEnd', []);
      };
      const touches = await house.device.feels(swipe, { isWhole: (felt) => isDeepStrictEqual(at(felt.at(-1)), last) });
      assert.deepEqual([touches[0].kind, at(touches[0])], ['down', first]);
      assert.deepEqual([touches.at(-1).kind, at(touches.at(-1))], ['up', last]);
      const moves = touches.slice(1, -1);
      assert.ok(moves.length >= 3, `a swipe of ${moves.length} moves`);
      const passed = moves.map((move) => way.findIndex(({ x, y }) => x === move.x && y === move.y));
      assert.ok(passed.every((n) => n >= 0), `a move beside the way: ${JSON.stringify(moves)}`);
      assert.deepEqual(passed, passed.toSorted((a, b) => a - b), 'the moves are in order');
      await viewer.colouredAt('the stroke along the way', way.slice(2, -2), colourOf(touches[0].id));
    });
  });
}

test('two fingers paint two strokes at once, each in its own colour', async () => {
  await painting(PHONE, async (viewer) => {
    const left = (n) => ({ id: 0, x: 150, y: 400 + n * 40 });
    const right = (n) => ({ id: 1, x: 550, y: 1100 - n * 40 });
    let strokes = 0;
    const both = async () => {
      ({ strokes } = await house.device.state());
      await viewer.touch('touchStart', [left(0)]);
      await viewer.touch('touchStart', [left(0), right(0)]);
      await house.device.sees(({ pointers }) => pointers.length === 2);
      for (let n = 1; n <= 15; n += 1) await viewer.touch('touchMove', [left(n), right(n)]);
      await viewer.touch('touchEnd', [right(15)]);
      await viewer.touch('touchEnd', []);
    };
    const areThere = (felt) => [left(15), right(15)].every((end) => {
      return felt.some((touch) => touch.kind === 'up' && isDeepStrictEqual(at(touch), at(end)));
    });
    const touches = await house.device.feels(both, { fingers: 2, isWhole: areThere });
    const ids = [...new Set(touches.map(({ id }) => id))];
    assert.equal(ids.length, 2, 'two pointers');
    for (const [id, finger] of [[ids[0], left], [ids[1], right]]) {
      const own = touches.filter((touch) => touch.id === id);
      assert.deepEqual([own[0].kind, at(own[0])], ['down', at(finger(0))]);
      assert.deepEqual([own.at(-1).kind, at(own.at(-1))], ['up', at(finger(15))]);
      const stroke = Array.from({ length: 12 }, (_, n) => at(finger(n + 2)));
      await viewer.colouredAt(`the stroke of pointer ${id}`, stroke, colourOf(id));
    }
    assert.equal((await house.device.state()).strokes, strokes + 2);
  });
});

test('a mouse paints as a finger does', async () => {
  await painting({ viewport: { width: 1100, height: 800 } }, async (viewer) => {
    const [from, to] = [{ x: 200, y: 500 }, { x: 500, y: 800 }];
    const [start, end] = [await viewer.onPage(from), await viewer.onPage(to)];
    const drag = async () => {
      await viewer.page.mouse.move(start.x, start.y);
      await viewer.page.mouse.down();
      await viewer.page.mouse.move(end.x, end.y, { steps: 10 });
      await viewer.page.mouse.up();
    };
    // A mouse stands on whole pixels of the page, which are not those of the device.
    const slack = Math.ceil(300 / (end.x - start.x));
    const off = (touch, pixel) => Math.max(Math.abs(touch.x - pixel.x), Math.abs(touch.y - pixel.y));
    const touches = await house.device.feels(drag, { isWhole: (felt) => off(felt.at(-1), to) <= slack });
    for (const [touch, kind, pixel] of [[touches[0], 'down', from], [touches.at(-1), 'up', to]]) {
      assert.equal(touch.kind, kind);
      assert.ok(off(touch, pixel) <= slack, `${kind} at ${touch.x},${touch.y}, ${off(touch, pixel)} off`);
    }
  });
});

test('after a rotation the picture lies on its side and taps are exact again', async () => {
  await painting(DESKTOP, async (viewer) => {
    await viewer.press('Rotate');
    await house.device.becomes('a device on its side', ({ width, height }) => width === 1280 && height === 720);
    await viewer.playsAt({ width: 1280, height: 720 });
    for (const pixel of [{ x: 1279, y: 400 }, { x: 0, y: 719 }, { x: 640, y: 360 }]) {
      assert.deepEqual((await house.device.feels(() => viewer.tap(pixel))).map(at), [pixel, pixel]);
    }
    await viewer.press('Rotate');
    await house.device.becomes('a device upright', ({ width }) => width === 720);
    await viewer.playsAt({ width: 720, height: 1280 });
  });
});
