// Every kind of server that the published client knows, each through a whole session: it lists encoders and displays,
// starts, shows pictures, and is touched, scrolled, typed into, copied to and from, turned, darkened and closed.
// Virtual keyboards, apps by their name and resets are asked of those versions that have them.
//
// A version is here when its command line, its sockets, its lists or its messages differ from the one before.
// Started by bench/device/tests/device/independent_client.rs, which says where things are:
//   FARGLASS_ADB_PORT      a simulated device of 360x640 on the loopback
//   FARGLASS_STAND_INS     a folder with the file to push as scrcpy-server VERSION, for each of them

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import * as tango from '@yume-chan/adb-scrcpy';
import {
  AndroidKeyCode,
  AndroidKeyEventAction,
  AndroidKeyEventMeta,
  AndroidMotionEventAction,
  AndroidScreenPowerMode,
  DefaultServerPath,
} from '@yume-chan/scrcpy';

import { connectAdb } from './connection.mjs';

const { AdbScrcpyClient } = tango;
const PORT = Number(process.env.FARGLASS_ADB_PORT);
/** How long the device may take for anything; generous for a busy machine. */
const DEADLINE_MS = 30_000;
const WIDTH = 360;
const HEIGHT = 640;

const VERSIONS = ['2.0', '2.1', '2.2', '2.3', '2.4', '2.6', '2.7', '3.0', '3.1', '3.2', '3.3.1', '3.3.3'];

/** Boot keyboard of the HID specification: modifiers, a reserved byte, six keys. */
const KEYBOARD = new Uint8Array([
  0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0, 0x25, 1, 0x75, 1, 0x95, 8, 0x81, 2,
  0x95, 1, 0x75, 8, 0x81, 1, 0x95, 6, 0x75, 8, 0x15, 0, 0x25, 0x65, 0x05, 0x07, 0x19, 0, 0x29, 0x65, 0x81, 0, 0xc0,
]);
/** Keys of that keyboard: h down, and all up. */
const REPORTS = [
  [0, 0, 0x0b, 0, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 0, 0, 0],
];

for (const delayedAckBytes of [0, 1024 * 1024]) {
  const flow = delayedAckBytes === 0 ? 'one packet per acknowledgement' : 'delayed acknowledgement';
  describe(`with ${flow}`, () => {
    for (const [index, version] of VERSIONS.entries()) {
      // Each version goes through each tunnel in one of the two flows.
      const tunnelForward = (index % 2 === 0) === (delayedAckBytes === 0);
      test(`a session with a server ${version}`, { timeout: 2 * DEADLINE_MS }, async () => {
        const adb = await connectAdb('127.0.0.1', PORT, { delayedAckBytes });
        try {
          await session(new Device(adb), version, tunnelForward);
        } finally {
          await adb.close();
        }
      });
    }
  });
}

async function session(device, version, tunnelForward) {
  const Class = tango[`AdbScrcpyOptions${version.replaceAll('.', '_')}`];
  // The class of 2.2 calls itself "v2.2" unless it is told, which no server does.
  const optionsWith = (init) => new Class(init, { version });
  await lists(device, version, optionsWith);
  await device.shell('am force-stop dev.farglass.paint; am start -n dev.farglass.paint/.MainActivity');
  await device.push(version);
  const options = optionsWith({ audio: false, tunnelForward, videoBitRate: 1_000_000 });
  const client = await AdbScrcpyClient.start(device.adb, DefaultServerPath, options);
  try {
    const pictures = await receives(client);
    await touches(device, client);
    await scrolls(device, client);
    await types(device, client, version);
    await copies(device, client);
    if (isAtLeast(version, 2, 4)) await plugsIn(device, client, version);
    await pullsPanelsDown(device, client);
    await turns(client, pictures);
    if (isAtLeast(version, 3, 0)) await resets(client, pictures);
    await darkens(device, client);
  } finally {
    await client.close();
  }
  await client.exited;
}

