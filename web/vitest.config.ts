import { defineConfig } from 'vitest/config';

/** Plain TypeScript only: what needs a browser is tested in a real one, end to end. */
export default defineConfig({
  test: {
    include: ['{shared,viewer}/tests/**/*.test.ts'],
    environment: 'node',
    retry: 0,
    restoreMocks: true,
  },
});
