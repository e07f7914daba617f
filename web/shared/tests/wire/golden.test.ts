/**
 * Every message against the golden bytes that the Rust suite reads too
 * (`signaling/protocol/vectors/*.json`): both must decode to the same values, encode to the same
 * bytes, and refuse the same bytes for the same reason.
 */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WireError } from '../../src/wire/bytes';
import * as control from '../../src/wire/control';
import * as input from '../../src/wire/input';
import * as stats from '../../src/wire/stats';

interface Vector {
  name: string;
  dir: 'to_gateway' | 'to_viewer';
  hex: string;
  message?: unknown;
  error?: string;
}

/** Decodes, and gives the message and its bytes again. */
type Codec = (bytes: Uint8Array) => [unknown, Uint8Array];

interface Codecs {
  to_gateway: Codec;
  to_viewer: Codec;
}

function codec<T>(decode: (bytes: Uint8Array) => T, encode: (message: T) => Uint8Array): Codec {
  return (bytes) => {
    const message = decode(bytes);
    return [message, encode(message)];
  };
}

const CHANNELS: Record<'input' | 'control' | 'stats', Codecs> = {
  input: {
    to_gateway: codec(input.decode, input.encode),
    to_viewer: codec(input.decodeAck, input.encodeAck),
  },
  control: {
    to_gateway: codec(control.decode, control.encode),
    to_viewer: codec(control.decodeToViewer, control.encodeToViewer),
  },
  stats: {
    to_gateway: codec(stats.decode, stats.encode),
    to_viewer: codec(stats.decodeToViewer, stats.encodeToViewer),
  },
};

function vectors(channel: string): Vector[] {
  const path = new URL(`../../../../signaling/protocol/vectors/${channel}.json`, import.meta.url);
  return JSON.parse(readFileSync(fileURLToPath(path), 'utf8')) as Vector[];
}

const unhex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof WireError) return error.kind;
    throw error;
  }
  return 'accepted';
}

describe.each(Object.entries(CHANNELS))('the %s channel and its golden bytes', (channel, codecs) => {
  const all = vectors(channel);

  it('has vectors of both kinds', () => {
    expect(all.some((vector) => vector.message !== undefined)).toBe(true);
    expect(all.some((vector) => vector.error !== undefined)).toBe(true);
  });

  it.each(all.map((vector): [string, Vector] => [vector.name, vector]))('%s', (_name, vector) => {
    const run = codecs[vector.dir];
    if (vector.error !== undefined) {
      expect(refusal(() => run(unhex(vector.hex)))).toBe(vector.error);
      return;
    }
    const [message, again] = run(unhex(vector.hex));
    expect(message).toEqual(vector.message);
    expect(hex(again)).toBe(vector.hex);
  });
});

describe('any bytes', () => {
  it('are refused with a reason or encode to the same bytes', () => {
    const everyCodec = Object.values(CHANNELS).flatMap(({ to_gateway, to_viewer }) => [to_gateway, to_viewer]);
    const firstByte = fc.constantFrom(0x01, 0x02, 0x10, 0x11, 0x13, 0x1f, 0x20, 0x21, 0x30, 0x31, 0x32, 0x33, 0x81);
    const message = fc.tuple(firstByte, fc.uint8Array({ maxLength: 80 }));
    fc.assert(
      fc.property(message, ([first, rest]) => {
        const bytes = Uint8Array.of(first, ...rest);
        for (const run of everyCodec) {
          const answer = refusal(() => {
            expect(hex(run(bytes)[1])).toBe(hex(bytes));
          });
          expect(['accepted', 'short', 'long', 'unknown_type', 'too_many', 'bad_value']).toContain(answer);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('text', () => {
  it('above the limit is cut between characters', () => {
    const cut = (text: string): unknown => control.decode(control.encode({ type: 'text', text }));
    expect(cut('好'.repeat(101))).toEqual({ type: 'text', text: '好'.repeat(100) });
    expect(cut(`a${'好'.repeat(100)}`)).toEqual({ type: 'text', text: `a${'好'.repeat(99)}` });
  });

  it('is split into pieces that lose nothing and each fit one message', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 900 }), (text) => {
        const pieces = control.splitText(text);
        expect(pieces.join('')).toBe(text);
        for (const piece of pieces) {
          const bytes = new TextEncoder().encode(piece).length;
          expect(bytes).toBeGreaterThan(0);
          expect(bytes).toBeLessThanOrEqual(control.TEXT_BYTES_MAX);
        }
      }),
    );
  });
});
