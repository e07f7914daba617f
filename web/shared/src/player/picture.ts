/**
 * Which generation of the picture the person sees.
 *
 * The `picture` message, its repetitions and the first frame of the new size arrive on different roads.
 * What counts is the frame on the screen: a touch names the newest announced picture that has its size.
 */

import type { Size } from '../input/coords';
import type { Picture } from '../wire/control';

/** Announcements kept: enough for a device that is turned around faster than frames arrive. */
const KEPT = 4;

/** The pictures that the gateway has announced on one connection, newest last. */
export class Pictures {
  readonly #announced: Picture[] = [];

  /** Takes a `picture` message: from two channels, so perhaps again, or when a newer one is known. */
  announce(picture: Picture): void {
    if (this.#announced.some(({ generation }) => generation === picture.generation)) return;
    this.#announced.push(picture);
    // The sign of the 16-bit difference: generations wrap.
    this.#announced.sort((a, b) => (a.generation - b.generation) << 16);
    if (this.#announced.length > KEPT) this.#announced.shift();
  }

  /**
   * The picture on the screen, by the size of the frame that is shown. If no announced picture has
   * that size, the newest: a decoder may crop, and then sizes cannot tell.
   */
  shown(video: Size): Picture | null {
    const matches = (picture: Picture): boolean =>
      picture.width === video.width && picture.height === video.height;
    return this.#announced.findLast(matches) ?? this.#announced.at(-1) ?? null;
  }
}
