/**
 * Waiting for facts: the one way in which a journey waits. A fact that does not come within its deadline
 * fails the journey with its name and with what was seen last.
 */

import { setTimeout as pause } from 'node:timers/promises';

/** Two cores draw, encode, decode and judge at once: a fact that comes at all comes long before this. */
const DEADLINE_MS = 120_000;
/** Short against anything that a person would notice. */
const LOOK_EVERY_MS = 20;

/**
 * Looks until `look` gives something other than undefined, null or false, and returns it.
 *
 * @template T
 * @param {string} what is waited for, for the failure
 * @param {() => T | Promise<T>} look
 * @param {{ deadlineMs?: number, seen?: () => unknown }} [options]
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(what, look, { deadlineMs = DEADLINE_MS, seen } = {}) {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== null && found !== false) return found;
    if (performance.now() > deadline) {
      const last = seen === undefined ? found : await seen();
      throw new Error(`${what}: not within ${deadlineMs} ms; seen last: ${JSON.stringify(last)}`);
    }
    await pause(LOOK_EVERY_MS);
  }
}
