import { describe, expect, it } from 'vitest';
import { Still } from '../../src/player/still';

/** A video element with a picture, and what lies over it. */
class Screen {
  videoWidth = 720;
  videoHeight = 1280;
  /** What the video shows now. */
  frame = 'first';
  readonly over: { width: number; height: number; drawn: string | null }[] = [];
  readonly ownerDocument = { createElement: () => this.#canvas() };

  after(canvas: Screen['over'][number]): void {
    this.over.push(canvas);
  }

  get still(): Still {
    return new Still(this as unknown as HTMLVideoElement);
  }

  #canvas(): unknown {
    const canvas = {
      width: 300,
      height: 150,
      drawn: null as string | null,
      getContext: () => ({ drawImage: (video: Screen) => { canvas.drawn = video.frame; } }),
      remove: () => { this.over.splice(this.over.indexOf(canvas), 1); },
    };
    return canvas;
  }
}

describe('the last frame', () => {
  it('lies over the video in its full size until it is cleared', () => {
    const screen = new Screen();
    const { still } = screen;
    still.keep();
    expect(screen.over).toMatchObject([{ width: 720, height: 1280, drawn: 'first' }]);
    still.clear();
    expect(screen.over).toEqual([]);
  });

  it('is not replaced by the black of an attempt that failed as well', () => {
    const screen = new Screen();
    const { still } = screen;
    still.keep();
    screen.frame = 'black';
    still.keep();
    expect(screen.over).toMatchObject([{ drawn: 'first' }]);
  });

  it('is that of the newest loss', () => {
    const screen = new Screen();
    const { still } = screen;
    still.keep();
    still.clear();
    screen.frame = 'second';
    still.keep();
    expect(screen.over).toMatchObject([{ drawn: 'second' }]);
  });

  it('is nothing while there never was a picture', () => {
    const screen = new Screen();
    screen.videoWidth = 0;
    screen.videoHeight = 0;
    const { still } = screen;
    still.keep();
    still.clear();
    expect(screen.over).toEqual([]);
  });
});
