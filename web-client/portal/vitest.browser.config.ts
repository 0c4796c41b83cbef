import { defineConfig } from 'vitest/config';

/** Checks in a real Chromium against the mock: apart from `npm test`, because they need a browser. */
export default defineConfig({
  test: {
    environment: 'node',
    include: ['test/**/*.browser.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
