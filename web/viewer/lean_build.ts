/**
 * Two build steps that keep the viewer within its budget (`scripts/size.mjs`). They are for builds
 * only; the development server runs Svelte as it is.
 *
 * 1. What the viewer does not use of Svelte is cut off at its door, so that the bundler leaves it out:
 *    - hydration, the legacy and the experimental modes: their switches become constants. Svelte writes
 *      them as `let` and counts on a bundler that finds setters without callers; Rolldown does not.
 *    - deep proxies: the viewer has `$state.raw` only, a lint rule sees to it.
 *    - error boundaries: there is only the root's, which has no handler and throws again what it caught.
 *    The build stops when the text that is replaced is not found, so that an update is noticed.
 * 2. Terser goes over what the default minifier leaves: another five percent.
 */

import { minify } from 'terser';
import type { Plugin } from 'vite';

type Edit = (code: string) => string;

const EDITS: Readonly<Record<string, readonly Edit[]>> = {
  '/svelte/src/internal/client/dom/hydration.js': [constant('hydrating')],
  '/svelte/src/internal/flags/index.js': [
    constant('async_mode_flag'),
    constant('legacy_mode_flag'),
    constant('tracing_mode_flag'),
  ],
  '/svelte/src/internal/client/proxy.js': [start('export function proxy(value) {', 'return value;')],
  '/svelte/src/internal/client/dom/blocks/boundary.js': [
    start(
      'export function boundary(node, props, children, transform_error) {',
      'return void block(() => { branch(() => children(node)); }, flags);',
    ),
  ],
};

/** Leaves out what the viewer does not use of Svelte. */
export function leanSvelte(): Plugin {
  return {
    name: 'lean-svelte',
    apply: 'build',
    transform(code, id) {
      const edits = Object.entries(EDITS).find(([path]) => id.endsWith(path))?.[1];
      return edits === undefined ? null : edits.reduce((text, edit) => edit(text), code);
    },
  };
}

/** Minifies what is already minified. */
export function squeeze(): Plugin {
  return {
    name: 'squeeze',
    apply: 'build',
    enforce: 'post',
    async generateBundle(_options, bundle) {
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk') continue;
        const { code } = await minify(chunk.code, {
          module: true,
          ecma: 2020,
          compress: { passes: 4, unsafe: true, drop_console: true, pure_getters: true, unsafe_arrows: true, unsafe_methods: true, keep_fargs: false },
        });
        if (code === undefined) throw new Error(`nothing left of ${chunk.fileName}`);
        chunk.code = code;
      }
    },
  };
}

function constant(name: string): Edit {
  const declaration = `export let ${name} = false;`;
  const assignment = new RegExp(`^(\\s*)${name} = (true|false|value);$`, 'gm');
  return (code) => replaceOnce(code, declaration, `export const ${name} = false;`).replace(assignment, '');
}

/** Makes `body` all that a function does. */
function start(declaration: string, body: string): Edit {
  return (code) => replaceOnce(code, declaration, `${declaration} ${body}`);
}

function replaceOnce(code: string, old: string, text: string): string {
  if (!code.includes(old)) throw new Error(`Svelte no longer says "${old}"`);
  return code.replace(old, text);
}
