import { describe, expect, it } from 'vitest';
import { endingWords, readWarning } from '../../src/player/warning';
import { pageMs } from '../../src/wire/time';

const words = (reason: string, leftS: number, passedS = 0): string => {
  const ending = readWarning({ reason, ends_in_ms: leftS * 1000 }, pageMs(5000));
  return ending === null ? 'nothing' : endingWords(ending, pageMs(5000 + passedS * 1000));
};

describe('an end that is near', () => {
  it('is told in minutes, then in seconds, and counts down', () => {
    expect(words('max_duration', 120)).toBe('Ends in 2 min');
    expect(words('max_duration', 120, 60)).toBe('Ends in 60 s');
    expect(words('link_expired', 30, 29.5)).toBe('Ends in 1 s');
    expect(words('link_expired', 30, 99)).toBe('Ends in 0 s');
  });

  it('asks, when a touch puts it off', () => {
    expect(words('idle', 60)).toBe('Still there? Ends in 60 s');
  });

  it('is none when nothing was said that this page can read', () => {
    for (const warning of [null, undefined, 'soon', {}, { ends_in_ms: 'soon' }]) {
      expect(readWarning(warning, pageMs(0))).toBeNull();
    }
  });
});
