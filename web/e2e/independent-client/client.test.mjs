// The simulated device as a published scrcpy client sees it, one that shares no line with this project: it pushes the
// server, starts it, receives parameter sets and a key frame, and touches.
//
// Started by `cargo nextest run -p device` (bench/device/tests/device/independent_client.rs), which says where things are:
//   FARGLASS_ADB_PORT    a simulated device of 720x1280 on the loopback
//   FARGLASS_STAND_IN    the file to push as scrcpy-server 3.3.3
//   FARGLASS_GUARDED_PORT, FARGLASS_CLIENT_KEY    a device that asks for a key, and that key in PKCS #8 (DER)

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { AdbScrcpyClient, AdbScrcpyOptions3_3_3 } from '@yume-chan/adb-scrcpy';
import {
  AndroidKeyCode,
  AndroidKeyEventAction,
  AndroidKeyEventMeta,
  AndroidMotionEventAction,
  DefaultServerPath,
  ScrcpyVideoCodecId,
} from '@yume-chan/scrcpy';

import { connectAdb } from './connection.mjs';

const PORT = Number(process.env.FARGLASS_ADB_PORT);
/** How long the device may take for anything; generous for a busy machine. */
const DEADLINE_MS = 20_000;
const WIDTH = 720;
const HEIGHT = 1280;

/** The two kinds of flow control that devices and hosts agree on. */
for (const delayedAckBytes of [0, 1024 * 1024]) {
  const flow = delayedAckBytes === 0 ? 'one packet per acknowledgement' : 'delayed acknowledgement';
  describe(`with ${flow}`, () => {
    let adb;

    beforeEach(async () => {
      assert.ok(PORT > 0, 'FARGLASS_ADB_PORT names no port: run this through `cargo nextest run -p device`');
      adb = await connectAdb('127.0.0.1', PORT, { delayedAckBytes });
    });
    afterEach(() => adb?.close());

    for (const tunnelForward of [false, true]) {
      const tunnel = tunnelForward ? 'a forward tunnel' : 'a reverse tunnel';
      test(`scrcpy runs through ${tunnel}`, { timeout: DEADLINE_MS }, async () => {
        await shell(adb, 'am force-stop dev.farglass.paint; am start -n dev.farglass.paint/.MainActivity');
        await push(adb);
        const options = new AdbScrcpyOptions3_3_3({ tunnelForward, videoBitRate: 2_000_000, logLevel: 'info' });
        const client = await AdbScrcpyClient.start(adb, DefaultServerPath, options);
        try {
          await receivesPictures(client);
          await touches(adb, client);
          await hears(client);
        } finally {
          await client.close();
        }
      });
    }

    test('files go there and back, and commands tell their errors and codes', { timeout: DEADLINE_MS }, async () => {
      const content = new Uint8Array(3_000_000).map((_, at) => (at * 31) ^ (at >> 8));
      const sync = await adb.sync();
      try {
        const file = new Blob([content]).stream();
        await sync.write({ filename: '/sdcard/there/and-back', file, permission: 0o640, mtime: 77 });
        const { size, mtime, permission } = await sync.stat('/sdcard/there/and-back');
        assert.deepEqual([size, mtime, permission], [3_000_000n, 77n, 0o640]);
        const names = (await sync.readdir('/sdcard/there')).map(({ name }) => name);
        assert.deepEqual(names, ['and-back']);
        const back = new Uint8Array(await new Response(sync.read('/sdcard/there/and-back')).arrayBuffer());
        assert.ok(Buffer.from(back).equals(Buffer.from(content)));
        await assert.rejects(sync.write({ filename: '/system/no', file: new Blob(['x']).stream() }), /Permission denied/);
      } finally {
        await sync.dispose();
      }
      const told = await adb.subprocess.shellProtocol.spawnWaitText('echo out; cat /nothing; exit 42');
      assert.deepEqual([told.stdout, told.exitCode], ['out\n', 42]);
      assert.match(told.stderr, /No such file or directory/);
      const output = await adb.subprocess.noneProtocol.spawnWait('cat /sdcard/there/and-back');
      assert.ok(Buffer.from(output).equals(Buffer.from(content)));
    });

    test('a whole session: text, keys, clipboard, an app, a turn and a reset', { timeout: DEADLINE_MS }, async () => {
      await push(adb);
      const options = new AdbScrcpyOptions3_3_3({ audio: false, tunnelForward: true, videoBitRate: 2_000_000 });
      const client = await AdbScrcpyClient.start(adb, DefaultServerPath, options);
      try {
        const sessions = await countsSessions(client);
        await types(adb, client);
        await copies(adb, client);
        const { controller } = client;
        const before = sessions.seen;
        await controller.resetVideo();
        await until(async () => (sessions.seen > before ? true : undefined));
        await controller.rotateDevice();
        await until(async () => (sessions.size() === `${HEIGHT}x${WIDTH}` ? true : undefined));
        await controller.rotateDevice();
        await until(async () => (sessions.size() === `${WIDTH}x${HEIGHT}` ? true : undefined));
      } finally {
        await client.close();
      }
    });

    test('the server lists its encoders and displays', { timeout: DEADLINE_MS }, async () => {
      await push(adb);
      const encoders = await AdbScrcpyClient.getEncoders(adb, DefaultServerPath, new AdbScrcpyOptions3_3_3());
      assert.deepEqual(
        encoders.map(({ type, codec }) => [type, codec]),
        [
          ['video', 'h264'],
          ['audio', 'opus'],
        ],
      );
      await push(adb);
      const displays = await AdbScrcpyClient.getDisplays(adb, DefaultServerPath, new AdbScrcpyOptions3_3_3());
      assert.deepEqual(displays, [{ id: 0, resolution: `${WIDTH}x${HEIGHT}` }]);
    });

    test('a server of another version does not start', { timeout: DEADLINE_MS }, async () => {
      await push(adb);
      const options = new AdbScrcpyOptions3_3_3({}, { version: '3.3.2' });
      await assert.rejects(AdbScrcpyClient.start(adb, DefaultServerPath, options), (error) => {
        assert.match(error.output.join('\n'), /The server version \(3\.3\.3\) does not match the client \(3\.3\.2\)/);
        return true;
      });
    });
  });
}

