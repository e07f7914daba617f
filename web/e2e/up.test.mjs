// `farglass up` itself: what it refuses and how, what it brings back, and that it leaves nothing behind.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { House, TOP, Up, processFacts } from './rig/house.mjs';
import { until } from './rig/until.mjs';

/** A refusal needs no start: it comes before anything is running. */
const REFUSAL_MS = 60_000;
/** `cargo xtask test` has built everything before the journeys; by themselves they may come first. */
const BUILD_MS = 600_000;
/** Why `cargo xtask up` is left out: it builds and runs its own binary, which is not the one under test then. */
const ANOTHER_BINARY = process.env['FARGLASS_BIN'] === undefined ? false : 'FARGLASS_BIN names another binary';

/** @type {House} */ let house;
/** @type {string} */ let folder;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'farglass-e2e-'));
  house = await House.start({ devices: 1 });
});

after(async () => {
  await house?.end();
  rmSync(folder, { recursive: true });
});

/**
 * @param {string[]} args
 * @param {RegExp[]} words that it must say
 */
async function refuses(args, words) {
  const up = new Up(args);
  const { code } = await up.exit(REFUSAL_MS);
  assert.notEqual(code, 0);
  for (const word of words) assert.match(up.told, word);
}

test('a taken port is told with the way out', async () => {
  const { port } = new URL(house.url);
  await refuses(['--port', port, '--data', path.join(folder, 'other')], [new RegExp(port), /taken/, /--port/]);
});

test('a data folder in use, or one that cannot be written, is told with the way out', async () => {
  await refuses(['--port', '0', '--data', path.join(house.folder, 'data')], [/another farglass up/, /--data/]);
  const file = path.join(folder, 'file');
  writeFileSync(file, '');
  await refuses(['--port', '0', '--data', path.join(file, 'data')], [/cannot be written/, /--data/]);
});

test('a number of devices that makes no sense is told', async () => {
  await refuses(['--port', '0', '--data', path.join(folder, 'x'), '--devices', '0'], [/--devices/]);
  await refuses(['--port', '0', '--data', path.join(folder, 'x'), '--devices', 'two'], [/--devices/]);
});

test('a child that is killed is started again, and all is well again', async () => {
  const of = (word) => house.up.children().find(({ command }) => command.split(' ')[1] === word);
  for (const word of ['device', 'agent', 'control']) {
    const before = of(word);
    assert.ok(before !== undefined, `no ${word} runs`);
    process.kill(before.pid, 'SIGKILL');
    await until(`another ${word}`, () => {
      const now = of(word);
      return now !== undefined && now.pid !== before.pid;
    });
    await until(`health after ${word} was killed`, () => house.healthy(), { seen: () => house.up.lastWords });
  }
  assert.match(house.up.told, /starting it again/);
});

test('cargo xtask up brings a house whose page answers, and Ctrl-C ends all of it', { skip: ANOTHER_BINARY }, async () => {
  const data = path.join(folder, 'xtask');
  const args = ['xtask', 'up', '--', '--port', String(await freePort()), '--data', data, '--devices', '1'];
  const up = new Up(args, { program: 'cargo', cwd: TOP });
  try {
    const facts = await upJson(up, data, BUILD_MS);
    const page = await fetch(facts.links[0].url);
    assert.deepEqual([page.status, page.headers.get('content-type')?.split(';')[0]], [200, 'text/html']);
    assert.match(await page.text(), /<script type="module"/);
    // cargo and xtask each become the next program, so that the parts are children of what was started.
    const parts = up.children();
    assert.deepEqual(parts.map(({ command }) => command.split(' ')[1]).toSorted(), ['agent', 'control', 'device']);
    up.kill('SIGINT');
    assert.deepEqual(await up.exit(), { code: 0, signal: null }, up.told);
    const left = parts.filter(({ pid, command }) => processFacts(String(pid)).command === command);
    assert.deepEqual(left, [], 'something outlived cargo xtask up');
    await assert.rejects(fetch(facts.url), 'something still listens');
  } finally {
    up.kill('SIGTERM');
    await up.ended;
  }
});

test('a second run on the same folder keeps the login and the links, and a kill of up leaves nothing behind', async () => {
  const data = path.join(folder, 'kept');
  const args = ['--port', String(await freePort()), '--data', data, '--devices', '1'];
  const first = new Up(args);
  const facts = await upJson(first, data);
  const children = first.children();
  assert.equal(children.length, 3);
  first.kill('SIGKILL');
  await first.ended;
  for (const { pid, command } of children) {
    await until(`the end of ${command}`, () => processFacts(String(pid)).command !== command);
  }

  const second = new Up(args);
  await until('the new up.json', () => second.told.includes('is ready'), { deadlineMs: 60_000, seen: () => second.told });
  const again = await upJson(second, data);
  assert.deepEqual([again.admin, again.links], [facts.admin, facts.links]);
  assert.deepEqual(again.devices.map(({ id }) => id), facts.devices.map(({ id }) => id));
  second.kill('SIGTERM');
  assert.deepEqual(await second.exit(), { code: 0, signal: null });
});

/** A port that nobody uses at the moment. */
async function freePort() {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/**
 * @param {Up} up
 * @param {string} data
 * @param {number} [deadlineMs]
 */
async function upJson(up, data, deadlineMs = 60_000) {
  const { existsSync, readFileSync, statSync } = await import('node:fs');
  const file = path.join(data, 'up.json');
  await until('up.json', () => existsSync(file) || up.end !== null, { deadlineMs, seen: () => up.told });
  assert.equal(up.end, null, up.told);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  return JSON.parse(readFileSync(file, 'utf8'));
}
