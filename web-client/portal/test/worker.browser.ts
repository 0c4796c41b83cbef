/** The service worker in a real Chromium: what it keeps, and what it must leave alone. */
import type { BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBench, visitor, type Bench } from './browser';

let bench: Bench | undefined;
let context: BrowserContext | undefined;
let page: Page;

beforeAll(async () => {
  bench = await openBench();
  context = await visitor(bench, 'desktop', 'dark');
  page = await context.newPage();
  await page.goto(bench.url);
  await page.evaluate('navigator.serviceWorker.ready.then(() => undefined)');
  // From the second visit on, the worker stands between the page and the network.
  await page.reload();
  await page.getByRole('link', { name: 'Play Meteor' }).waitFor();
});
afterAll(async () => {
  await context?.close();
  await bench?.close();
});

describe('the service worker', () => {
  it('lets a one-time link reach the server exactly once', async () => {
    await page.goto(`${bench?.url ?? ''}/operator?token=once`);
    await page.getByRole('heading', { name: 'Operator' }).waitFor();
    expect(bench?.asked.filter((path) => path === '/operator?token=once')).toHaveLength(1);
  });

  it('keeps the page and what is named by its content, and no answer of the API', async () => {
    await page.goto(bench?.url ?? '');
    await page.getByRole('link', { name: 'Play Meteor' }).waitFor();
    const kept = await page.evaluate(async () => {
      const names = await caches.keys();
      const requests = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
      return requests.flat().map((request) => new URL(request.url).pathname);
    });
    expect(kept).toContain('/');
    expect(kept.filter((path) => path !== '/' && !path.startsWith('/assets/'))).toEqual([]);
    expect(kept.length).toBeGreaterThan(3);
  });

  it('shows the page without a network, saying so', async () => {
    await context?.setOffline(true);
    // Cut off by the debugger, Chromium takes itself to be on line all the same.
    await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'onLine', { get: () => false }));
    await page.reload();
    await page.getByRole('heading', { name: 'You are offline' }).waitFor();
    await context?.setOffline(false);
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await page.getByRole('link', { name: 'Play Meteor' }).waitFor();
  });
});
