/**
 * The gateway's clock, seen from the page.
 *
 *   page     t0 ──────────────┐              ┌──────────────► t3
 *   gateway                   └► t1 ─── t2 ──┘
 *
 *   round trip = (t3 − t0) − (t2 − t1)        offset = ((t1 − t0) + (t2 − t3)) / 2
 *
 * The offset's error is at most half the round trip, so the sample with the smallest round trip of
 * the last minute counts and the others do not (the filter of RFC 5905, section 10, without its
 * dispersion). Old samples are dropped because the two clocks drift apart.
 */

import type { Pong } from '../wire/stats';
import { type GatewayUs, type PageMs, gatewayUs } from '../wire/time';

/** At 50 ppm two clocks part by 3 ms in this time. */
const SAMPLE_AGE_MS_MAX = 60_000;
/** One ping each second for a minute. */
const SAMPLES_MAX = 60;

interface Sample {
  at: PageMs;
  roundTripUs: number;
  offsetUs: number;
}

/** The offset estimator. */
export class GatewayClock {
  #samples: Sample[] = [];

  /** Takes the answer to a ping, read at `now`. Impossible ones (clock set back) are left out. */
  take(pong: Pong, now: PageMs): void {
    const t3 = now * 1000;
    const roundTripUs = t3 - pong.t0_us - (pong.t2_us - pong.t1_us);
    if (roundTripUs < 0 || pong.t2_us < pong.t1_us) return;
    const offsetUs = (pong.t1_us - pong.t0_us + (pong.t2_us - t3)) / 2;
    this.#samples = this.#samples.filter((sample) => now - sample.at <= SAMPLE_AGE_MS_MAX);
    this.#samples.push({ at: now, roundTripUs, offsetUs });
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
  }

  /** A moment of the page on the gateway's clock; null before the first pong. */
  toGateway(time: PageMs): GatewayUs | null {
    const [first, ...others] = this.#samples;
    if (first === undefined) return null;
    const best = others.reduce((a, b) => (b.roundTripUs < a.roundTripUs ? b : a), first);
    return gatewayUs(time * 1000 + best.offsetUs);
  }

}
