/**
 * What is of no use before the first frame, as one module that `App.svelte` loads after it: keys, the
 * bar, the words over the picture, the overlay with everything that measures, and the picture that outlasts a loss.
 * `scripts/size.mjs` counts it apart.
 */

export { listenToKeyboard } from '@farglass/shared/input/keyboard_source';
export { Measure } from '@farglass/shared/player/measure';
export { Still } from '@farglass/shared/player/still';
export { default as Bar } from './Bar.svelte';
export { default as Meter } from './Meter.svelte';
export { default as Notice } from './Notice.svelte';
