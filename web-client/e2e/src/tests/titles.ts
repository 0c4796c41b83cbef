/** Each title answers to its player. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { screenshot } from '../harness/browser.js';
import { difference, open, picture, serialAbove, watch } from '../harness/play.js';
import { scenario } from '../harness/scenario.js';
import { sleep } from '../harness/wait.js';

/** Share of frames whose stamp must be whole. */
const READABLE = 0.99;
/** An input that shows later than this was lost, not slow. */
const INPUT_LIMIT_MS = 3_000;

scenario('the testcard counts its frames and its stamp survives the way', async ({ page, base }) => {
  await open(page, base, 'testcard');
  const { stamps, shown, unreadable } = await watch(page, 4_000);
  assert(shown > 0 && unreadable <= shown * (1 - READABLE), `${unreadable} of ${shown} frames carry no whole stamp`);
  const pairs = stamps.slice(1).map((stamp, i) => [stamps[i] ?? stamp, stamp] as const);
  assert(pairs.length > 20, `only ${pairs.length} frames in 4 s`);
  for (const [before, after] of pairs) {
    assert(after[2] > before[2], `frame ${after[2]} was shown after frame ${before[2]}`);
    assert(after[1] > before[1], 'time of drawing ran backwards');
  }
});

scenario('every key, click and motion reaches the testcard', async ({ page, base }) => {
  await open(page, base, 'testcard');
  await page.mouse.move(700, 450);
  await sleep(500);
  let serial = (await watch(page, 300)).stamps.at(-1)?.[3] ?? 0;
  for (const act of [
    () => page.keyboard.press('KeyA'),
    () => page.mouse.move(300, 300),
    () => page.mouse.click(300, 300),
    () => page.mouse.wheel(0, 120),
  ]) {
    await act();
    serial = await serialAbove(page, serial, INPUT_LIMIT_MS);
  }
});

scenario('the testcard lights the box of the key that is held', async ({ page, base }) => {
  await open(page, base, 'testcard');
  await sleep(500);
  // Code 4 (KeyA) is the fifth box of the first row: server/title/src/testcard/picture.rs.
  const lamp = { x: 13 + 4 * 13 + 6, y: 720 - 130 + 6 };
  const lit = () => colourAt(page, lamp.x / 1280, lamp.y / 720);
  const dark = await lit();
  await page.keyboard.down('KeyA');
  await sleep(500);
  const bright = await lit();
  await page.keyboard.up('KeyA');
  await sleep(500);
  const again = await lit();
  assert(bright[1] > dark[1] + 80, `held ${bright.join(' ')}, before ${dark.join(' ')}`);
  assert(again[1] < bright[1] - 80, `let go ${again.join(' ')}, held ${bright.join(' ')}`);
});

scenario('meteor starts on fire and its ship steers', async ({ page, base }) => {
  await open(page, base, 'meteor');
  await page.keyboard.press('Enter');
  await sleep(1_500);
  const steered = async (key: string): Promise<number[]> => {
    await page.keyboard.down(key);
    await sleep(1_200);
    const seen = await picture(page);
    await page.keyboard.up(key);
    return seen;
  };
  const left = await steered('ArrowLeft');
  await screenshot(page, 'playing-meteor-desktop');
  const right = await steered('ArrowRight');
  assert(difference(left, right) > 2, `left and right look alike: ${difference(left, right).toFixed(2)}`);
});

scenario('the camera of the scene follows a drag and stays where it was put', async ({ page, base }) => {
  await open(page, base, 'scene');
  const drag = async (from: number, to: number): Promise<void> => {
    await page.mouse.move(from, 450);
    await page.mouse.down();
    await page.mouse.move(to, 450, { steps: 12 });
    await page.mouse.up();
    await sleep(1_200);
  };
  await drag(500, 620);
  const rest = await picture(page);
  await sleep(800);
  const still = difference(rest, await picture(page));
  await screenshot(page, 'playing-scene-desktop');
  await drag(500, 1_000);
  const moved = difference(rest, await picture(page));
  assert(moved > 4 && moved > 3 * still, `a drag changed ${moved.toFixed(2)}, waiting ${still.toFixed(2)}`);
});

/** Colour of the picture at a place in 0..1. */
async function colourAt(page: Page, x: number, y: number): Promise<[number, number, number]> {
  const [width, height] = [640, 360];
  const pixels = await page.evaluate(([w, h]) => window.nearframeProbe.picture(w, h), [width, height] as const);
  const at = (Math.floor(y * height) * width + Math.floor(x * width)) * 3;
  const channel = (i: number): number => pixels?.[at + i] ?? 0;
  return [channel(0), channel(1), channel(2)];
}
