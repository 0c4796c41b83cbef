/** The picture follows what path and player can bear, says so, and is whole again afterwards. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { open } from '../harness/play.js';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/wait.js';

/** The whole picture needs more than this: 0.045 bits a pixel (server/stream/src/quality.rs). */
const CAP_KBPS = '2000';
/** A cap is taken for a path that is too narrow after 1.5 s. */
const SMALLER_LIMIT_MS = 10_000;
/** A rung is climbed after 6 s in which it would have fitted. */
const WHOLE_LIMIT_MS = 60_000;
const WIDTH = 1280;

scenario("a player's data limit makes the picture smaller, and lifting it makes it whole again", async ({ page, base }) => {
  await open(page, base, 'testcard');
  assert.equal(await width(page), WIDTH);
  await choose(page, CAP_KBPS);
  await until('a smaller picture', SMALLER_LIMIT_MS, async () => ((await width(page)) < WIDTH ? true : undefined));
  await until('the reason is told', SMALLER_LIMIT_MS, async () => ((await limit(page)) === 'data_cap' ? true : undefined));
  await choose(page, '');
  // A machine that is too slow for the whole picture says so.
  await until('the whole picture', WHOLE_LIMIT_MS, async () =>
    (await width(page)) === WIDTH || ['node', 'device'].includes((await limit(page)) ?? '') ? true : undefined,
  );
});

/** Sets the limit in the settings, which need not lie open; an empty one lifts it. */
async function choose(page: Page, kbps: string): Promise<void> {
  await page.evaluate((value) => {
    const select = document.querySelector('near-frame')?.shadowRoot?.querySelector<HTMLSelectElement>('select#cap');
    if (select === null || select === undefined) throw new Error('there is no setting for it');
    select.value = value;
    if (select.value !== value) throw new Error(`there is no limit of ${value} kbit/s`);
    select.dispatchEvent(new Event('change', { bubbles: true }));
  }, kbps);
}

function width(page: Page): Promise<number> {
  return page.evaluate(() => window.nearframeProbe.video?.videoWidth ?? 0);
}

function limit(page: Page): Promise<string | undefined> {
  return page.evaluate(() => document.querySelector('near-frame')?.stats.quality?.limit);
}
