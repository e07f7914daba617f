/**
 * How long to wait before trying again: doubling, capped, with half of it random, so that many pages
 * that lost the same server do not come back in step.
 */

/** A sequence of retries. */
export interface Backoff {
  /** The wait before the second try is at most this; the first is at once. Milliseconds. */
  firstMs: number;
  /** No wait is longer. Milliseconds. */
  capMs: number;
}

/** A lost connection: a person is looking at it. */
export const RECONNECT: Backoff = { firstMs: 250, capMs: 4000 };
/** A busy device: somebody else is using it, and asking more often does not free it. */
export const BUSY: Backoff = { firstMs: 4000, capMs: 30_000 };

/** The wait before try number `attempt` (the first is 0), with `random` from [0, 1). */
export function retryDelayMs(backoff: Backoff, attempt: number, random: number): number {
  if (attempt === 0) return 0;
  const ceiling = Math.min(backoff.capMs, backoff.firstMs * 2 ** (attempt - 1));
  // Never below half: a jitter down to zero would turn the queue for a busy device into a rush.
  return ceiling / 2 + (ceiling / 2) * random;
}
