/**
 * A whole house for a journey: `farglass up` with a data folder of its own on a port of its own, and the API
 * as an admin uses it. Ending it asserts that everything it started is gone.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { Device } from './device.mjs';
import { Postgres } from './postgres.mjs';
import { until } from './until.mjs';

/** The repository. */
export const TOP = path.resolve(import.meta.dirname, '../../..');
/** The binary under test, as `cargo build` leaves it. */
export const FARGLASS = process.env['FARGLASS_BIN'] ?? path.join(TOP, 'target/debug/farglass');
/** Where a house keeps what it knows. @typedef {'SQLite' | 'PostgreSQL'} Database */

/** A start takes a few seconds on an idle machine. */
const READY_MS = 60_000;
/** Each of control, agent and devices has five seconds before it is killed. */
const END_MS = 60_000;
/** What is left out of the logs is not shown to be clean: its parts tell what they tell whoever looks for a fault. */
const LOG = 'debug';
/** How much of the logs a failure shows, characters. */
const LAST_WORDS = 20_000;

/** A `farglass up` that may or may not become ready. */
export class Up {
  /**
   * @param {string[]} args after `up`, or all that follow `program` when one is named
   * @param {{ program: string, cwd: string }} [other] something else that becomes `farglass up`
   * @param {Record<string, string>} [env] what its parts find beside our own environment
   */
  constructor(args, other, env = {}) {
    this.process = spawn(other?.program ?? FARGLASS, other === undefined ? ['up', ...args] : args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      ...(other === undefined ? {} : { cwd: other.cwd }),
    });
    this.told = '';
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (this.told += text));
    }
    // Asked for from the start: an end that nobody waits for yet must not be missed.
    this.ended = once(this.process, 'close').then(([code, signal]) => ({ code, signal }));
    /** @type {{ code: number | null, signal: string | null } | null} */
    this.end = null;
    void this.ended.then((end) => (this.end = end));
  }

  /** The end of what it has told. */
  get lastWords() {
    return this.told.slice(-LAST_WORDS);
  }

  /** The processes that it started and that live. */
  children() {
    const parent = String(this.process.pid);
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => ({ pid: Number(pid), ...processFacts(pid) }))
      .filter((facts) => facts.parent === parent);
  }

  /**
   * Waits for its end by itself.
   * @param {number} withinMs
   */
  async exit(withinMs = END_MS) {
    return until('farglass up ends', () => this.end, { deadlineMs: withinMs, seen: () => this.lastWords });
  }

  /** @param {NodeJS.Signals} signal */
  kill(signal) {
    this.process.kill(signal);
  }
}

/** A house that is ready. */
export class House {
  /**
   * @param {{ devices?: number, database?: Database }} [options]
   * @returns {Promise<House>}
   */
  static async start({ devices = 2, database = 'SQLite' } = {}) {
    const postgres = database === 'PostgreSQL' ? await Postgres.start() : null;
    const folder = mkdtempSync(path.join(tmpdir(), 'farglass-e2e-'));
    const data = path.join(folder, 'data');
    const env = { RUST_LOG: LOG, ...(postgres === null ? {} : { FARGLASS_DATABASE: postgres.url }) };
    const up = new Up(['--port', '0', '--data', data, '--devices', String(devices)], undefined, env);
    const file = path.join(data, 'up.json');
    try {
      await until('up.json', () => existsSync(file) || up.end !== null, { deadlineMs: READY_MS, seen: () => up.lastWords });
      if (up.end !== null) throw new Error(`farglass up ended instead of being ready:\n${up.lastWords}`);
    } catch (error) {
      up.kill('SIGTERM');
      await up.ended;
      rmSync(folder, { recursive: true });
      await postgres?.stop();
      postgres?.remove();
      throw error;
    }
    const house = new House(folder, up, JSON.parse(readFileSync(file, 'utf8')), postgres);
    await house.#login();
    return house;
  }

  #token = '';
  /** What the API has shown once: nobody may write it down. @type {Set<string>} */
  #secrets = new Set();

  /**
   * @param {string} folder
   * @param {Up} up
   * @param {{ url: string, admin: { login: string, password: string },
   *           links: { device: string, url: string }[], devices: { id: string, adb: string }[] }} facts
   * @param {Postgres | null} postgres the database, when it is none in the folder
   */
  constructor(folder, up, facts, postgres) {
    this.folder = folder;
    this.up = up;
    this.facts = facts;
    this.postgres = postgres;
    this.url = facts.url;
    this.devices = facts.devices.map(({ id, adb }) => new Device(id, adb));
  }

