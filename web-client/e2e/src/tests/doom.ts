/** A real game: from its menu into a level, with keys and with fingers. Sizes are those of 320 × 200, shown as 960 × 720. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { ask, field, items } from '../harness/api.js';
import { DESKTOP, PHONE_SIDEWAYS, screenshot } from '../harness/browser.js';
import { area, difference, leave, open, share, type Area } from '../harness/play.js';
import { scenario } from '../harness/scenario.js';
import { Fingers, middle } from '../harness/touch.js';
import { sleep, until } from '../harness/wait.js';

/** The bar with ammunition, health and face. */
const BAR: Area = { x: 160, y: 608, width: 960, height: 112 };
const AMMO: Area = { x: 165, y: 612, width: 130, height: 72 };
/** What the player sees of the level, without the pistol in its middle, which moves with each breath. */
const VIEW: Area = { x: 220, y: 90, width: 400, height: 240 };
/** The menu's words. */
const WORDS: Area = { x: 300, y: 240, width: 600, height: 260 };

/** Loading on two busy processors. */
const LEVEL_LIMIT_MS = 20_000;
const INPUT_LIMIT_MS = 5_000;
/** Long enough for a game that looks at keys 35 times a second. */
const PRESS_MS = 120;
/** Mean difference per channel of two pictures in which nobody moves. */
const STILL = 2;
const MOVED = 6;

const bright = (red: number, green: number, blue: number): boolean => red > 150 && green < 60 && blue < 60;
const grey = (red: number, green: number, blue: number): boolean => Math.max(red, green, blue) - Math.min(red, green, blue) < 32 && red > 16;

/** The bar is grey stone; title and stories have none. */
const hasBar = async (page: Page): Promise<boolean> => share(await area(page, BAR), grey) > 0.5;
const redness = async (page: Page): Promise<number> => share(await area(page, WORDS), bright);

/**
 * Presses what says yes until the player stands in a level: the first press opens the menu, others lead through
 * new game, episode and skill. There the bar is shown, no menu, and unlike in a demo nothing moves.
 */
function enterLevel(page: Page, yes: () => Promise<void>): Promise<true> {
  return until('the player stands in a level', LEVEL_LIMIT_MS, async () => {
    const before = await area(page, VIEW);
    await sleep(500);
    const still = difference(before, await area(page, VIEW)) < STILL;
    if (still && (await hasBar(page)) && (await redness(page)) < 0.05) return true;
    await yes();
    return undefined;
  });
}

async function assertFires(page: Page, fire: () => Promise<void>): Promise<void> {
  const before = await area(page, AMMO);
  await sleep(400);
  const still = difference(before, await area(page, AMMO));
  await fire();
  await until(`the ammunition is counted down (nobody fired: ${still.toFixed(2)})`, INPUT_LIMIT_MS, async () =>
    difference(before, await area(page, AMMO)) > 2 * still + 2 ? true : undefined,
  );
}

async function assertWalks(page: Page, walk: () => Promise<void>): Promise<void> {
  const before = await area(page, VIEW);
  await walk();
  const moved = difference(before, await area(page, VIEW));
  assert(moved > MOVED, `walking changed the view by ${moved.toFixed(2)}`);
}

scenario('the catalogue offers Freedoom with its keys and its controls for touch', async ({ page, base }) => {
  const title = items((await ask(base, '/v1/titles')).body).find((row) => field(row, 'id') === 'freedoom');
  assert(title !== undefined, 'Freedoom is not offered: install chocolate-doom and freedoom');
  assert.equal(field(title, 'available'), true);
  const actions = field(title, 'controls');
  assert(Array.isArray(actions) && actions.some((control) => field(control, 'action') === 'Fire'));
  await page.goto(base, { waitUntil: 'commit' });
  const card = page.locator('article:has(a[href*="/play/freedoom"])');
  await card.getByRole('link', { name: 'Play Freedoom: Phase 1' }).waitFor();
});

scenario('keys lead Doom from its menu into a level, walk, fire, and open the menu again', async ({ page, base }) => {
  await open(page, base, 'freedoom');
  const press = (key: string): Promise<void> => page.keyboard.press(key, { delay: PRESS_MS });
  await enterLevel(page, () => press('Enter'));
  await assertFires(page, () => press('ControlLeft'));
  await assertWalks(page, () => page.keyboard.press('ArrowUp', { delay: 900 }));
  await screenshot(page, 'playing-freedoom-desktop');
  const before = await redness(page);
  await press('Escape');
  await until('the menu is back', INPUT_LIMIT_MS, async () => ((await redness(page)) > before + 0.05 ? true : undefined));
  await press('Escape');
  await until('the menu is gone', INPUT_LIMIT_MS, async () => ((await redness(page)) < before + 0.03 ? true : undefined));
  await leave(page);
}, DESKTOP);

scenario('Doom is played with the controls that its title draws on a phone', async ({ page, base }) => {
  await open(page, base, 'freedoom');
  const control = (name: string): ReturnType<Page['locator']> => page.locator(`near-frame .control[aria-label="${name}"]`);
  const hand = await Fingers.of(page);
  const press = async (name: string, ms = PRESS_MS): Promise<void> => {
    await hand.press(await middle(control(name)), ms);
  };
  for (const name of ['Fire', 'Use', 'Stick', 'Weapon']) {
    const box = await control(name).boundingBox();
    assert(box !== null && Math.min(box.width, box.height) >= 44, `${name} is smaller than a thumb`);
  }
  await page.getByRole('radio', { name: 'Menu' }).tap();
  await control('OK').waitFor();
  await enterLevel(page, () => press('OK'));
  await page.getByRole('radio', { name: 'Play' }).tap();
  await screenshot(page, 'playing-freedoom-phone');
  await assertFires(page, () => press('Fire'));
  await assertWalks(page, async () => {
    const stick = await middle(control('Stick'));
    await hand.down([stick]);
    await hand.move([{ x: stick.x, y: stick.y - 60 }]);
    await sleep(900);
    await hand.up();
  });
  await leave(page);
}, PHONE_SIDEWAYS);
