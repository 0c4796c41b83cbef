/** From the first page to a moving picture. */

import assert from 'node:assert/strict';
import { DESKTOP, PHONE, screenshot } from '../harness/browser.js';
import { ask, field, items } from '../harness/api.js';
import { difference, open, picture, playing } from '../harness/play.js';
import { scenario } from '../harness/scenario.js';
import { until } from '../harness/wait.js';

/** Mean difference per channel that no still picture reaches. */
const MOVED = 1;
const MOVES_LIMIT_MS = 3_000;

scenario('the catalogue shows every title with its cover', async ({ page, base }) => {
  const titles = items((await ask(base, '/v1/titles')).body).map((title) => String(field(title, 'id')));
  for (const id of ['meteor', 'testcard', 'scene']) assert(titles.includes(id), `${id} is not offered`);
  await page.goto(base, { waitUntil: 'commit' });
  for (const id of titles) {
    const cover = page.locator(`article:has(a[href*="/play/${id}"]) img`).first();
    await cover.waitFor();
    await cover.scrollIntoViewIfNeeded();
    await page.waitForFunction((image) => image instanceof HTMLImageElement && image.naturalWidth > 0, await cover.elementHandle());
  }
  await page.evaluate(() => {
    window.scrollTo(0, 0);
  });
  await screenshot(page, 'catalogue-desktop');
});

for (const id of ['meteor', 'testcard', 'scene']) {
  scenario(`${id} plays after at most two taps on a phone`, async ({ page, base }) => {
    await page.goto(base, { waitUntil: 'commit' });
    await page.locator(`a[href*="/play/${id}"]`).first().tap();
    const started = await page
      .waitForFunction(() => document.querySelector('near-frame')?.view.kind !== 'idle', undefined, { timeout: 3_000 })
      .catch(() => undefined);
    if (started === undefined) await page.getByRole('button', { name: /play/i }).first().tap();
    await playing(page);
    const before = await picture(page);
    await until('the picture moves', MOVES_LIMIT_MS, async () => (difference(before, await picture(page)) > MOVED ? true : undefined));
  }, PHONE);
}

scenario('a page opened with start=1 plays without a tap', async ({ page, base, t }) => {
  await open(page, base, 'testcard');
  const first = await page.evaluate(() => window.nearframeProbe.firstFrameAt);
  assert(first !== undefined && Number.isFinite(first));
  t.diagnostic(`first frame ${first.toFixed(0)} ms after navigation`);
  await screenshot(page, 'playing-testcard-desktop');
}, DESKTOP);

scenario('a title that nobody offers is said to be missing', async ({ page, base }) => {
  await page.goto(new URL('play/no-such-title', base).href, { waitUntil: 'commit' });
  await page.getByRole('heading', { name: 'No such game' }).waitFor();
});
