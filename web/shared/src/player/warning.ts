/**
 * The end that is near, in words: from the `warning` of a session, `{ reason, ends_in_ms }`.
 *
 * The server sends a duration, because the two clocks may differ; it counts from when it was heard.
 * What cannot be read warns of nothing: the end itself is told by other means. Loaded after the first
 * frame, for no session ends before.
 */

import { type PageMs, pageMs } from '../wire/time';

/** An end that is near. */
export interface Ending {
  /** Whether a touch puts it off. */
  idle: boolean;
  at: PageMs;
}

/** Reads what was heard at `heard`; null when no end is near. */
export function readWarning(warning: unknown, heard: PageMs): Ending | null {
  if (typeof warning !== 'object' || warning === null) return null;
  const { reason, ends_in_ms: left } = warning as Readonly<Record<string, unknown>>;
  return typeof left === 'number' ? { idle: reason === 'idle', at: pageMs(heard + left) } : null;
}

/** What the person is told at `now`. Whole minutes as long as there are two, then seconds. */
export function endingWords({ idle, at }: Ending, now: PageMs): string {
  const seconds = Math.max(0, Math.ceil((at - now) / 1000));
  const left = seconds > 90 ? `${Math.round(seconds / 60)} min` : `${seconds} s`;
  return idle ? `Still there? Ends in ${left}` : `Ends in ${left}`;
}
