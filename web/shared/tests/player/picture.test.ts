import { describe, expect, it } from 'vitest';
import { Pictures } from '../../src/player/picture';
import type { Picture } from '../../src/wire/control';
import { generation } from '../../src/wire/time';

const picture = (n: number, width: number, height: number): Picture => ({
  type: 'picture',
  generation: generation(n),
  width,
  height,
});
const upright = { width: 720, height: 1280 };
const lying = { width: 1280, height: 720 };

describe('the picture that the person sees', () => {
  it('is the newest announced one of the size of the frame', () => {
    const pictures = new Pictures();
    pictures.announce(picture(1, 720, 1280));
    pictures.announce(picture(2, 1280, 720));
    pictures.announce(picture(3, 720, 1280));
    expect(pictures.shown(upright)?.generation).toBe(3);
    expect(pictures.shown(lying)?.generation).toBe(2);
  });

  it('does not fall back to one whose announcement was retransmitted behind a newer one', () => {
    const pictures = new Pictures();
    pictures.announce(picture(3, 720, 1280));
    pictures.announce(picture(1, 720, 1280));
    pictures.announce(picture(2, 1280, 720));
    expect(pictures.shown(upright)?.generation).toBe(3);
    expect(pictures.shown({ width: 1, height: 1 })?.generation).toBe(3);
  });

  it('is not pushed out by repetitions', () => {
    const pictures = new Pictures();
    pictures.announce(picture(1, 720, 1280));
    for (let n = 0; n < 10; n++) pictures.announce(picture(2, 1280, 720));
    expect(pictures.shown(upright)?.generation).toBe(1);
  });

  it('stays the newest when generations wrap', () => {
    const pictures = new Pictures();
    pictures.announce(picture(0, 720, 1280));
    pictures.announce(picture(65535, 720, 1280));
    expect(pictures.shown(upright)?.generation).toBe(0);
  });
});
