/**
 * The `control` channel: what must arrive, and in order; twin of `signaling/protocol/src/control.rs`.
 *
 *   viewer → gateway
 *     key     10 | action u8 (0 down, 1 up) | keycode u32 | metastate u32 | repeat u32
 *     text    11 | len ≤ 300 u16 | UTF-8
 *     system  13 | what u8
 *     bye     1f | close reason u8
 *   gateway → viewer
 *     picture 20 | generation u16 | width u16 | height u16
 *     gate    21 | open u8 (0, 1)
 *     bye     1f | close reason u8
 *
 * Little-endian. Key codes and meta states are Android's (`KeyEvent`). A `system` message is a
 * whole press.
 */

import { Reader, WireError, Writer } from './bytes';
import { type CloseReason, closeCode, closeReason } from './close';
import { type Generation, generation } from './time';

/** Longest text in one message, bytes of UTF-8; longer text is cut between characters. */
export const TEXT_BYTES_MAX = 300;

const KEY = 0x10;
const TEXT = 0x11;
const SYSTEM = 0x13;
const BYE = 0x1f;
/** The type of a `picture`, which the `stats` channel repeats byte for byte. */
export const PICTURE = 0x20;
const GATE = 0x21;

/** The position in the list, from 1, is the code on the wire. */
const BUTTONS = ['home', 'back', 'recents', 'power', 'volume_up', 'volume_down', 'rotate'] as const;

/** A button of the device itself. */
export type SystemButton = (typeof BUTTONS)[number];

/** A key press or release. */
export interface Key {
  type: 'key';
  action: 'down' | 'up';
  /** Android's `KeyEvent.KEYCODE_*`. */
  keycode: number;
  /** Android's `KeyEvent.META_*` bits. */
  metastate: number;
  /** How often the key has repeated while held. */
  repeat: number;
}

/** One message from the viewer. */
export type ToGateway =
  | Key
  | { type: 'text'; text: string }
  | { type: 'system'; what: SystemButton }
  | { type: 'bye'; reason: CloseReason };

/** The picture's size, with what touches must name from now on. */
export interface Picture {
  type: 'picture';
  generation: Generation;
  /** Pixels. */
  width: number;
  /** Pixels. */
  height: number;
}

/** One message from the gateway. */
export type ToViewer = Picture | { type: 'gate'; open: boolean } | { type: 'bye'; reason: CloseReason };

/** Writes a message of the viewer. */
export function encode(message: ToGateway): Uint8Array<ArrayBuffer> {
  switch (message.type) {
    case 'key': {
      const writer = new Writer(14).u8(KEY).u8(message.action === 'down' ? 0 : 1);
      return writer.u32(message.keycode).u32(message.metastate).u32(message.repeat).finish();
    }
    case 'text': {
      const utf8 = new TextEncoder().encode(splitText(message.text)[0] ?? '');
      return new Writer(3 + utf8.length).u8(TEXT).u16(utf8.length).raw(utf8).finish();
    }
    case 'system':
      return new Writer(2).u8(SYSTEM).u8(BUTTONS.indexOf(message.what) + 1).finish();
    case 'bye':
      return new Writer(2).u8(BYE).u8(closeCode(message.reason)).finish();
  }
}

/** Reads a message of the viewer. Throws `WireError`. */
export function decode(bytes: Uint8Array): ToGateway {
  const reader = new Reader(bytes);
  const message = readToGateway(reader);
  reader.finish();
  return message;
}

/** Writes a message of the gateway. */
export function encodeToViewer(message: ToViewer): Uint8Array<ArrayBuffer> {
  switch (message.type) {
    case 'picture':
      return new Writer(7).u8(PICTURE).u16(message.generation).u16(message.width).u16(message.height).finish();
    case 'gate':
      return new Writer(2).u8(GATE).u8(message.open ? 1 : 0).finish();
    case 'bye':
      return new Writer(2).u8(BYE).u8(closeCode(message.reason)).finish();
  }
}

/** Reads a message of the gateway. Throws `WireError`. */
export function decodeToViewer(bytes: Uint8Array): ToViewer {
  const reader = new Reader(bytes);
  const message = readToViewer(reader);
  reader.finish();
  return message;
}

/** Reads a `picture` behind its type. Throws `WireError`. */
export function readPicture(reader: Reader): Picture {
  return { type: 'picture', generation: generation(reader.u16()), width: reader.u16(), height: reader.u16() };
}

/** Cuts text into pieces of at most `TEXT_BYTES_MAX` bytes, between characters, losing nothing. */
export function splitText(text: string): string[] {
  const pieces: string[] = [];
  let piece = '';
  let bytes = 0;
  for (const character of text) {
    const size = utf8Length(character);
    if (bytes + size > TEXT_BYTES_MAX) {
      pieces.push(piece);
      piece = '';
      bytes = 0;
    }
    piece += character;
    bytes += size;
  }
  if (piece !== '') pieces.push(piece);
  return pieces;
}

/** Bytes of one character. A lone surrogate becomes U+FFFD when encoded, which has three as well. */
function utf8Length(character: string): number {
  const point = character.codePointAt(0) ?? 0;
  if (point < 0x80) return 1;
  if (point < 0x800) return 2;
  return point < 0x10000 ? 3 : 4;
}

function readToGateway(reader: Reader): ToGateway {
  const type = reader.u8();
  switch (type) {
    case KEY: {
      const action = readAction(reader.u8());
      return { type: 'key', action, keycode: reader.u32(), metastate: reader.u32(), repeat: reader.u32() };
    }
    case TEXT:
      return { type: 'text', text: readText(reader) };
    case SYSTEM: {
      const what = BUTTONS[reader.u8() - 1];
      if (what === undefined) throw new WireError('bad_value');
      return { type: 'system', what };
    }
    case BYE:
      return { type: 'bye', reason: closeReason(reader.u8()) };
    default:
      throw new WireError('unknown_type');
  }
}

function readToViewer(reader: Reader): ToViewer {
  const type = reader.u8();
  switch (type) {
    case PICTURE:
      return readPicture(reader);
    case GATE: {
      const open = reader.u8();
      if (open > 1) throw new WireError('bad_value');
      return { type: 'gate', open: open === 1 };
    }
    case BYE:
      return { type: 'bye', reason: closeReason(reader.u8()) };
    default:
      throw new WireError('unknown_type');
  }
}

function readAction(code: number): 'down' | 'up' {
  if (code > 1) throw new WireError('bad_value');
  return code === 0 ? 'down' : 'up';
}

function readText(reader: Reader): string {
  const length = reader.u16();
  if (length > TEXT_BYTES_MAX) throw new WireError('too_many');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(reader.bytes(length));
  } catch (error) {
    if (error instanceof WireError) throw error;
    throw new WireError('bad_value');
  }
}
