// Fails when what a viewer downloads before the first frame (JavaScript and CSS, gzip -9) is above its budget.

import { readFileSync, readdirSync } from 'node:fs';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** Bytes: a quarter second on a 1 Mbit/s line, next to everything else that opening a link costs. */
const BUDGET = 25_000;

const dist = join(import.meta.dirname, '..', 'viewer', 'dist');
const files = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((file) =>
  ['.js', '.css'].includes(extname(file)),
);
if (files.length === 0) throw new Error(`nothing is built in ${dist}`);

let total = 0;
for (const file of files.sort()) {
  const size = gzipSync(readFileSync(join(dist, file)), { level: 9 }).length;
  total += size;
  process.stdout.write(`${String(size).padStart(7)}  ${file}\n`);
}
process.stdout.write(`${String(total).padStart(7)}  of ${BUDGET} bytes\n`);
if (total > BUDGET) process.exit(1);
