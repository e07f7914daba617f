/**
 * How the viewer is built. What it weighs is judged by `scripts/size.mjs`, from the manifest.
 *
 * Three steps are ours: the bundler's output is minified once more, its helper for imports is left out, and so
 * is the one part of Svelte that nobody uses and it cannot leave out itself. Without them the viewer works the
 * same and is two kilobytes larger.
 */

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { minify } from 'terser';
import { type Plugin, defineConfig } from 'vite';

export default defineConfig({
  plugins: [
    svelte({
      compilerOptions: {
        discloseVersion: false,
        // Five components need no long names.
        cssHash: ({ hash, filename }) => `f${hash(filename).slice(0, 2)}`,
      },
    }),
    plainImports(),
    rawState(),
    squeeze(),
  ],
  build: {
    target: 'es2022',
    manifest: true,
    // The content security policy allows files of this origin only: no data: URLs, no inline scripts.
    assetsInlineLimit: 0,
    // One style sheet: then a module that is imported later has nothing to fetch before itself.
    cssCodeSplit: false,
    modulePreload: false,
  },
  server: {
    proxy: { '/api': 'http://localhost:3000', '/whep': 'http://localhost:3000' },
  },
});

/** Leaves `import()` to the browser: Vite's wrapper fetches style sheets and preloads, and there are none. */
function plainImports(): Plugin {
  return {
    name: 'plain-imports',
    apply: 'build',
    enforce: 'pre',
    load: (id) => (id === '\0vite/preload-helper.js' ? 'export const __vitePreload = (load) => load();' : null),
  };
}

/** Leaves out what makes objects deeply reactive: all state here is `$state.raw`, and the linter keeps it so. */
function rawState(): Plugin {
  return {
    name: 'raw-state',
    apply: 'build',
    enforce: 'pre',
    load: (id) =>
      id.endsWith('/svelte/src/internal/client/proxy.js')
        ? 'export const proxy = (value) => value; export const get_proxied_value = proxy; export const is = Object.is;'
        : null,
  };
}

/** Terser over what the default minifier leaves: another three percent. */
function squeeze(): Plugin {
  return {
    name: 'squeeze',
    apply: 'build',
    enforce: 'post',
    async generateBundle(_options, bundle) {
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk') continue;
        const compress = { passes: 2, drop_console: true, keep_fargs: false };
        const { code } = await minify(chunk.code, { module: true, ecma: 2020, compress });
        if (code === undefined) throw new Error(`nothing left of ${chunk.fileName}`);
        chunk.code = code;
      }
    },
  };
}
