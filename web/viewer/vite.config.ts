import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { constantSvelteFlags } from './svelte_flags.ts';

export default defineConfig({
  plugins: [svelte(), constantSvelteFlags()],
  build: {
    target: 'es2022',
    // Three percent smaller than the default minifier, for a second of build time.
    minify: 'terser',
    terserOptions: {
      module: true,
      ecma: 2020,
      compress: { passes: 4, pure_getters: true, unsafe_arrows: true, unsafe_methods: true, keep_fargs: false },
    },
    // The content security policy allows files of this origin only: no data: URLs, no inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: { '/api': 'http://localhost:3000', '/whep': 'http://localhost:3000' },
  },
});
