/**
 * A simulated device as stock adb sees it: the second, independent witness of what a journey did.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { until } from './until.mjs';

const run = promisify(execFile);
/**
 * An adb server of this process alone, on a socket in a folder of its own: neither the one that somebody uses
 * on this machine nor another run of these journeys can end it, and it ends nobody's.
 */
const ADB_FOLDER = mkdtempSync(path.join(tmpdir(), 'farglass-adb-'));
process.on('exit', () => rmSync(ADB_FOLDER, { recursive: true, force: true }));
const ADB_SERVER = `localfilesystem:${ADB_FOLDER}/adb.sock`;
/** An answer comes in milliseconds; a device that is silent for this long is not well. */
const ANSWER_MS = 30_000;
/** A touch is felt within milliseconds. One that the device does not feel within this was void, or its finger was lifted early. */
const FELT_MS = 5000;

export class Device {
  #connected = false;

  /**
   * @param {string} id as control names it
   * @param {string} serial `HOST:PORT` of its adb daemon
   */
  constructor(id, serial) {
    this.id = id;
    this.serial = serial;
  }

  /** @param {string[]} args */
  async #adb(...args) {
    const { stdout } = await run('adb', ['-L', ADB_SERVER, ...args], { timeout: ANSWER_MS });
    return stdout;
  }

  /** @param {string} command */
  async shell(command) {
    if (!this.#connected) {
      const answer = await this.#adb('connect', this.serial);
      // It exits with 0 when it could not connect, too.
      assert.match(answer, /^(already )?connected/);
      this.#connected = true;
    }
    return this.#adb('-s', this.serial, 'shell', command);
  }

  /**
   * Everything that the device knows of itself.
   * @returns {Promise<{ foreground: string, width: number, height: number, rotation: number,
   *   pointers: { id: number, x: number, y: number }[],
   *   events: { seq: number, kind: string, id: number, x: number, y: number }[],
   *   text: string, strokes: number, touches: number, dropped: { why: string, n: number }[] }>}
   */
  async state() {
    return JSON.parse(await this.shell('dumpsys simulated'));
  }

  /**
   * Waits until the device is as `is` wants it.
   * @param {string} what
   * @param {(state: Awaited<ReturnType<Device['state']>>) => boolean} is
   */
  async becomes(what, is) {
    let last;
    return until(
      what,
      async () => {
        last = await this.state();
        return is(last) ? last : null;
      },
      { seen: () => last },
    );
  }

  /**
   * The device once it is as `is` wants it; null when it does not become so, which is no failure yet.
   * @param {(state: Awaited<ReturnType<Device['state']>>) => boolean} is
   */
  async sees(is) {
    const since = performance.now();
    const { state } = await until('an answer of the device', async () => {
      const now = await this.state();
      if (is(now)) return { state: now };
      return performance.now() > since + FELT_MS && { state: null };
    });
    return state;
  }

  /**
   * Has a gesture made until the device has felt the whole of it once, and returns its touches. A press that was on its way
   * for half a second is void, and a finger that was silent for 0.3 s is lifted: on a machine that was busy for so long a
   * person does it again. Whether what the device felt is right is for the journey to say.
   * @param {() => Promise<void>} gesture
   * @param {{ fingers?: number, isWhole?: (touches: { kind: string, id: number, x: number, y: number }[]) => boolean }} [options]
   */
  async feels(gesture, { fingers = 1, isWhole = () => true } = {}) {
    let touches = [];
    const many = (kind) => touches.filter((touch) => touch.kind === kind).length;
    return until('a gesture that the device feels', async () => {
      const mark = await this.mark();
      await gesture();
      await this.sees((now) => {
        touches = touchesOf(now, mark);
        return now.pointers.length === 0 && many('up') >= fingers;
      });
      return many('down') === fingers && many('up') === fingers && isWhole(touches) && touches;
    }, { seen: () => touches });
  }

  /** The number of the newest event: what a journey does comes after it. */
  async mark() {
    return (await this.state()).events.at(-1)?.seq ?? 0;
  }

  /** All touches since `mark`. @param {number} mark */
  async touchesSince(mark) {
    return touchesOf(await this.state(), mark);
  }

  /** Ends our adb server, if this device has used it. */
  async forget() {
    if (!this.#connected) return;
    this.#connected = false;
    await this.#adb('kill-server');
  }
}

/** The touches that a device told of, after event `mark`. */
const touchesOf = ({ events }, mark) => events.filter(({ seq, kind }) => seq > mark && ['down', 'move', 'up'].includes(kind));
