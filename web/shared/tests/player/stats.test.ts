import { describe, expect, it } from 'vitest';
import { GatewayClock } from '../../src/player/clock';
import { Stats, percentiles } from '../../src/player/stats';
import { Transport } from '../../src/player/transport';
import type { FrameMeta } from '../../src/wire/stats';
import { gatewayUs, generation, pageMs } from '../../src/wire/time';

const OFFSET_US = 1_000_000_000;

function rig(): Stats {
  const clock = new GatewayClock();
  clock.take({ type: 'pong', id: 1, t0_us: 0, t1_us: gatewayUs(OFFSET_US), t2_us: gatewayUs(OFFSET_US) }, pageMs(0));
  return new Stats(clock);
}

function meta(rtp: number, capturePageMs: number): FrameMeta {
  const capture_us = gatewayUs(OFFSET_US + capturePageMs * 1000);
  return {
    type: 'frame_meta', rtp, capture_us, received_us: capture_us, sent_us: capture_us,
    generation: generation(1), width: 720, height: 1280, residence_us: 100,
  };
}

const shown = (rtp: number | undefined, ms: number) => ({ rtp, expectedDisplay: pageMs(ms) });

describe('the age of frames', () => {
  it('is found whichever half arrives first', () => {
    const stats = rig();
    stats.frameMeta(meta(1, 100));
    stats.presented(shown(1, 120));
    stats.presented(shown(2, 140));
    stats.frameMeta(meta(2, 110));
    expect(stats.snapshot(pageMs(140)).frameAge).toEqual({ p50: 20, p95: 30 });
  });

  it('is unknown while halves are missing or the clock is not known', () => {
    const stats = rig();
    stats.frameMeta(meta(1, 100));
    stats.presented(shown(2, 120));
    stats.presented(shown(undefined, 130));
    expect(stats.snapshot(pageMs(130)).frameAge).toBeNull();
    const blind = new Stats(new GatewayClock());
    blind.frameMeta(meta(1, 100));
    blind.presented(shown(1, 120));
    expect(blind.snapshot(pageMs(130)).frameAge).toBeNull();
  });

  it('forgets halves that never meet', () => {
    const stats = rig();
    stats.presented(shown(1, 0));
    for (let rtp = 2; rtp < 1000; rtp++) stats.presented(shown(rtp, rtp));
    stats.frameMeta(meta(1, 0));
    expect(stats.snapshot(pageMs(1000)).frameAge).toBeNull();
  });
});

describe('the other numbers', () => {
  it('input takes from the packet to its first acknowledgement', () => {
    const stats = rig();
    stats.inputSent(1, pageMs(10));
    stats.inputAcked(1, pageMs(14));
    stats.inputAcked(1, pageMs(90));
    stats.inputAcked(7, pageMs(90));
    expect(stats.snapshot(pageMs(100)).input).toEqual({ p50: 4, p95: 4 });
  });

  it('frames are counted over the last second, and a still screen has none', () => {
    const stats = rig();
    for (let frame = 0; frame < 120; frame++) stats.presented(shown(frame, frame * (1000 / 60)));
    expect(stats.snapshot(pageMs(2000)).framesPerSecond).toBeGreaterThanOrEqual(59);
    expect(stats.snapshot(pageMs(2000)).framesPerSecond).toBeLessThanOrEqual(60);
    expect(stats.snapshot(pageMs(3100)).framesPerSecond).toBe(0);
  });

  it('percentiles are values that occurred', () => {
    expect(percentiles([])).toBeNull();
    expect(percentiles([5])).toEqual({ p50: 5, p95: 5 });
    expect(percentiles(Array.from({ length: 100 }, (_, index) => 100 - index))).toEqual({ p50: 50, p95: 95 });
  });
});

describe('the transport', () => {
  const report = (delay: number, emitted: number, candidateType: string): RTCStatsReport =>
    new Map<string, object>([
      ['v', { id: 'v', type: 'inbound-rtp', kind: 'video', jitterBufferDelay: delay, jitterBufferEmittedCount: emitted }],
      ['t', { id: 't', type: 'transport', selectedCandidatePairId: 'p' }],
      ['p', { id: 'p', type: 'candidate-pair', localCandidateId: 'l' }],
      ['l', { id: 'l', type: 'local-candidate', protocol: 'udp', candidateType }],
    ]);

  it('names the way of the selected pair', () => {
    expect(new Transport().read(report(0, 0, 'host')).route).toBe('UDP');
    expect(new Transport().read(report(0, 0, 'relay')).route).toBe('UDP, relayed');
    expect(new Transport().read(new Map() as unknown as RTCStatsReport)).toEqual({ route: null, jitterBufferMs: null });
  });

  it('tells the jitter buffer of the frames since the last report', () => {
    const transport = new Transport();
    transport.read(report(1, 100, 'host'));
    expect(transport.read(report(1.06, 160, 'host')).jitterBufferMs).toBeCloseTo(1);
    expect(transport.read(report(1.06, 160, 'host')).jitterBufferMs).toBeNull();
  });
});
