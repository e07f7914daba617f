/**
 * The way that media takes and the jitter buffer's delay, read from a stats report (webrtc-stats).
 *
 * `jitterBufferDelay` and its count only ever rise; the difference between two reports is the mean
 * over the frames between them.
 */

/** The numbers of one interval; null where the browser does not tell or nothing was emitted. */
export interface TransportSnapshot {
  /** `UDP`, `TCP`, or either through a relay. */
  route: string | null;
  /** Mean time that a frame spent in the jitter buffer, milliseconds. */
  jitterBufferMs: number | null;
}

/** Reads successive reports of one connection. */
export class Transport {
  #delayS = 0;
  #emitted = 0;

  /** Takes a report. */
  read(report: RTCStatsReport): TransportSnapshot {
    const all = [...report.values()] as StatsRecord[];
    return { route: route(all), jitterBufferMs: this.#jitterBuffer(all) };
  }

  #jitterBuffer(all: readonly StatsRecord[]): number | null {
    const inbound = all.find((each) => each.type === 'inbound-rtp' && each.kind === 'video');
    const delayS = number(inbound?.jitterBufferDelay);
    const emitted = number(inbound?.jitterBufferEmittedCount);
    if (delayS === null || emitted === null) return null;
    const frames = emitted - this.#emitted;
    const delta = delayS - this.#delayS;
    this.#emitted = emitted;
    this.#delayS = delayS;
    return frames > 0 ? (delta / frames) * 1000 : null;
  }
}

/** Reports are dictionaries that grow with every browser; each field is checked where it is read. */
type StatsRecord = Readonly<Record<string, unknown>>;

function route(all: readonly StatsRecord[]): string | null {
  const byId = (id: unknown): StatsRecord | undefined => all.find((each) => each.id === id);
  const transport = all.find((each) => each.type === 'transport');
  const pair =
    byId(transport?.selectedCandidatePairId) ??
    all.find((each) => each.type === 'candidate-pair' && each.nominated === true && each.state === 'succeeded');
  const local = byId(pair?.localCandidateId);
  const protocol = local?.protocol;
  if (typeof protocol !== 'string') return null;
  return local?.candidateType === 'relay' ? `${protocol.toUpperCase()}, relayed` : protocol.toUpperCase();
}

function number(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