async function lists(device, version, optionsWith) {
  await device.push(version);
  const encoders = await AdbScrcpyClient.getEncoders(device.adb, DefaultServerPath, optionsWith({}));
  const expected = [
    ['video', 'h264'],
    ['audio', 'opus'],
  ];
  assert.deepEqual(
    encoders.map(({ type, codec }) => [type, codec]),
    expected,
  );
  await device.push(version);
  const displays = await AdbScrcpyClient.getDisplays(device.adb, DefaultServerPath, optionsWith({}));
  assert.deepEqual(displays, [{ id: 0, resolution: `${WIDTH}x${HEIGHT}` }]);
}

/** Parameter sets first, then a key frame, of the display's size; the rest is read and counted. */
async function receives(client) {
  const video = await client.videoStream;
  const reader = video.stream.getReader();
  assert.equal((await reader.read()).value.type, 'configuration');
  const { type, keyframe } = (await reader.read()).value;
  assert.deepEqual([type, keyframe], ['data', true]);
  const pictures = { sessions: 1, size: () => `${video.width}x${video.height}` };
  assert.equal(pictures.size(), `${WIDTH}x${HEIGHT}`);
  void (async () => {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      pictures.sessions += Number(read.value.type === 'configuration');
    }
  })().catch(() => {});
  return pictures;
}

/** A stroke of one finger arrives pixel for pixel. */
async function touches(device, { controller }) {
  const newest = (await device.dump()).events.at(-1)?.seq ?? 0;
  const stroke = [
    [AndroidMotionEventAction.Down, 10, 200],
    [AndroidMotionEventAction.Move, 359, 639],
    [AndroidMotionEventAction.Up, 300, 400],
  ];
  for (const [action, pointerX, pointerY] of stroke) {
    const pressure = action === AndroidMotionEventAction.Up ? 0 : 1;
    const finger = { pointerId: 7n, pressure, actionButton: 0, buttons: 0 };
    await controller.injectTouch({ action, pointerX, pointerY, videoWidth: WIDTH, videoHeight: HEIGHT, ...finger });
  }
  const events = await device.events((event) => event.seq > newest, 3);
  assert.deepEqual(
    events.map(({ kind, id, x, y }) => [kind, id, x, y]),
    [
      ['down', 7, 10, 200],
      ['move', 7, 359, 639],
      ['up', 7, 300, 400],
    ],
  );
}

/** One notch to the right and one down. */
async function scrolls(device, { controller }) {
  const newest = (await device.dump()).events.at(-1)?.seq ?? 0;
  const at = { pointerX: 20, pointerY: 30, videoWidth: WIDTH, videoHeight: HEIGHT, buttons: 0 };
  await controller.injectScroll({ ...at, scrollX: 1, scrollY: -1 });
  const [{ kind, x, y, horizontal, vertical }] = await device.events((event) => event.seq > newest, 1);
  assert.deepEqual([kind, x, y], ['scroll', 20, 30]);
  // What is sent is a fraction of 15 bits.
  assert.ok(Math.abs(horizontal - 1) < 0.01 && Math.abs(vertical + 1) < 0.01, `${horizontal}, ${vertical}`);
}

/** Opens the app, by its name where the version can, types into it, and takes the last letter back. */
async function types(device, { controller }, version) {
  if (isAtLeast(version, 3, 0)) await controller.startApp('dev.farglass.echo', { forceStop: true });
  else await device.shell('am force-stop dev.farglass.echo; am start -n dev.farglass.echo/.MainActivity');
  await device.until((dump) => dump.foreground === 'dev.farglass.echo');
  await controller.injectText('Hello');
  await press(controller, AndroidKeyCode.Backspace);
  await device.until((dump) => dump.text.endsWith('Hell'));
}

async function press(controller, keyCode) {
  for (const action of [AndroidKeyEventAction.Down, AndroidKeyEventAction.Up]) {
    await controller.injectKeyCode({ action, keyCode, repeat: 0, metaState: AndroidKeyEventMeta.None });
  }
}

/** What is set here is pasted there and acknowledged, and what is copied there comes here. */
async function copies(device, { controller, clipboard }) {
  await controller.setClipboard({ sequence: 9n, paste: true, content: 'ö 世界' });
  await device.until((dump) => dump.text.endsWith('ö 世界'));
  const reader = clipboard.getReader();
  const news = reader.read();
  await device.shell("cmd simulated copy 'from there'");
  assert.equal((await news).value, 'from there');
  reader.releaseLock();
}

