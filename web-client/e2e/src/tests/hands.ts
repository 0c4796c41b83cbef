/** The whole way with a keyboard alone and with a gamepad alone. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { leave, playing, serialAbove, waitForView, watch } from '../harness/play.js';
import { plugStandInPad, setPad } from '../harness/pad.js';
import { scenario } from '../harness/scenario.js';
import { sleep } from '../harness/wait.js';

const INPUT_LIMIT_MS = 3_000;
/** More steps than there is anything to focus on the page. */
const STEPS_MAX = 40;
/** Long enough for every poll of a pad (40 ms at most) to see it. */
const PRESS_MS = 140;

/** W3C standard mapping. */
const [A, SELECT, START, DOWN, LEFT, RIGHT, UP] = [0, 8, 9, 13, 14, 15, 12] as const;

scenario('a keyboard alone leads from the catalogue into a game and out again', async ({ page, base }) => {
  await page.goto(base, { waitUntil: 'commit' });
  await page.locator('a[href*="/play/testcard"]').first().waitFor();
  await focusOn(page, 'testcard', () => page.keyboard.press('Tab'));
  await page.keyboard.press('Enter');
  await startIfAsked(page, () => page.keyboard.press('Enter'));
  await playing(page);
  const serial = (await watch(page, 400)).stamps.at(-1)?.[3] ?? 0;
  await page.keyboard.press('Space');
  await serialAbove(page, serial, INPUT_LIMIT_MS);
  await page.keyboard.press('F8');
  await sleep(200);
  await page.keyboard.press('Enter');
  await waitForView(page, 'ended', 5_000);
  assert.match(await page.locator('body').innerText(), /You left the game/);
});

scenario('a gamepad alone leads from the catalogue into a game and out again', async ({ page, base }) => {
  await plugStandInPad(page);
  await page.goto(base, { waitUntil: 'commit' });
  await page.locator('a[href*="/play/testcard"]').first().waitFor();
  await sleep(300);
  const around = [DOWN, RIGHT, DOWN, LEFT, UP, RIGHT];
  let turn = 0;
  await focusOn(page, 'testcard', () => press(page, around[turn++ % around.length] ?? DOWN));
  await press(page, A);
  await startIfAsked(page, () => press(page, A));
  await playing(page);
  const serial = (await watch(page, 400)).stamps.at(-1)?.[3] ?? 0;
  await press(page, A);
  await serialAbove(page, serial, INPUT_LIMIT_MS);
  await hold(page, [SELECT, START], 800);
  await sleep(200);
  await press(page, A);
  await waitForView(page, 'ended', 5_000);
});

scenario('keys that were held when the page loses the focus are let go', async ({ page, base }) => {
  await open(page, base);
  await page.keyboard.down('KeyW');
  await sleep(300);
  const serial = (await watch(page, 300)).stamps.at(-1)?.[3] ?? 0;
  await page.evaluate(() => {
    document.hasFocus = () => false;
    window.dispatchEvent(new Event('blur'));
  });
  await serialAbove(page, serial, INPUT_LIMIT_MS);
  await leave(page);
});

async function open(page: Page, base: string): Promise<void> {
  await page.goto(new URL('play/testcard?start=1', base).href, { waitUntil: 'commit' });
  await playing(page);
}

/** Moves on until the title's card has the focus. */
async function focusOn(page: Page, title: string, move: () => Promise<void>): Promise<void> {
  for (let step = 0; step < STEPS_MAX; step += 1) {
    const there = await page.evaluate((id) => document.activeElement?.getAttribute('href')?.includes(`/play/${id}`) ?? false, title);
    if (there) return;
    await move();
    await sleep(60);
  }
  throw new Error(`the card of ${title} was never focused`);
}

/** The second tap, where the browser or the page wants one. */
async function startIfAsked(page: Page, press: () => Promise<void>): Promise<void> {
  await page.waitForSelector('near-frame', { state: 'attached' });
  await sleep(600);
  if (await page.evaluate(() => document.querySelector('near-frame')?.view.kind === 'idle')) await press();
}

async function press(page: Page, button: number): Promise<void> {
  await hold(page, [button], PRESS_MS);
}

async function hold(page: Page, buttons: readonly number[], ms: number): Promise<void> {
  await setPad(page, { buttons });
  await sleep(ms);
  await setPad(page, {});
  await sleep(PRESS_MS);
}
