// `farglass bench quick` against the whole product: it runs to its end and leaves no figure out.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { FARGLASS } from './rig/house.mjs';
import { CHROMIUM } from './rig/viewer.mjs';

const run = promisify(execFile);
/** Two starts, each with warm-up, a second and a half, two taps and its end, take fifteen seconds on a busy machine. */
const RUN_MS = 120_000;
const TAPS = 4;

/** Every figure that the bench promises; those with percentiles carry at least this many samples. */
const FIGURES = {
  'ready → first frame': 2,
  'link opened → first frame': 2,
  'frame age': 5,
  'touch → visible change': TAPS,
  'touch → drawing': TAPS,
  'arrival → display': 5,
  'touch → handler': TAPS,
  'gateway residence': 5,
  'jitter buffer, mean': null,
  'decoding, mean': null,
  'frames decoded': null,
  'bitrate': null,
  'freezes': null,
  'frames dropped': null,
  'packets lost': null,
};

test('a short bench run finds a number for every figure and for every process', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'farglass-e2e-'));
  try {
    const file = path.join(folder, 'report.json');
    const args = ['bench', 'quick', '--seconds', '3', '--taps', String(TAPS), '--starts', '2', '--json', file, '--chromium', CHROMIUM];
    const { stdout } = await run(FARGLASS, args, { timeout: RUN_MS });
    const { figures, processes, run: what } = JSON.parse(readFileSync(file, 'utf8'));
    assert.deepEqual([what.taps, what.picture], [TAPS, [720, 1280]]);

    assert.deepEqual(figures.map(({ name }) => name), Object.keys(FIGURES));
    for (const { name, value } of figures) {
      const samples = FIGURES[name];
      const numbers = samples === null ? { value } : value;
      for (const [part, number] of Object.entries(numbers)) {
        assert.ok(Number.isFinite(number), `${name}, ${part}: ${JSON.stringify(value)}`);
      }
      if (samples !== null) assert.ok(value.n >= samples, `${name} of ${value.n} samples`);
      assert.ok(stdout.includes(name), `the table lacks ${name}`);
    }
    // Something was seen and something was touched: figures of nothing would be zero, too.
    const found = Object.fromEntries(figures.map(({ name, value }) => [name, value]));
    assert.ok(found['link opened → first frame'].min > 0);
    for (const name of ['frames decoded', 'bitrate', 'decoding, mean']) {
      assert.ok(found[name] > 0, `${name}: ${found[name]}`);
    }
    // One that a busy machine held up for half a second is void, and counts two.
    assert.ok(found['touch → visible change'].min < 2000, 'every touch was lost');

    const names = processes.map(({ name }) => name.split(' ')[0]);
    for (const name of ['agent', 'control', 'device', 'up', 'Chromium']) assert.ok(names.includes(name), `no ${name}`);
    for (const { name, cpu_percent, rss, pss } of processes) {
      assert.ok([cpu_percent, rss, pss].every(Number.isFinite) && rss > 0, `${name}: ${cpu_percent} %, ${rss} MiB`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
