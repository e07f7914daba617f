/**
 * The `stats` channel: clocks and frame times, so that a viewer can show a true latency; twin of
 * `signaling/protocol/src/stats.rs`.
 *
 *   viewer → gateway
 *     ping        30 | id u32 | t0_us u64
 *     subscribe   33 | every_n u8            0 = no frame-meta, 1 = one for each frame, n = one in n
 *   gateway → viewer
 *     picture     20 | generation u16 | width u16 | height u16      the bytes of the `control` channel's
 *     pong        31 | id u32 | t0_us u64 | t1_us u64 | t2_us u64
 *     frame-meta  32 | rtp u32 | capture_us u64 | received_us u64 | sent_us u64
 *                    | generation u16 | width u16 | height u16 | residence_us u32
 *
 * Little-endian. `t0` is the viewer's clock; every other time is the gateway's. A `picture` is a
 * repetition, and belongs to whoever reads the `control` channel.
 */

import { Reader, WireError, Writer } from './bytes';
import { PICTURE, type Picture, encodeToViewer as encodeControl, readPicture } from './control';
import { type GatewayUs, type Generation, gatewayUs, generation } from './time';

const PING = 0x30;
const PONG = 0x31;
const FRAME_META = 0x32;
const SUBSCRIBE = 0x33;

/** Asks for the gateway's clock. */
export interface Ping {
  type: 'ping';
  /** Comes back in the pong. */
  id: number;
  /** The page's clock, whole microseconds. */
  t0_us: number;
}

/** Asks for frame times. */
export interface Subscribe {
  type: 'subscribe';
  /** 0 for none, else one frame in this many; at most 255. */
  every_n: number;
}

/** The gateway's clock. */
export interface Pong {
  type: 'pong';
  id: number;
  /** The ping's. */
  t0_us: number;
  /** When the ping arrived. */
  t1_us: GatewayUs;
  /** When this answer left. */
  t2_us: GatewayUs;
}

/** When one frame passed through the gateway. */
export interface FrameMeta {
  type: 'frame_meta';
  /** The frame's RTP timestamp, which the browser shows with the frame. */
  rtp: number;
  /** The frame's presentation time on the gateway's clock. */
  capture_us: GatewayUs;
  /** When its last byte was read from the device. */
  received_us: GatewayUs;
  /** When its last packet was handed to the socket. */
  sent_us: GatewayUs;
  generation: Generation;
  /** Pixels. */
  width: number;
  /** Pixels. */
  height: number;
  /** `sent - received` on a monotonic clock. */
  residence_us: number;
}

/** One message from the gateway. */
export type ToViewer = Picture | Pong | FrameMeta;

/** Writes a message of the viewer. */
export function encode(message: Ping | Subscribe): Uint8Array<ArrayBuffer> {
  return message.type === 'ping'
    ? new Writer(13).u8(PING).u32(message.id).u64(message.t0_us).finish()
    : new Writer(2).u8(SUBSCRIBE).u8(message.every_n).finish();
}

/** Reads a message of the viewer. Throws `WireError`. */
export function decode(bytes: Uint8Array): Ping | Subscribe {
  const reader = new Reader(bytes);
  const type = reader.u8();
  let message: Ping | Subscribe;
  if (type === PING) message = { type: 'ping', id: reader.u32(), t0_us: reader.u64() };
  else if (type === SUBSCRIBE) message = { type: 'subscribe', every_n: reader.u8() };
  else throw new WireError('unknown_type');
  reader.finish();
  return message;
}

/** Writes a message of the gateway. */
export function encodeToViewer(message: ToViewer): Uint8Array<ArrayBuffer> {
  if (message.type === 'picture') return encodeControl(message);
  if (message.type === 'pong') {
    return new Writer(29)
      .u8(PONG)
      .u32(message.id)
      .u64(message.t0_us)
      .u64(message.t1_us)
      .u64(message.t2_us)
      .finish();
  }
  const writer = new Writer(39).u8(FRAME_META).u32(message.rtp);
  writer.u64(message.capture_us).u64(message.received_us).u64(message.sent_us);
  writer.u16(message.generation).u16(message.width).u16(message.height);
  return writer.u32(message.residence_us).finish();
}

/** Reads a message of the gateway. Throws `WireError`. */
export function decodeToViewer(bytes: Uint8Array): ToViewer {
  const reader = new Reader(bytes);
  const type = reader.u8();
  let message: ToViewer;
  if (type === PICTURE) message = readPicture(reader);
  else if (type === PONG) message = readPong(reader);
  else if (type === FRAME_META) message = readFrameMeta(reader);
  else throw new WireError('unknown_type');
  reader.finish();
  return message;
}

function readPong(reader: Reader): Pong {
  return {
    type: 'pong',
    id: reader.u32(),
    t0_us: reader.u64(),
    t1_us: gatewayUs(reader.u64()),
    t2_us: gatewayUs(reader.u64()),
  };
}

function readFrameMeta(reader: Reader): FrameMeta {
  return {
    type: 'frame_meta',
    rtp: reader.u32(),
    capture_us: gatewayUs(reader.u64()),
    received_us: gatewayUs(reader.u64()),
    sent_us: gatewayUs(reader.u64()),
    generation: generation(reader.u16()),
    width: reader.u16(),
    height: reader.u16(),
    residence_us: reader.u32(),
  };
}
