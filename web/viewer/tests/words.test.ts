import type { State } from '@farglass/shared/player/state';
import { pageMs } from '@farglass/shared/wire/time';
import { describe, expect, it } from 'vitest';
import { nextTry, wordsFor } from '../src/words';

const WAITING: State = { kind: 'waiting', why: 'busy', until: pageMs(12_000) };
const AGAIN: State = { kind: 'checking', again: 'busy' };
const FIRST: State = { kind: 'checking', again: null };

describe('a page that waits', () => {
  it('counts down to its next try and never reaches zero', () => {
    const at = (now: number): string | null => nextTry(WAITING, pageMs(now), 0);
    expect(at(0)).toBe('Checking again in 12 s');
    expect(at(10_500)).toBe('Checking again in 2 s');
    expect(at(12_000)).toBe('Checking again in 1 s');
    expect(at(99_000)).toBe('Checking again in 1 s');
  });

  it('keeps its words while it tries, and says that it does', () => {
    expect(wordsFor(AGAIN, true)).toEqual(wordsFor(WAITING, true));
    expect(nextTry(AGAIN, pageMs(0), 0)).toBe('Checking again…');
  });

  it('says when a link opens, by the calendar', () => {
    const scheduled: State = { kind: 'waiting', why: 'scheduled', until: pageMs(7_200_000) };
    const wall = Date.UTC(2030, 0, 31, 12);
    const opens = new Date(wall + 7_200_000).toLocaleString();
    expect(nextTry(scheduled, pageMs(0), wall)).toBe(`Opens ${opens}`);
    expect(nextTry(scheduled, pageMs(3_600_000), wall + 3_600_000)).toBe(`Opens ${opens}`);
  });
});

describe('a page that does not wait', () => {
  it('says nothing about a next try', () => {
    expect(nextTry(FIRST, pageMs(0), 0)).toBeNull();
    expect(nextTry({ kind: 'stopped', why: 'expired' }, pageMs(0), 0)).toBeNull();
  });

  it('offers another session only while the link is at hand', () => {
    expect(wordsFor({ kind: 'stopped', why: 'ended' }, true)[2]).toBe('Start again');
    const [, text, retry] = wordsFor({ kind: 'stopped', why: 'ended' }, false);
    expect(text).toContain('Open your link again');
    expect(retry).toBeUndefined();
  });
});