/** A keyboard is plugged in, types, and is pulled out. */
async function plugsIn(device, { controller }, version) {
  await controller.uHidCreate({ id: 1, vendorId: 1, productId: 2, name: 'Keyboard', data: KEYBOARD });
  for (const report of REPORTS) await controller.uHidInput({ id: 1, data: new Uint8Array(report) });
  await device.until((dump) => dump.text.endsWith('ö 世界h'));
  assert.equal((await device.dump()).peripherals.hid.length, 1);
  // Before, it is pulled out with its server.
  if (!isAtLeast(version, 2, 7)) return;
  await controller.uHidDestroy(1);
  await device.until((dump) => dump.peripherals.hid.length === 0);
}

async function pullsPanelsDown(device, { controller }) {
  await controller.expandNotificationPanel();
  await device.until((dump) => dump.peripherals.panel === 'notifications');
  await controller.expandSettingPanel();
  await device.until((dump) => dump.peripherals.panel === 'settings');
  await controller.collapseNotificationPanel();
  await device.until((dump) => dump.peripherals.panel === null);
}

async function turns({ controller }, pictures) {
  await controller.rotateDevice();
  await until(async () => pictures.size() === `${HEIGHT}x${WIDTH}`);
  await controller.rotateDevice();
  await until(async () => pictures.size() === `${WIDTH}x${HEIGHT}`);
}

async function resets({ controller }, pictures) {
  const before = pictures.sessions;
  await controller.resetVideo();
  await until(async () => pictures.sessions > before);
}

/** The panel goes out and on again while the device is awake; BACK leaves an app, and wakes a device that sleeps. */
async function darkens(device, { controller }) {
  for (const mode of [AndroidScreenPowerMode.Off, AndroidScreenPowerMode.Normal]) {
    await controller.setScreenPowerMode(mode);
    const isOn = mode === AndroidScreenPowerMode.Normal;
    await device.until((dump) => dump.peripherals.panel_power === isOn && dump.screen_on);
  }
  await backOrScreenOn(controller);
  await device.until((dump) => dump.foreground === 'dev.farglass.launcher');
  await press(controller, AndroidKeyCode.Power);
  await device.until((dump) => !dump.screen_on);
  await backOrScreenOn(controller);
  await device.until((dump) => dump.screen_on);
}

async function backOrScreenOn(controller) {
  for (const action of [AndroidKeyEventAction.Down, AndroidKeyEventAction.Up]) await controller.backOrScreenOn(action);
}

function isAtLeast(version, major, minor) {
  const [ofMajor, ofMinor] = version.split('.').map(Number);
  return ofMajor > major || (ofMajor === major && ofMinor >= minor);
}

/** Asks until it is so, and lets what comes from the device be heard in between. */
async function until(ask) {
  const start = performance.now();
  while (performance.now() - start < DEADLINE_MS) {
    if (await ask()) return;
    await new Promise((next) => setImmediate(next));
  }
  throw new Error('the device never came to it');
}

/** The device by its shell. */
class Device {
  constructor(adb) {
    this.adb = adb;
  }

  async shell(command) {
    const { stdout, stderr, exitCode } = await this.adb.subprocess.shellProtocol.spawnWaitText(command);
    assert.equal(exitCode, 0, stderr);
    return stdout;
  }

  async dump() {
    return JSON.parse(await this.shell('dumpsys simulated'));
  }

  until(holds) {
    return until(async () => holds(await this.dump()));
  }

  /** The events that are meant, when there are so many. */
  async events(meant, count) {
    let events = [];
    await this.until((dump) => (events = dump.events.filter(meant)).length >= count);
    return events;
  }

  /** Copies the stand-in to where scrcpy looks for its server; a server deletes it when it starts. */
  async push(version) {
    const file = await readFile(join(process.env.FARGLASS_STAND_INS, version));
    await AdbScrcpyClient.pushServer(this.adb, new Blob([file]).stream());
  }
}
