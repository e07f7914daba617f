// Fails when the viewer is heavier than its two budgets: JavaScript and CSS, each file as gzip -9.
//
//   before the first frame   the entry and everything that it imports statically, from Vite's manifest
//   altogether               every script and style sheet that is built
//
// That nothing of the rest is fetched before the first frame is up to `App.svelte`, which imports it.

import { readFileSync, readdirSync } from 'node:fs';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** Bytes: a fifth of a second on a line of 1 Mbit/s, next to everything else that opening a link costs. */
const FIRST_FRAME_BUDGET = 25_000;
/** Bytes: what comes after the first frame shares the line with the picture. */
const TOTAL_BUDGET = 30_000;

const dist = join(import.meta.dirname, '..', 'viewer', 'dist');
/** @type {Record<string, { file: string, isEntry?: boolean, imports?: string[], css?: string[] }>} */
const manifest = JSON.parse(readFileSync(join(dist, '.vite', 'manifest.json'), 'utf8'));

/** Chunks may import each other: a set that grows while it is gone through ends all the same. */
const chunks = new Set(Object.keys(manifest).filter((key) => manifest[key].isEntry));
for (const key of chunks) for (const imported of manifest[key].imports ?? []) chunks.add(imported);
const first = new Set([...chunks].flatMap((key) => [manifest[key].file, ...(manifest[key].css ?? [])]));
// Style sheets that belong to no chunk are linked by the page itself.
const page = readFileSync(join(dist, 'index.html'), 'utf8');
const built = readdirSync(dist, { recursive: true, encoding: 'utf8' })
  .filter((file) => ['.js', '.css'].includes(extname(file)))
  .sort();
for (const file of built) if (page.includes(file)) first.add(file);
if (chunks.size === 0) throw new Error(`the manifest in ${dist} names no entry`);

const late = built.filter((file) => !first.has(file));
const firstSum = report('before the first frame', [...first].sort(), 0, FIRST_FRAME_BUDGET);
const total = report('altogether', late, firstSum, TOTAL_BUDGET);
if (firstSum > FIRST_FRAME_BUDGET || total > TOTAL_BUDGET) process.exit(1);

/**
 * Prints files and the sum with what was there before.
 * @param {string} name
 * @param {string[]} files
 * @param {number} before
 * @param {number} budget
 */
function report(name, files, before, budget) {
  let sum = before;
  for (const file of files) {
    const size = gzipSync(readFileSync(join(dist, file)), { level: 9 }).length;
    sum += size;
    process.stdout.write(`${String(size).padStart(7)}  ${file}\n`);
  }
  process.stdout.write(`${String(sum).padStart(7)}  ${name}, of ${budget} bytes\n`);
  return sum;
}
