/**
 * From a hardware keyboard's key to Android's: `KeyboardEvent.code` (W3C UI Events, the physical
 * key) to `KeyEvent.KEYCODE_*`, and modifiers to `KeyEvent.META_*`.
 *
 * Letters and digits are here for shortcuts only: what can be printed travels as text, because the
 * layout of the person's keyboard is not the layout of the device.
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
const CAPS_LOCK_ON = 0x100000;
const NUM_LOCK_ON = 0x200000;

const KEYCODE_0 = 7;
const KEYCODE_A = 29;

const NAMED: ReadonlyMap<string, number> = new Map([
  ['ArrowUp', 19],
  ['ArrowDown', 20],
  ['ArrowLeft', 21],
  ['ArrowRight', 22],
  ['Enter', ENTER],
  ['NumpadEnter', 160],
  ['Backspace', BACKSPACE],
  ['Delete', DELETE],
  ['Tab', TAB],
  ['Space', 62],
  ['Escape', 111],
  ['PageUp', 92],
  ['PageDown', 93],
  ['Home', 122],
  ['End', 123],
  ['Insert', 124],
  ['ContextMenu', 82],
  ['ShiftLeft', 59],
  ['ShiftRight', 60],
  ['AltLeft', 57],
  ['AltRight', 58],
  ['ControlLeft', 113],
  ['ControlRight', 114],
  ['MetaLeft', 117],
  ['MetaRight', 118],
  ['CapsLock', 115],
  ['NumLock', 143],
  ['MediaPlayPause', 85],
  ['MediaStop', 86],
  ['MediaTrackNext', 87],
  ['MediaTrackPrevious', 88],
]);

/** Android's key code for a physical key, null for one that stays with the browser. */
export function keycode(code: string): number | null {
  const letter = /^Key([A-Z])$/.exec(code)?.[1];
  if (letter !== undefined) return KEYCODE_A + letter.charCodeAt(0) - 'A'.charCodeAt(0);
  const digit = /^Digit([0-9])$/.exec(code)?.[1];
  if (digit !== undefined) return KEYCODE_0 + Number(digit);
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
    (event.metaKey ? META_ON : 0) |
    (event.getModifierState('CapsLock') ? CAPS_LOCK_ON : 0) |
    (event.getModifierState('NumLock') ? NUM_LOCK_ON : 0)
  );
}