test('a device that asks for a key lets the client in that has it', { timeout: DEADLINE_MS }, async () => {
  const key = await readFile(process.env.FARGLASS_CLIENT_KEY);
  const guarded = Number(process.env.FARGLASS_GUARDED_PORT);
  const adb = await connectAdb('127.0.0.1', guarded, { delayedAckBytes: 0, key });
  assert.equal(await shell(adb, 'echo in'), 'in\n');
  await adb.close();
  await assert.rejects(connectAdb('127.0.0.1', guarded, { delayedAckBytes: 0 }));
});

/** Counts the parameter sets that come, each the begin of a session. */
async function countsSessions(client) {
  const video = await client.videoStream;
  const sessions = { seen: 0, size: () => `${video.width}x${video.height}` };
  void (async () => {
    for await (const { type } of video.stream) sessions.seen += Number(type === 'configuration');
  })().catch(() => {});
  await until(async () => (sessions.seen > 0 ? true : undefined));
  return sessions;
}

/** Starts the app by its name, types into it, and takes the last letter back. */
async function types(adb, { controller }) {
  await controller.startApp('dev.farglass.echo', { forceStop: true });
  await until(async () => ((await dump(adb)).foreground === 'dev.farglass.echo' ? true : undefined));
  await controller.injectText('Hello');
  for (const action of [AndroidKeyEventAction.Down, AndroidKeyEventAction.Up]) {
    await controller.injectKeyCode({
      action,
      keyCode: AndroidKeyCode.Backspace,
      repeat: 0,
      metaState: AndroidKeyEventMeta.None,
    });
  }
  await until(async () => ((await dump(adb)).text.endsWith('Hell') ? true : undefined));
}

/** What is set here is pasted there and acknowledged, and what is copied there comes here. */
async function copies(adb, client) {
  await client.controller.setClipboard({ sequence: 9n, paste: true, content: 'ö 世界' });
  await until(async () => ((await dump(adb)).text.endsWith('ö 世界') ? true : undefined));
  const reader = client.clipboard.getReader();
  const news = reader.read();
  await shell(adb, "cmd simulated copy 'from there'");
  assert.equal((await news).value, 'from there');
  reader.releaseLock();
}

