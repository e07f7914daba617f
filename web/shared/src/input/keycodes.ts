/**
 * From a hardware keyboard's key to Android's: `KeyboardEvent.code` (W3C UI Events, the physical
 * key) to `KeyEvent.KEYCODE_*`, and modifiers to `KeyEvent.META_*`.
 *
 * Letters are here for shortcuts only: what can be printed travels as text, because the layout of the
 * person's keyboard is not the layout of the device. Modifiers travel in the meta state of other keys.
 */

/** `KeyEvent.KEYCODE_ENTER`. */
export const ENTER = 66;
/** `KeyEvent.KEYCODE_DEL`, which is backspace. */
export const BACKSPACE = 67;
/** `KeyEvent.KEYCODE_FORWARD_DEL`. */
export const DELETE = 112;
/** `KeyEvent.KEYCODE_TAB`. */
export const TAB = 61;

const SHIFT_ON = 0x1;
const ALT_ON = 0x2;
const CTRL_ON = 0x1000;
const META_ON = 0x10000;

const KEYCODE_A = 29;

const NAMED: ReadonlyMap<string, number> = new Map([
  ['ArrowUp', 19],
  ['ArrowDown', 20],
  ['ArrowLeft', 21],
  ['ArrowRight', 22],
  ['Enter', ENTER],
  ['NumpadEnter', ENTER],
  ['Backspace', BACKSPACE],
  ['Delete', DELETE],
  ['Tab', TAB],
  ['Escape', 111],
  ['PageUp', 92],
  ['PageDown', 93],
  ['Home', 122],
  ['End', 123],
  ['Insert', 124],
]);

/** Android's key code for a physical key, null for one that stays with the browser. */
export function keycode(code: string): number | null {
  const letter = /^Key([A-Z])$/.exec(code)?.[1];
  if (letter !== undefined) return KEYCODE_A + letter.charCodeAt(0) - 'A'.charCodeAt(0);
  return NAMED.get(code) ?? null;
}

/** The modifiers of a keyboard event. */
export interface Modifiers {
  readonly shiftKey: boolean;
  readonly altKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  getModifierState(name: string): boolean;
}

/** Android's meta state for the modifiers held at an event. */
export function metaState(event: Modifiers): number {
  return (
    (event.shiftKey ? SHIFT_ON : 0) |
    (event.altKey ? ALT_ON : 0) |
    (event.ctrlKey ? CTRL_ON : 0) |
    (event.metaKey ? META_ON : 0)
  );
}
