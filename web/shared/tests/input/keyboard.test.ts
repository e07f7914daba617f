import { describe, expect, it } from 'vitest';
import { type KeyLike, Keyboard, PASTE_CHARACTERS_MAX, type Typed } from '../../src/input/keyboard';
import { keycode, metaState } from '../../src/input/keycodes';
import type { ToGateway } from '../../src/wire/control';

interface Options {
  code?: string;
  modifiers?: string[];
  isComposing?: boolean;
  keyCode?: number;
  repeat?: boolean;
}

function key(name: string, { code = name, modifiers = [], isComposing = false, keyCode = 0, repeat = false }: Options = {}): KeyLike {
  return {
    key: name,
    code,
    keyCode,
    isComposing,
    repeat,
    shiftKey: modifiers.includes('Shift'),
    altKey: modifiers.includes('Alt'),
    ctrlKey: modifiers.includes('Control'),
    metaKey: modifiers.includes('Meta'),
    getModifierState: (each) => modifiers.includes(each),
  };
}

const text = (...typed: Typed[]): string =>
  typed.flatMap(({ messages }) => messages.map((each) => (each.type === 'text' ? each.text : ''))).join('');

const keys = (messages: ToGateway[]): [string, number][] =>
  messages.flatMap((each): [string, number][] => (each.type === 'key' ? [[each.action, each.keycode]] : []));

describe('a hardware keyboard', () => {
  it('types what its layout prints, in any script', () => {
    const board = new Keyboard();
    const typed = Array.from('héllo 你好').map((letter) => board.keyDown(key(letter, { code: 'KeyA' })));
    expect(text(...typed)).toBe('héllo 你好');
    expect(typed.every(({ prevent }) => prevent)).toBe(true);
    expect(board.releaseAll()).toEqual([]);
  });

  it('types what AltGr and a Mac’s Option print', () => {
    const board = new Keyboard();
    expect(text(board.keyDown(key('@', { code: 'KeyQ', modifiers: ['Control', 'Alt', 'AltGraph'] })))).toBe('@');
    expect(text(board.keyDown(key('å', { code: 'KeyA', modifiers: ['Alt'] })))).toBe('å');
  });

  it('presses and releases keys that print nothing, counting repetitions', () => {
    const board = new Keyboard();
    const repeats = [false, true, true].map((repeat) => board.keyDown(key('ArrowLeft', { repeat })).messages[0]);
    expect(repeats).toMatchObject([{ repeat: 0 }, { repeat: 1 }, { repeat: 2 }]);
    expect(repeats[0]).toMatchObject({ type: 'key', action: 'down', keycode: 21 });
    expect(keys(board.keyUp(key('ArrowLeft')).messages)).toEqual([['up', 21]]);
    expect(board.keyUp(key('ArrowLeft')).messages).toEqual([]);
  });

  it('sends editing shortcuts with their modifiers', () => {
    const typed = new Keyboard().keyDown(key('a', { code: 'KeyA', modifiers: ['Control'] }));
    expect(typed).toEqual({
      messages: [{ type: 'key', action: 'down', keycode: 29, metastate: 0x1000, repeat: 0 }],
      prevent: true,
    });
  });

  it.each([
    ['Tab', key('Tab')],
    ['Shift+Tab', key('Tab', { modifiers: ['Shift'] })],
    ['F5', key('F5')],
    ['Ctrl+R', key('r', { code: 'KeyR', modifiers: ['Control'] })],
    ['Ctrl+V, which comes as a paste', key('v', { code: 'KeyV', modifiers: ['Control'] })],
    ['Shift+Insert, which comes as a paste', key('Insert', { modifiers: ['Shift'] })],
    ['a key that an input method took', key('Process', { keyCode: 229 })],
    ['a key while composing', key('n', { code: 'KeyN', isComposing: true })],
    ['a dead key', key('Dead', { code: 'Quote' })],
    ['an unknown key', key('BrowserBack')],
  ])('leaves %s to the browser', (_name, event) => {
    expect(new Keyboard().keyDown(event)).toEqual({ messages: [], prevent: false });
  });

  it('lets every held key go when the page loses it', () => {
    const board = new Keyboard();
    board.keyDown(key('ArrowUp'));
    board.keyDown(key('End'));
    expect(keys(board.releaseAll())).toEqual([['up', 19], ['up', 123]]);
    expect(board.releaseAll()).toEqual([]);
  });
});

describe('a phone keyboard or an input method', () => {
  it('sends a composed word once, when it is finished', () => {
    const board = new Keyboard();
    expect(board.beforeInput('insertCompositionText', 'n', true).messages).toEqual([]);
    expect(board.beforeInput('insertCompositionText', 'ni', true).messages).toEqual([]);
    expect(text(board.compositionEnd('你好'))).toBe('你好');
    // Safari commits once more outside of the composition.
    expect(board.beforeInput('insertFromComposition', '你好', false).messages).toEqual([]);
  });

  it('sends inserted text as it is, and keeps the field as it was', () => {
    expect(new Keyboard().beforeInput('insertText', 'héllo 你好', false)).toEqual({
      messages: [{ type: 'text', text: 'héllo 你好' }],
      prevent: true,
    });
  });

  it('turns deletions and line breaks into presses', () => {
    const board = new Keyboard();
    expect(keys(board.beforeInput('deleteContentBackward', null, false).messages)).toEqual([['down', 67], ['up', 67]]);
    expect(keys(board.beforeInput('deleteContentForward', null, false).messages)).toEqual([['down', 112], ['up', 112]]);
    expect(keys(board.beforeInput('insertLineBreak', null, false).messages)).toEqual([['down', 66], ['up', 66]]);
  });

  it('does not act on a field change that inserts nothing', () => {
    expect(new Keyboard().beforeInput('historyUndo', null, false)).toEqual({ messages: [], prevent: true });
  });
});

describe('pasted text', () => {
  it('arrives as text, its line ends and tabs as keys', () => {
    const { messages } = new Keyboard().paste('a\r\nb\tc');
    expect(messages.map((each) => (each.type === 'text' ? each.text : each.type === 'key' ? each.keycode : ''))).toEqual([
      'a', 66, 66, 'b', 61, 61, 'c',
    ]);
  });

  it('is cut into messages, and at its limit', () => {
    const { messages } = new Keyboard().paste('x'.repeat(PASTE_CHARACTERS_MAX + 5));
    expect(messages).toHaveLength(PASTE_CHARACTERS_MAX / 300);
    expect(text({ messages, prevent: true })).toHaveLength(PASTE_CHARACTERS_MAX);
  });
});

describe('Android’s numbers', () => {
  it.each([['KeyA', 29], ['KeyZ', 54], ['Enter', 66], ['Backspace', 67], ['Escape', 111]])(
    '%s is %d',
    (code, expected) => {
      expect(keycode(code)).toBe(expected);
    },
  );

  it('adds up the modifiers', () => {
    expect(metaState(key('x', { modifiers: ['Shift', 'Alt', 'Control', 'Meta', 'CapsLock', 'NumLock'] }))).toBe(0x11003);
  });
});