/** Copies the stand-in to where scrcpy looks for its server. */
async function push(adb) {
  const file = new Blob([await readFile(process.env.FARGLASS_STAND_IN)]).stream();
  await AdbScrcpyClient.pushServer(adb, file);
}

/** An Opus head first, then packets whose time moves on. */
async function hears(client) {
  const audio = await client.audioStream;
  assert.equal(audio.type, 'success');
  assert.equal(audio.codec.optionValue, 'opus');
  const reader = audio.stream.getReader();
  const configuration = (await reader.read()).value;
  assert.equal(configuration.type, 'configuration');
  assert.equal(new TextDecoder().decode(configuration.data.subarray(0, 8)), 'OpusHead');
  let last = 0n;
  for (let packets = 0; packets < 5; packets += 1) {
    const { type, pts } = (await reader.read()).value;
    assert.equal(type, 'data');
    assert.ok(pts > last);
    last = pts;
  }
  reader.releaseLock();
}

/** Parameter sets first, then a key frame, of the display's size. */
async function receivesPictures(client) {
  const video = await client.videoStream;
  assert.equal(video.metadata.codec, ScrcpyVideoCodecId.H264);
  const reader = video.stream.getReader();
  const configuration = (await reader.read()).value;
  assert.equal(configuration.type, 'configuration');
  const first = (await reader.read()).value;
  assert.equal(first.type, 'data');
  assert.equal(first.keyframe, true);
  assert.ok(first.pts > 0n);
  assert.deepEqual([video.width, video.height], [WIDTH, HEIGHT]);
  assert.equal(nalType(first.data), 5, 'a key frame is an IDR picture');
  // The rest has to be read, or it holds up everything else on the connection.
  void (async () => {
    while (!(await reader.read()).done);
  })().catch(() => {});
}

/** The type of the first slice of an Annex B access unit. */
function nalType(data) {
  for (let at = 0; at + 4 < data.length; at += 1) {
    if (data[at] === 0 && data[at + 1] === 0 && data[at + 2] === 1) {
      const type = data[at + 3] & 0x1f;
      if (type === 1 || type === 5) return type;
    }
  }
  return undefined;
}

/** A stroke of one finger arrives pixel for pixel; a touch for another size of the picture does not arrive. */
async function touches(adb, client) {
  const before = await dump(adb);
  const newest = before.events.at(-1)?.seq ?? 0;
  const touch = (action, pointerX, pointerY, videoWidth = WIDTH) =>
    client.controller.injectTouch({
      action,
      pointerId: 7n,
      pointerX,
      pointerY,
      videoWidth,
      videoHeight: HEIGHT,
      pressure: action === AndroidMotionEventAction.Up ? 0 : 1,
      actionButton: 0,
      buttons: 0,
    });
  await touch(AndroidMotionEventAction.Down, 1, 1, WIDTH - 2);
  await touch(AndroidMotionEventAction.Down, 100, 200);
  await touch(AndroidMotionEventAction.Move, 719, 1279);
  await touch(AndroidMotionEventAction.Up, 300, 400);
  const after = await until(async () => {
    const now = await dump(adb);
    return now.events.some((event) => event.seq > newest && event.kind === 'up') ? now : undefined;
  });
  const seen = after.events.filter((event) => event.seq > newest).map(({ kind, id, x, y }) => [kind, id, x, y]);
  assert.deepEqual(seen, [
    ['down', 7, 100, 200],
    ['move', 7, 719, 1279],
    ['up', 7, 300, 400],
  ]);
  assert.equal(after.strokes, before.strokes + 1);
  const wrongSize = (state) => state.dropped.find(({ why }) => why === 'wrong_size')?.n ?? 0;
  assert.equal(wrongSize(after), wrongSize(before) + 1);
}

/** Asks until there is an answer, and lets what comes from the device be heard in between. */
async function until(ask) {
  const start = performance.now();
  while (performance.now() - start < DEADLINE_MS) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await new Promise((next) => setImmediate(next));
  }
  throw new Error('the device never came to it');
}

async function dump(adb) {
  return JSON.parse(await shell(adb, 'dumpsys simulated'));
}

async function shell(adb, command) {
  const { stdout, stderr, exitCode } = await adb.subprocess.shellProtocol.spawnWaitText(command);
  assert.equal(exitCode, 0, stderr);
  return stdout;
}
