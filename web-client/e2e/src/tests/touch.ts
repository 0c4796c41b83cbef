/** A phone in the hand. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { PHONE, PHONE_SIDEWAYS, screenshot } from '../harness/browser.js';
import { leave, open } from '../harness/play.js';
import { scenario } from '../harness/scenario.js';
import { sleep } from '../harness/wait.js';

const FIRE = 'near-frame .pad button';
const STICK = 'near-frame .pad [aria-label="Stick"]';

scenario('stick and buttons are there for thumbs and hide for a keyboard', async ({ page, base }) => {
  await open(page, base, 'meteor');
  await page.locator(FIRE).waitFor();
  const fire = await page.locator(FIRE).boundingBox();
  assert(fire !== null && Math.min(fire.width, fire.height) >= 44, 'the button is smaller than a thumb');
  assert(await page.locator(STICK).isVisible());
  await page.locator(FIRE).tap();
  await sleep(1_500);
  await screenshot(page, 'playing-meteor-phone');
  await page.keyboard.press('ArrowLeft');
  await page.locator(FIRE).waitFor({ state: 'hidden' });
  await page.touchscreen.tap(200, 300);
  await page.locator(FIRE).waitFor({ state: 'visible' });
}, PHONE);

scenario('a phone held sideways shows picture and controls', async ({ page, base }) => {
  await open(page, base, 'meteor');
  await page.locator(FIRE).tap();
  await sleep(1_500);
  await screenshot(page, 'playing-meteor-phone-sideways');
  await assertFits(page);
}, PHONE_SIDEWAYS);

scenario('every page fits a phone', async ({ page, base }) => {
  await page.goto(base, { waitUntil: 'commit' });
  await page.locator('article:has(a[href*="/play/meteor"]) img').first().waitFor();
  await sleep(300);
  await assertFits(page);
  await screenshot(page, 'catalogue-phone');
  for (const path of ['play/meteor', 'nodes', 'about', 'no-such-page']) {
    await page.goto(new URL(path, base).href, { waitUntil: 'commit' });
    await page.locator('h1').first().waitFor();
    await sleep(300);
    await assertFits(page);
    await screenshot(page, `page-${path.replaceAll('/', '-')}-phone`);
  }
  await open(page, base, 'testcard');
  await assertFits(page);
  await leave(page);
  await page.getByRole('button', { name: 'Play again' }).waitFor();
  await sleep(500);
  await assertFits(page);
  await screenshot(page, 'ended-phone');
}, PHONE);

async function assertFits(page: Page): Promise<void> {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth] as const);
  assert(content <= window, `${page.url()} is ${content} px wide on a screen of ${window} px`);
}
