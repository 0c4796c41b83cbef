import { defineConfig } from 'vitest/config';

/** Checks in a real Chromium against the mock: apart from `npm test`, because they need a browser. */
export default defineConfig({
  test: {
    environment: 'node',
    include: ['test/**/*.browser.ts'],
    globalSetup: ['test/pages.ts'],
    // A check waits for its browser more than it computes: two files and three pages at a time keep two cores busy.
    maxWorkers: 2,
    maxConcurrency: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
