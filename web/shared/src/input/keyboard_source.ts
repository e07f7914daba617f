/**
 * The DOM side of typing: one hidden text area, because only a focused editable element raises a
 * phone's keyboard and receives an input method.
 *
 * The field always holds one space with the caret behind it, so that a phone keyboard has something
 * to delete and reports the deletion. It is emptied to that after everything that is not composing.
 * What it holds when the listening starts was typed while this was still being loaded, and is sent.
 * All listeners end with the signal.
 */

import type { ToGateway } from '../wire/control';
import { Keyboard, type Typed } from './keyboard';

const REST = ' ';

/** Listens on `field`, and on `stage` for keys when the field is not focused, until `signal` aborts. */
export function listenToKeyboard(
  stage: HTMLElement,
  field: HTMLTextAreaElement,
  send: (message: ToGateway) => void,
  signal: AbortSignal,
): void {
  const keyboard = new Keyboard();
  const apply = (event: Event, typed: Typed): void => {
    if (typed.prevent) event.preventDefault();
    for (const message of typed.messages) send(message);
  };
  const rest = (): void => {
    field.value = REST;
    field.setSelectionRange(REST.length, REST.length);
  };
  const release = (): void => {
    for (const message of keyboard.releaseAll()) send(message);
  };
  stage.addEventListener('keydown', (event) => { apply(event, keyboard.keyDown(event)); }, { signal });
  stage.addEventListener('keyup', (event) => { apply(event, keyboard.keyUp(event)); }, { signal });
  stage.addEventListener('paste', (event) => {
    apply(event, keyboard.paste(event.clipboardData?.getData('text/plain') ?? ''));
  }, { signal });
  field.addEventListener('beforeinput', (event) => {
    const text = event.data ?? event.dataTransfer?.getData('text/plain') ?? null;
    apply(event, keyboard.beforeInput(event.inputType, text, event.isComposing));
  }, { signal });
  field.addEventListener('compositionend', (event) => {
    apply(event, keyboard.compositionEnd(event.data));
    rest();
  }, { signal });
  field.addEventListener('input', (event) => {
    if (!(event instanceof InputEvent && event.isComposing)) rest();
  }, { signal });
  field.addEventListener('focus', rest, { signal });
  // A click makes a hardware keyboard type into the device; a finger must not raise a phone's keyboard.
  stage.addEventListener('pointerdown', (event) => {
    if (event.pointerType === 'mouse') field.focus({ preventScroll: true });
  }, { signal });
  field.addEventListener('blur', release, { signal });
  window.addEventListener('blur', release, { signal });
  for (const message of keyboard.paste(field.value).messages) send(message);
  rest();
}
