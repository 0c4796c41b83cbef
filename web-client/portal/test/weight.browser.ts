/** What a visitor's browser has to fetch before it shows games, and in which order a game starts. */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBench, visitor, type Bench } from './browser';

/** Scripts of the catalogue, the player among them, gzipped: what they are today, so that it does not grow unnoticed. */
const MAX_SCRIPT_BYTES = 67_000;

let bench: Bench | undefined;

beforeAll(async () => {
  bench = await openBench();
});
afterAll(async () => {
  await bench?.close();
});

describe('the pages', () => {
  it('need few scripts for the catalogue', async () => {
    if (!bench) throw new Error('the bench is open before any test');
    const context = await visitor(bench, 'phone', 'dark');
    try {
      const page = await context.newPage();
      const sizes: Promise<number>[] = [];
      page.on('response', (response) => {
        if (response.url().endsWith('.js')) sizes.push(response.body().then((body) => gzipSync(body).length));
      });
      await page.goto(bench.url, { waitUntil: 'networkidle' });
      const total = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
      expect(sizes.length).toBeGreaterThan(2);
      expect(total).toBeLessThan(MAX_SCRIPT_BYTES);
    } finally {
      await context.close();
    }
  });

  it('need no byte of what draws charts but where there is one', async () => {
    if (!bench) throw new Error('the bench is open before any test');
    const scriptsOf = async (path: string, ready: string): Promise<string> => {
      if (!bench) throw new Error('the bench is open before any test');
      const context = await visitor(bench, 'desktop', 'dark');
      try {
        const page = await context.newPage();
        const found: Promise<string>[] = [];
        page.on('response', (response) => {
          if (/\.(js|css)$/.test(response.url())) found.push(response.text());
        });
        await page.goto(bench.url + path, { waitUntil: 'networkidle' });
        await page.locator(ready).first().waitFor();
        return (await Promise.all(found)).join('');
      } finally {
        await context.close();
      }
    };
    expect(await scriptsOf('/', 'a[href*="/play/meteor"]')).not.toContain('u-legend');
    expect(await scriptsOf('/play/meteor', 'h1')).not.toContain('u-legend');
    expect(await scriptsOf('/costs', 'canvas')).toContain('u-legend');
  });

  it('ask for a session before anything else of the API but what a measurement needs', async () => {
    if (!bench) throw new Error('the bench is open before any test');
    const context = await visitor(bench, 'phone', 'dark');
    try {
      const page = await context.newPage();
      const before = bench.asked.length;
      await page.goto(`${bench.url}/play/meteor?start=1`);
      await page.getByRole('button', { name: 'Try again' }).waitFor();
      const calls = bench.asked.slice(before).filter((path) => path.startsWith('/v1/'));
      expect(calls.find((path) => path !== '/v1/surveys')).toBe('/v1/sessions');
    } finally {
      await context.close();
    }
  });
});