  async #login() {
    const { login, password } = this.facts.admin;
    this.#token = (await this.api('POST', '/auth/login', { login, password })).token;
  }

  /** The first device. */
  get device() {
    const [device] = this.devices;
    assert.ok(device !== undefined);
    return device;
  }

  /**
   * One call of the admin; an answer that is no success fails the journey.
   * @param {string} method
   * @param {string} at below `/api/v1`
   * @param {unknown} [body]
   */
  async api(method, at, body) {
    const answer = await fetch(`${this.url}/api/v1${at}`, {
      method,
      headers: {
        ...(this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    assert.ok(answer.ok, `${method} ${at}: ${answer.status} ${text}`);
    const told = text === '' ? null : JSON.parse(text);
    for (const secret of [told?.token, told?.url?.split('#')[1]]) if (secret !== undefined) this.#secrets.add(secret);
    return told;
  }

  /**
   * A link to a device, with an app in front when one is named.
   * @param {{ device?: Device, app?: string, expiresAt?: string, maxUses?: number, wish?: object }} [options] `wish`:
   *   whatever else the API takes
   * @returns {Promise<{ id: string, url: string }>}
   */
  async link({ device = this.device, app, expiresAt, maxUses, wish } = {}) {
    return this.api('POST', '/links', {
      name: 'journey',
      device_id: device.id,
      ...(app === undefined ? {} : { app: { package: app } }),
      ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
      ...(maxUses === undefined ? {} : { max_uses: maxUses }),
      ...wish,
    });
  }

  /** @param {{ id: string }} link */
  async revoke(link) {
    await this.api('POST', `/links/${link.id}/revoke`);
  }

  /** Withdraws every link, so that the next journey finds every device idle whatever became of this one. */
  async free() {
    const { items } = await this.api('GET', '/links');
    for (const link of items) if (link.state !== 'revoked') await this.revoke(link);
    await this.idle();
  }

  /** Waits until every device is free. */
  async idle() {
    const items = async () => (await this.api('GET', '/devices')).items;
    await until('every device is idle', async () => (await items()).every((item) => item.status === 'idle'), {
      seen: items,
    });
  }

  /** Whether control says that all is ready. */
  async healthy() {
    const answer = await fetch(`${this.url}/api/v1/health`).catch(() => null);
    return answer?.status === 200;
  }

  /**
   * The process that does one part of the work.
   * @param {'control' | 'agent' | 'device'} word
   * @param {Device} [device] which one
   */
  part(word, device = this.device) {
    const port = device.serial.split(':')[1];
    const is = (args) => args[1] === word && (word !== 'device' || args[args.indexOf('--adb-port') + 1] === port);
    const part = this.up.children().find(({ command }) => is(command.split(' ')));
    assert.ok(part !== undefined, `no ${word} runs`);
    return part;
  }

  /**
   * Kills a part, and holds `up` still for the time of `journey`, so that nobody starts it again; then waits
   * until the part has come back and all is well.
   * @template T
   * @param {'control' | 'agent' | 'device'} word
   * @param {() => Promise<T>} journey
   * @returns {Promise<T>}
   */
  async without(word, journey) {
    const { pid, command } = this.part(word);
    // An adb server that saw its device die calls it offline for a while, whatever becomes of it.
    if (word === 'device') await this.device.forget();
    this.up.kill('SIGSTOP');
    try {
      process.kill(pid, 'SIGKILL');
      await until(`the end of ${word}`, () => processFacts(String(pid)).command !== command);
      return await journey();
    } finally {
      this.up.kill('SIGCONT');
      await until(`another ${word}`, () => this.up.children().some((now) => now.command === command && now.pid !== pid));
      await until(`health after ${word} was killed`, () => this.healthy(), { seen: () => this.up.lastWords });
    }
  }

  /** Ends it as Ctrl-C does. No secret of its journeys is in what its parts have logged or kept. */
  async end() {
    const children = this.up.children();
    this.up.kill('SIGINT');
    const end = await this.up.exit();
    for (const device of this.devices) await device.forget();
    await this.postgres?.stop();
    const kept = [...filesIn(this.folder), ...(this.postgres === null ? [] : filesIn(this.postgres.folder))];
    const where = (name) => this.postgres === null ? name === 'control.db' : /^\d+$/.test(name);
    assert.ok(kept.some((file) => where(file.where) && file.text.includes('link.create')), 'the database is read');
    assert.match(this.up.told, /DEBUG/, 'the logs are read, and leave little out');
    for (const { where, text } of [...kept, { where: 'the logs', text: this.up.told }]) {
      assert.ok(![...this.#secrets].some((secret) => text.includes(secret)), `a secret is in ${where}`);
    }
    rmSync(this.folder, { recursive: true });
    this.postgres?.remove();
    assert.deepEqual(end, { code: 0, signal: null }, this.up.lastWords);
    const left = children.filter(({ pid, command }) => processFacts(String(pid)).command === command);
    assert.deepEqual(left, [], 'something outlived farglass up');
  }
}

/** Every file below a folder, with what is in it. @param {string} folder */
function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => ({ where: entry.name, text: readFileSync(path.join(entry.parentPath, entry.name), 'latin1') }));
}

/**
 * @param {string} pid
 * @returns {{ parent: string, command: string }} empty when there is no such process
 */
export function processFacts(pid) {
  try {
    // The name in parentheses may hold anything: the parent is the second word behind the last one.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    // A zombie has ended; its parent has only not asked yet.
    return state === 'Z' ? { parent: '', command: '' } : { parent: parent ?? '', command };
  } catch {
    return { parent: '', command: '' };
  }
}
