// A TCP connection to an adb daemon in the form that @yume-chan/adb wants: packets in, packets out.

import { connect } from 'node:net';
import { once } from 'node:events';
import { Readable } from 'node:stream';

import { Adb, AdbDaemonTransport, AdbPacket, AdbPacketSerializeStream } from '@yume-chan/adb';
import { Consumable, StructDeserializeStream, pipeFrom } from '@yume-chan/stream-extra';

/**
 * Connects to a daemon; one that asks for a key has to know this one.
 * @param {string} host
 * @param {number} port
 * @param {{ delayedAckBytes: number, key?: Uint8Array }} options 0 = one packet per acknowledgement, as hosts before
 *   delayed ack; the key in PKCS #8
 * @returns {Promise<Adb>}
 */
export async function connectAdb(host, port, { delayedAckBytes, key }) {
  const socket = connect({ host, port, noDelay: true });
  await once(socket, 'connect');
  // A transport that is being closed still has a few closing packets to send; nobody waits for those.
  const write = (bytes) =>
    new Promise((done, fail) => {
      if (socket.writable) socket.write(bytes, (error) => (error ? fail(error) : done()));
      else done();
    });
  const bytes = new Consumable.WritableStream({ write, close: () => void socket.end() });
  const connection = {
    readable: Readable.toWeb(socket).pipeThrough(new StructDeserializeStream(AdbPacket)),
    writable: pipeFrom(bytes, new AdbPacketSerializeStream()),
  };
  const credentialStore = {
    generateKey: () => Promise.reject(new Error('the device asks for a key')),
    iterateKeys: () => (key === undefined ? [] : [{ buffer: key, name: 'test@host' }]),
  };
  const transport = await AdbDaemonTransport.authenticate({
    serial: `${host}:${port}`,
    connection,
    credentialStore,
    initialDelayedAckBytes: delayedAckBytes,
  });
  return new Adb(transport);
}
