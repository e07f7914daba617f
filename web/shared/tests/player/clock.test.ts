import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GatewayClock } from '../../src/player/clock';
import type { Pong } from '../../src/wire/stats';
import { gatewayUs, pageMs } from '../../src/wire/time';

/** A pong over a way of two lengths, with the gateway `offsetUs` ahead of the page. */
function pong(offsetUs: number, t0_us: number, thereUs: number, heldUs: number): Pong {
  const t1 = t0_us + thereUs + offsetUs;
  return { type: 'pong', id: 1, t0_us, t1_us: gatewayUs(t1), t2_us: gatewayUs(t1 + heldUs) };
}

const arrival = (t0_us: number, ...legs: number[]) => pageMs((t0_us + legs.reduce((sum, leg) => sum + leg, 0)) / 1000);

describe('the gateway’s clock', () => {
  it('is unknown before the first pong', () => {
    const clock = new GatewayClock();
    expect(clock.toGateway(pageMs(5))).toBeNull();
  });

  it('is exact when both ways are equally long, however long the gateway held the answer', () => {
    const clock = new GatewayClock();
    clock.take(pong(1.79e15, 1_000_000, 4000, 70_000), arrival(1_000_000, 4000, 70_000, 4000));
    expect(clock.toGateway(pageMs(2000))).toBe(1.79e15 + 2_000_000);
  });

  it('trusts the sample with the shortest way, not the newest', () => {
    const clock = new GatewayClock();
    clock.take(pong(500, 1_000_000, 1000, 0), arrival(1_000_000, 1000, 1000));
    clock.take(pong(500, 2_000_000, 90_000, 0), arrival(2_000_000, 90_000, 1000));
    expect(clock.toGateway(pageMs(0))).toBe(500);
  });

  it('is never wrong by more than half the shortest round trip', () => {
    const leg = fc.integer({ min: 0, max: 300_000 });
    const trips = fc.array(fc.tuple(leg, leg, leg), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(trips, fc.integer({ min: -1e9, max: 1.8e15 }), (all, offset) => {
        const clock = new GatewayClock();
        all.forEach(([there, held, back], index) => {
          const t0 = 2e9 + index * 1_000_000;
          clock.take(pong(offset, t0, there, held), arrival(t0, there, held, back));
        });
        const error = Math.abs(clock.toGateway(pageMs(0))! - offset);
        const shortest = Math.min(...all.map(([there, , back]) => there + back));
        expect(error).toBeLessThanOrEqual(shortest / 2 + 1);
      }),
    );
  });

  it('forgets what is older than a minute, because clocks drift', () => {
    const clock = new GatewayClock();
    clock.take(pong(500, 1_000_000, 1000, 0), arrival(1_000_000, 1000, 1000));
    clock.take(pong(900, 100_000_000, 5000, 0), arrival(100_000_000, 5000, 5000));
    expect(clock.toGateway(pageMs(0))).toBe(900);
  });

  it('leaves out an impossible answer', () => {
    const clock = new GatewayClock();
    clock.take(pong(500, 9_000_000, 1000, 0), pageMs(1000));
    expect(clock.toGateway(pageMs(0))).toBeNull();
  });
});
