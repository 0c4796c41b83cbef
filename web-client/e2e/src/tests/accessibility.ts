/** No serious finding of axe-core on any page. */

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { DESKTOP, PHONE, screenshot } from '../harness/browser.js';
import { leave, open, sessionOf } from '../harness/play.js';
import { scenario } from '../harness/scenario.js';
import { sleep } from '../harness/wait.js';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

const LIGHT_PHONE: BrowserContextOptions = { ...PHONE, colorScheme: 'light' };

for (const [size, options] of [['dark desktop', DESKTOP], ['light phone', LIGHT_PHONE]] as const) {
  scenario(`axe finds nothing serious on any page of a ${size}`, async ({ page, base }) => {
    await page.addInitScript({ path: AXE });
    for (const [path, ready] of [['', 'article:has(a[href*="/play/meteor"]) img'], ['play/meteor', 'h1'], ['nodes', 'h1'], ['about', 'h1'], ['fleet', 'h1'], ['operator', 'h1'], ['account', 'h1'], ['costs', 'h1'], ['earnings', 'h1']] as const) {
      await page.goto(new URL(path, base).href, { waitUntil: 'commit' });
      await page.locator(ready).first().waitFor();
      await sleep(500);
      await assertAccessible(page);
    }
    await screenshot(page, `operator-${size.replace(' ', '-')}`);
    await open(page, base, 'meteor');
    await assertAccessible(page);
    const session = await sessionOf(page);
    await leave(page);
    await sleep(500);
    await assertAccessible(page);
    await page.goto(new URL(`sessions/${session}`, base).href, { waitUntil: 'commit' });
    await page.locator('h1').first().waitFor();
    await sleep(500);
    await assertAccessible(page);
  }, options);
}

async function assertAccessible(page: Page): Promise<void> {
  const found = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run(): Promise<AxeResults> } };
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, help, nodes }) => `${id}: ${help} (${nodes.map((node) => node.html).slice(0, 3).join(' ')})`);
  });
  assert.deepEqual(found, [], page.url());
}
