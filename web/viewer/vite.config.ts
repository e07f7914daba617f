import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { constantSvelteFlags } from './svelte_flags.ts';

export default defineConfig({
  plugins: [svelte(), constantSvelteFlags()],
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
