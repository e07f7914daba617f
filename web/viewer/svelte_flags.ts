/**
 * Makes Svelte's switches constants, so that the bundler can see that hydration and the legacy and
 * experimental modes are never used here and leaves them out.
 *
 * Svelte writes them as `let` with setters, and counts on a bundler that finds setters without
 * callers; Rolldown does not, and the viewer would carry 4 kB of unused code. The build stops when
 * the text that is replaced is not found any more, so that an update of Svelte is noticed.
 */

import type { Plugin } from 'vite';

const SWITCHES: Readonly<Record<string, readonly string[]>> = {
  '/svelte/src/internal/client/dom/hydration.js': ['hydrating'],
  '/svelte/src/internal/flags/index.js': ['async_mode_flag', 'legacy_mode_flag', 'tracing_mode_flag'],
};

/** The plugin; for builds only, the development server keeps Svelte as it is. */
export function constantSvelteFlags(): Plugin {
  return {
    name: 'constant-svelte-flags',
    apply: 'build',
    transform(code, id) {
      const entry = Object.entries(SWITCHES).find(([path]) => id.endsWith(path));
      if (entry === undefined) return null;
      return entry[1].reduce((text, name) => makeConstant(text, name), code);
    },
  };
}

function makeConstant(code: string, name: string): string {
  const declaration = `export let ${name} = false;`;
  if (!code.includes(declaration)) throw new Error(`Svelte no longer declares ${name} as expected`);
  const assignments = new RegExp(`^(\\s*)${name} = (true|false|value);$`, 'gm');
  return code.replace(declaration, `export const ${name} = false;`).replace(assignments, '');
}
