import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { mockApi } from './dev/mock.ts';

/** The matchmaker that `npm run dev` talks to: what `nearframe up` listens on. */
const MATCHMAKER = process.env['NEARFRAME_URL'] ?? 'http://127.0.0.1:8080';

/** What no visitor or player has a use for: what pages of money, accounts and operators share. */
const MEMBERS = /src\/(money|account)\/|src\/api\/(accounts|payouts|plans|reservations|sign-in|stakes|trust|webhooks)|components\/(CopyField|Exhibits|MemberList|NodeList)|uplot/;

export default defineConfig(({ mode }) => ({
  plugins: [svelte(), ...(mode === 'mock' ? [mockApi()] : [])],
  server: { proxy: mode === 'mock' ? {} : { '/v1': { target: MATCHMAKER, ws: true } } },
  build: {
    target: 'es2022',
    // Everything in assets/ is named by its content, so that the server may call it immutable.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { main: 'index.html', sw: 'src/pwa/sw.ts' },
      output: {
        // The service worker's address must not change between releases.
        codeSplitting: {
          groups: [
            // All that stands before a session's first request, and nothing else.
            { name: 'player', test: /player\/dist\/index|src\/(router|pages|play\/stage)|vite\/preload-helper/, priority: 1 },
            // What several pages share is one file: each further request costs more than its bytes.
            // Bills and earnings apart, so that nobody who plays fetches what they are drawn with, and what only those
            // with an account share.
            { name: 'shared', test: (id) => /\.(ts|js|svelte)$/.test(id) && !MEMBERS.test(id), minShareCount: 2, priority: 1 },
            { name: 'members', test: /src\/(account|api|components)\//, minShareCount: 2 },
          ],
        },
        entryFileNames: (chunk) => (chunk.name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js'),
      },
    },
  },
  resolve: process.env['VITEST'] ? { conditions: ['browser'] } : {},
  test: {
    // Tests of the page itself ask for a document with `@vitest-environment happy-dom`.
    environment: 'node',
    environmentOptions: {
      happyDOM: { settings: { navigation: { disableMainFrameNavigation: true, disableChildPageNavigation: true } } },
    },
    include: ['{src,dev}/**/*.test.ts'],
  },
}));
