/**
 * A PostgreSQL of a house's own: a fresh cluster in a folder of its own, reached by a socket in there, so that no port
 * can be taken. The server refuses to run as root; there it runs as the user `postgres`, as Debian's own does.
 */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { until } from './until.mjs';

/** Where Debian keeps the server's programs, a folder for each version. */
const DEBIAN = '/usr/lib/postgresql';
const AS_POSTGRES = ['--reuid=postgres', '--regid=postgres', '--clear-groups'];
/** A fresh cluster on a busy machine; it takes a second on an idle one. */
const READY_MS = 90_000;

/** A server that takes connections. */
export class Postgres {
  /** @returns {Promise<Postgres>} */
  static async start() {
    const folder = mkdtempSync(path.join(tmpdir(), 'farglass-e2e-pg-'));
    if (isRoot()) run('chown', ['postgres:', folder]);
    const data = path.join(folder, 'data');
    run(...asItsUser('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']));
    const [program, args] = asItsUser('postgres', ['-D', data, '-k', folder, '-c', 'listen_addresses=']);
    const server = spawn(program, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    const postgres = new Postgres(folder, server);
    await postgres.#ready();
    return postgres;
  }

  #told = '';

  /**
   * @param {string} folder
   * @param {import('node:child_process').ChildProcess} server
   */
  constructor(folder, server) {
    this.folder = folder;
    this.server = server;
    this.ended = once(server, 'close');
    server.stderr?.setEncoding('utf8').on('data', (text) => (this.#told += text));
    /** Where control finds it. */
    this.url = `postgres://postgres@localhost/postgres?host=${folder}`;
  }

  async #ready() {
    const look = () => this.#told.includes('ready to accept connections') || this.server.exitCode !== null;
    await until('PostgreSQL takes connections', look, { deadlineMs: READY_MS, seen: () => this.#told });
    assert.equal(this.server.exitCode, null, this.#told);
  }

  /** Ends the server as its own service does: everything it knows is in its files then. */
  async stop() {
    this.server.kill('SIGINT');
    await this.ended;
  }

  /** Leaves nothing of it. */
  remove() {
    rmSync(this.folder, { recursive: true });
  }
}

const isRoot = () => process.getuid?.() === 0;

/** The folder of the newest version's programs. */
function programs() {
  const found = (existsSync(DEBIAN) ? readdirSync(DEBIAN) : [])
    .sort((one, other) => Number(other) - Number(one))
    .map((version) => path.join(DEBIAN, version, 'bin'))
    .find((bin) => existsSync(path.join(bin, 'initdb')));
  assert.ok(found !== undefined, 'PostgreSQL is missing: cargo xtask setup installs it');
  return found;
}

/**
 * A command that gives root away where we have it, and ends with whoever started it.
 * @param {string} name
 * @param {string[]} args
 * @returns {[string, string[]]}
 */
function asItsUser(name, args) {
  return ['setpriv', [...(isRoot() ? AS_POSTGRES : []), '--pdeathsig', 'KILL', path.join(programs(), name), ...args]];
}

/** @param {string} program @param {string[]} args */
function run(program, args) {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8', cwd: tmpdir() });
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stderr}`);
}
