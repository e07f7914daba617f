/**
 * From the window to the picture: which video pixel lies under a pointer.
 *
 *   ┌──────── element ────────┐     The video is drawn with `object-fit: contain`, centred: as
 *   │     ┌─────────────┐     │     large as fits, bars on two sides. Everything here is pure
 *   │ bar │   picture   │ bar │     arithmetic on the element's box (CSS pixels, fractions kept)
 *   │     └─────────────┘     │     and the video's own size.
 *   └─────────────────────────┘
 *
 * The agent computes `floor(fraction * size / 65536)`; the fraction made here gives it exactly the
 * pixel that the person pointed at. It knows no DOM and no touch rules.
 */

import type { Point } from '../wire/input';
import { type Fraction, fraction } from '../wire/time';

/** A rectangle in CSS pixels, relative to the window. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** The video's own size in pixels. */
export interface Size {
  width: number;
  height: number;
}

/** A place in the picture, and whether it was pointed at or is only the nearest one. */
export interface Located {
  at: Point;
  /** False when the pointer was on a bar or outside the element. */
  inside: boolean;
}

/** Where the picture is drawn inside its element; null while either has no size. */
export function pictureBox(element: Box, video: Size): Box | null {
  if (!(element.width > 0 && element.height > 0 && video.width > 0 && video.height > 0)) return null;
  const scale = Math.min(element.width / video.width, element.height / video.height);
  const width = video.width * scale;
  const height = video.height * scale;
  return {
    left: element.left + (element.width - width) / 2,
    top: element.top + (element.height - height) / 2,
    width,
    height,
  };
}

/** The place in the picture under (or nearest to) a position in the window. */
export function locate(x: number, y: number, element: Box, video: Size): Located | null {
  const box = pictureBox(element, video);
  if (box === null) return null;
  const pixelX = ((x - box.left) / box.width) * video.width;
  const pixelY = ((y - box.top) / box.height) * video.height;
  return {
    at: { x: toFraction(pixelX, video.width), y: toFraction(pixelY, video.height) },
    inside: pixelX >= 0 && pixelX < video.width && pixelY >= 0 && pixelY < video.height,
  };
}

/**
 * The fraction for a position of `position` pixels along an axis of `size` pixels, held to the
 * picture: `floor(fraction * size / 65536) === floor(position)` for every size up to 65 536.
 */
export function toFraction(position: number, size: number): Fraction {
  if (!(position > 0)) return fraction(0);
  const index = Math.min(Math.floor(position), size - 1);
  // The exact fraction may round down into the pixel before; the first fraction of the pixel does not.
  const first = Math.ceil((index * 65536) / size);
  const exact = Math.floor((Math.min(position, size) * 65536) / size);
  const last = Math.ceil(((index + 1) * 65536) / size) - 1;
  return fraction(Math.max(first, Math.min(exact, last)));
}
