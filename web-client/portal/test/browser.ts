/** The built pages over the mock, in a real Chromium, for the checks in this folder. */
import type { IncomingMessage } from 'node:http';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type BrowserContext } from 'playwright-core';
import { preview, type PreviewServer } from 'vite';
import { inject } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];

/** A running mock and browser. */
export interface Bench {
  readonly url: string;
  readonly browser: Browser;
  /** Every path that was asked of the server, with its query, oldest first. */
  readonly asked: readonly string[];
  close(): Promise<void>;
}

/** Serves the built pages with the mock on a free port and starts Chromium. */
export async function openBench(): Promise<Bench> {
  const server: PreviewServer = await preview({
    root: ROOT,
    mode: 'mock',
    logLevel: 'error',
    build: { outDir: inject('pages') },
    preview: { port: 0, host: '127.0.0.1' },
  });
  // First in line, because the server rewrites addresses.
  const asked: string[] = [];
  server.httpServer.prependListener('request', (request: IncomingMessage) => asked.push(request.url ?? ''));
  const browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: FLAGS,
  });
  return {
    url: server.resolvedUrls?.local[0]?.replace(/\/$/, '') ?? '',
    browser,
    asked,
    async close() {
      await browser.close();
      await server.close();
    },
  };
}

/** The screens that the pages are made for. */
export const SCREENS = {
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
  desktop: { viewport: { width: 1440, height: 900 } },
} as const;

/** A fresh visitor, for whom the mock plays `mock`; `serviceWorkers` as Playwright takes it. */
export async function visitor(
  bench: Bench,
  screen: keyof typeof SCREENS,
  colorScheme: 'dark' | 'light',
  mock = '',
  serviceWorkers: 'allow' | 'block' = 'allow',
): Promise<BrowserContext> {
  const context = await bench.browser.newContext({ ...SCREENS[screen], colorScheme, reducedMotion: 'reduce', serviceWorkers });
  await choose(bench, context, mock);
  return context;
}

/** Has the mock play `mock` for a visitor. */
export function choose(bench: Bench, context: BrowserContext, mock = ''): Promise<void> {
  return context.addCookies([{ name: 'mock', value: mock || 'busy', url: bench.url }]);
}
