import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { locate, pictureBox, toFraction } from '../../src/input/coords';
import { pixel } from '../../src/wire/time';

const size = fc.integer({ min: 1, max: 8192 });

describe('a fraction', () => {
  it('gives back exactly the pixel of any position, at any size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 65535 }), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (length, share) => {
        const position = share * length;
        const expected = Math.min(Math.floor(position), length - 1);
        expect(pixel(toFraction(position, length), length)).toBe(expected);
      }),
      { numRuns: 20_000 },
    );
  });

  it('gives back every whole pixel of the sizes that devices have', () => {
    for (const length of [1, 2, 3, 45, 720, 1080, 1280, 1920, 2400, 4096]) {
      for (let index = 0; index < length; index++) {
        expect(pixel(toFraction(index, length), length)).toBe(index);
        expect(pixel(toFraction(index + 0.999, length), length)).toBe(index);
      }
    }
  });

  it('is held to the picture', () => {
    expect(toFraction(-3, 720)).toBe(0);
    expect(toFraction(Number.NaN, 720)).toBe(0);
    expect(pixel(toFraction(720, 720), 720)).toBe(719);
    expect(pixel(toFraction(1e9, 720), 720)).toBe(719);
  });

  it('keeps the order of positions', () => {
    fc.assert(
      fc.property(size, fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), (length, a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        expect(toFraction(low * length, length)).toBeLessThanOrEqual(toFraction(high * length, length));
      }),
    );
  });
});

describe('the picture in its element', () => {
  it('is as large as fits, centred, with its own shape', () => {
    const wide = pictureBox({ left: 10, top: 20, width: 1000, height: 640 }, { width: 720, height: 1280 });
    expect(wide).toEqual({ left: 10 + (1000 - 360) / 2, top: 20, width: 360, height: 640 });
    const tall = pictureBox({ left: 0, top: 0, width: 390, height: 844 }, { width: 1280, height: 720 });
    expect(tall?.width).toBe(390);
    expect(tall?.height).toBeCloseTo((390 * 720) / 1280);
    expect(tall?.top).toBeCloseTo((844 - (390 * 720) / 1280) / 2);
  });

  it('is nowhere while the video or the element has no size', () => {
    expect(pictureBox({ left: 0, top: 0, width: 100, height: 100 }, { width: 0, height: 0 })).toBeNull();
    expect(pictureBox({ left: 0, top: 0, width: 0, height: 100 }, { width: 10, height: 10 })).toBeNull();
  });
});

describe('a pointer', () => {
  it('hits the video pixel whose centre it is over, in any window', () => {
    const inWindow = fc.record({
      element: fc.record({
        left: fc.double({ min: -50, max: 500, noNaN: true }),
        top: fc.double({ min: -50, max: 500, noNaN: true }),
        width: fc.double({ min: 40, max: 4000, noNaN: true }),
        height: fc.double({ min: 40, max: 4000, noNaN: true }),
      }),
      width: size,
      height: size,
      x: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      y: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    });
    fc.assert(
      fc.property(inWindow, ({ element, width, height, x, y }) => {
        const video = { width, height };
        const box = pictureBox(element, video)!;
        const column = Math.floor(x * width);
        const row = Math.floor(y * height);
        const located = locate(
          box.left + ((column + 0.5) / width) * box.width,
          box.top + ((row + 0.5) / height) * box.height,
          element,
          video,
        )!;
        expect(located.inside).toBe(true);
        expect(pixel(located.at.x, width)).toBe(column);
        expect(pixel(located.at.y, height)).toBe(row);
      }),
      { numRuns: 5000 },
    );
  });

  it('on a bar beside the picture is outside, and belongs to the nearest edge', () => {
    const element = { left: 0, top: 0, width: 1000, height: 640 };
    const video = { width: 720, height: 1280 };
    const left = locate(100, 320, element, video)!;
    expect(left.inside).toBe(false);
    expect(left.at.x).toBe(0);
    const right = locate(900, 320, element, video)!;
    expect(right.inside).toBe(false);
    expect(pixel(right.at.x, 720)).toBe(719);
    expect(pixel(right.at.y, 1280)).toBe(640);
  });
});
