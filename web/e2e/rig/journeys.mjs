/**
 * What all journeys of one file share: a house and a browser, there before the first journey and gone after the last.
 * After each one every page is closed and every device is free, whatever became of it, and no server saw a link's token.
 */

import { after, afterEach, before, describe } from 'node:test';

import { House } from './house.mjs';
import { Viewer, launch } from './viewer.mjs';

/** @type {House} */ export let house;
/** @type {import('playwright-core').Browser} */ export let browser;

/**
 * Says that this file's tests are journeys.
 * @param {{ devices?: number, database?: import('./house.mjs').Database }} [options] of the house
 */
export function journeys(options) {
  before(async () => {
    // One after the other: a house that fails must leave a browser that can be closed.
    browser = await launch();
    house = await House.start(options);
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
    await house.free();
    Viewer.judge();
  });
  after(async () => {
    await browser?.close();
    await house?.end();
  });
}

/**
 * Says that this file's tests are journeys, once with each database: `tests` writes them down.
 * @param {{ devices?: number }} options of the houses
 * @param {() => void} tests
 */
export function journeysOnBoth(options, tests) {
  for (const database of /** @type {const} */ (['SQLite', 'PostgreSQL'])) {
    describe(database, () => {
      journeys({ ...options, database });
      tests();
    });
  }
}
