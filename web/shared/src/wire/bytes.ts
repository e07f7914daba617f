/**
 * Bounded little-endian bytes, shared by the channel codecs; twin of `signaling/protocol/src/bytes.rs`.
 *
 * A reader never looks past its bytes, and `finish` refuses what is left over: a message has one
 * encoding and no hidden tail. It knows no message.
 */

/** Why bytes are not one of our messages. All mean the same to a caller: apply nothing. */
export type WireErrorKind = 'short' | 'long' | 'unknown_type' | 'too_many' | 'bad_value';

/** Bytes that are not one of our messages. */
export class WireError extends Error {
  readonly kind: WireErrorKind;

  constructor(kind: WireErrorKind) {
    super(kind);
    this.kind = kind;
  }
}

/** Reads fields in order. */
export class Reader {
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  /** A u64 that must be exact as a number: microseconds of this century need 51 bits. */
  u64(): number {
    const value = Number(this.#view.getBigUint64(this.#take(8), true));
    if (value > Number.MAX_SAFE_INTEGER) throw new WireError('bad_value');
    return value;
  }

  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, length);
  }

  /** A count that must not exceed `max`. */
  count(max: number): number {
    const n = this.u8();
    if (n > max) throw new WireError('too_many');
    return n;
  }

  finish(): void {
    if (this.#at !== this.#view.byteLength) throw new WireError('long');
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#view.byteLength) throw new WireError('short');
    this.#at = at + length;
    return at;
  }
}

/** Writes fields in order into one buffer of known capacity. */
export class Writer {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #at = 0;

  /** `capacity` in bytes: the size of the largest message that the caller will write. */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  u8(value: number): this {
    this.#view.setUint8(this.#skip(1), value);
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#skip(2), value, true);
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#skip(4), value, true);
    return this;
  }

  i32(value: number): this {
    this.#view.setInt32(this.#skip(4), value, true);
    return this;
  }

  u64(value: number): this {
    this.#view.setBigUint64(this.#skip(8), BigInt(value), true);
    return this;
  }

  raw(value: Uint8Array): this {
    this.#bytes.set(value, this.#skip(value.length));
    return this;
  }

  /** What was written. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#at);
  }

  #skip(length: number): number {
    const at = this.#at;
    this.#at += length;
    return at;
  }
}
