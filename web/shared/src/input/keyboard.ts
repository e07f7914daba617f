/**
 * Typing: hardware keys, phone keyboards, input methods and pasted text, as control messages.
 *
 * A machine over plain event data; `KeyboardSource` below it is the only part that knows the DOM.
 *
 *   keydown ─┬ printable ───────────────► text        beforeinput ─┬ insertText, paste ► text
 *            ├ Enter, arrows, Ctrl+A … ─► key down/up              ├ delete… ──────────► key press
 *            └ composing, 229, Dead ────► (the input method's)     └ composing ────────► (wait)
 *   compositionend ─────────────────────► text         blur ─────► every held key goes up
 *
 * What can be printed is always text, so that any layout, dead keys and any script arrive as typed.
 * Tab, function keys and browser shortcuts stay with the browser: the page must not trap the
 * keyboard. Ctrl+V is left alone too, its text comes as a paste.
 */

import { type ToGateway, splitText } from '../wire/control';
import { BACKSPACE, DELETE, ENTER, type Modifiers, TAB, keycode, metaState } from './keycodes';

/** Pasted text is cut after this many characters: 40 messages of ASCII, typed in well under a second. */
export const PASTE_CHARACTERS_MAX = 12_000;

/** The part of `KeyboardEvent` that is needed. */
export interface KeyLike extends Modifiers {
  readonly key: string;
  readonly code: string;
  readonly keyCode: number;
  readonly isComposing: boolean;
  readonly repeat: boolean;
}

/** What to send, and whether the browser must not act on the event itself. */
export interface Typed {
  messages: ToGateway[];
  prevent: boolean;
}

const LEAVE: Typed = { messages: [], prevent: false };

/** Shortcuts of text editing that the device should see; every other Ctrl shortcut is the browser's. */
const EDIT_SHORTCUTS = new Set(['KeyA', 'KeyC', 'KeyX', 'KeyZ', 'KeyY']);
/** `keyCode` of a key that an input method has taken. */
const TAKEN_BY_INPUT_METHOD = 229;

interface HeldKey {
  keycode: number;
  repeat: number;
}

/** The machine. It holds which keys are down and nothing else. */
export class Keyboard {
  readonly #held = new Map<string, HeldKey>();

  /** A key went down. */
  keyDown(event: KeyLike): Typed {
    if (event.isComposing || event.keyCode === TAKEN_BY_INPUT_METHOD || event.key === 'Dead') return LEAVE;
    if (isPrintable(event.key) && !isShortcut(event)) {
      return { messages: [{ type: 'text', text: event.key }], prevent: true };
    }
    if (belongsToBrowser(event)) return LEAVE;
    const code = keycode(event.code);
    if (code === null) return LEAVE;
    const before = this.#held.get(event.code);
    const repeat = before === undefined ? 0 : before.repeat + 1;
    this.#held.set(event.code, { keycode: code, repeat });
    const metastate = metaState(event);
    return { messages: [{ type: 'key', action: 'down', keycode: code, metastate, repeat }], prevent: true };
  }

  /** A key went up. */
  keyUp(event: KeyLike): Typed {
    const held = this.#held.get(event.code);
    if (held === undefined) return LEAVE;
    this.#held.delete(event.code);
    const up: ToGateway = { type: 'key', action: 'up', keycode: held.keycode, metastate: metaState(event), repeat: 0 };
    return { messages: [up], prevent: true };
  }

  /** The hidden field is about to change (Input Events Level 2). `text` is what would be inserted. */
  beforeInput(inputType: string, text: string | null, composing: boolean): Typed {
    if (composing || inputType.includes('Composition')) return LEAVE;
    if (inputType.startsWith('delete')) {
      return { messages: press(inputType.endsWith('Forward') ? DELETE : BACKSPACE), prevent: true };
    }
    // A line break comes without its text.
    const inserted = /^insert(LineBreak|Paragraph)$/.test(inputType) ? '\n' : (text ?? '');
    return { messages: typedText(inserted), prevent: true };
  }

  /** An input method has finished a word. */
  compositionEnd(text: string): Typed {
    return { messages: typedText(text), prevent: false };
  }

  /** Text from the clipboard. */
  paste(text: string): Typed {
    return { messages: typedText(text.slice(0, PASTE_CHARACTERS_MAX)), prevent: true };
  }

  /** The page lost the keyboard: every held key goes up. */
  releaseAll(): ToGateway[] {
    const held = [...this.#held.values()];
    this.#held.clear();
    return held.map(({ keycode }) => ({ type: 'key', action: 'up', keycode, metastate: 0, repeat: 0 }));
  }
}

/** Named keys are ASCII words of several letters; a layout may print more than one character. */
function isPrintable(key: string): boolean {
  return key !== '' && !/^[A-Z][A-Za-z0-9]+$/.test(key);
}

/** Whether modifiers make a printable key a command. AltGr prints, and so does Option on a Mac. */
function isShortcut(event: KeyLike): boolean {
  if (event.getModifierState('AltGraph')) return false;
  const printedByAlt = event.altKey && (event.key.codePointAt(0) ?? 0) > 0x7f;
  return event.ctrlKey || event.metaKey || (event.altKey && !printedByAlt);
}

function belongsToBrowser(event: KeyLike): boolean {
  if (event.code === 'Tab' || /^F\d+$/.test(event.code)) return true;
  if (event.code === 'Insert' && event.shiftKey) return true;
  if (event.altKey && !event.ctrlKey) return /^(Alt|Arrow|Home)/.test(event.code);
  if (!event.ctrlKey && !event.metaKey) return false;
  const isLetterOrDigit = /^(Key|Digit)/.test(event.code);
  return event.code === 'Insert' || (isLetterOrDigit && !EDIT_SHORTCUTS.has(event.code));
}

function press(code: number): ToGateway[] {
  return (['down', 'up'] as const).map((action) => ({ type: 'key', action, keycode: code, metastate: 0, repeat: 0 }));
}

/** Line ends and tabs are keys on the device; everything between them is text. */
function typedText(text: string): ToGateway[] {
  const parts = text.replace(/\r\n?/g, '\n').split(/([\n\t])/);
  return parts.flatMap((part): ToGateway[] => {
    if (part === '\n') return press(ENTER);
    if (part === '\t') return press(TAB);
    return splitText(part).map((piece) => ({ type: 'text', text: piece }));
  });
}
