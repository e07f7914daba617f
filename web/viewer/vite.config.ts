import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { leanSvelte, squeeze } from './lean_build.ts';

export default defineConfig({
  plugins: [
    svelte({
      compilerOptions: {
        discloseVersion: false,
        // Four components need no long names.
        cssHash: ({ hash, css }) => `f${hash(css).slice(0, 3)}`,
      },
    }),
    leanSvelte(),
    squeeze(),
  ],
  build: {
    target: 'es2022',
    // The content security policy allows files of this origin only: no data: URLs, no inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: { '/api': 'http://localhost:3000', '/whep': 'http://localhost:3000' },
  },
});
