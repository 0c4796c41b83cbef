/** Each title answers to its player. */

import assert from 'node:assert/strict';
import { screenshot } from '../harness/browser.js';
import { difference, open, picture, serialAbove, watch } from '../harness/play.js';
import { scenario } from '../harness/scenario.js';
import type { Page } from 'playwright-core';
import { sleep, until } from '../harness/wait.js';

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
  const green = (): Promise<number> => page.evaluate(({ x, y }) => window.nearframeProbe.colour(x, y, 6)[1] ?? 0, lamp);
  const dark = await green();
  await page.keyboard.down('KeyA');
  await sleep(500);
  const bright = await green();
  await page.keyboard.up('KeyA');
  await sleep(500);
  const again = await green();
  assert(bright > dark + 80, `green is ${bright} while held, ${dark} before`);
  assert(again < bright - 80, `green is ${again} when let go, ${bright} while held`);
});

scenario('a press on the testcard is heard', async ({ page, base }) => {
  await open(page, base, 'testcard');
  const energy = (): Promise<number> =>
    page.evaluate(async () => {
      const report = await window.nearframeProbe.connections.at(-1)?.getStats();
      const rows = [...(report?.values() ?? [])] as { type: string; kind?: string; totalAudioEnergy?: number }[];
      return rows.find((row) => row.type === 'inbound-rtp' && row.kind === 'audio')?.totalAudioEnergy ?? 0;
    });
  await sleep(500);
  const before = await energy();
  for (let turn = 0; turn < 4; turn += 1) await page.keyboard.press('KeyB', { delay: 60 });
  await until('the beep has arrived', INPUT_LIMIT_MS, async () => ((await energy()) > before + 1e-4 ? true : undefined));
});

/** The panel is drawn once a second; twice what a loaded machine takes. */
const PANEL_LIMIT_MS = 10_000;

scenario('the statistics name what runs and measure it', async ({ page, base }) => {
  await open(page, base, 'testcard');
  await page.keyboard.press('F3');
  const panel = await until('the panel names the encoder', PANEL_LIMIT_MS, async () => {
    const text = await page.locator('near-frame').evaluate((element) => element.shadowRoot?.textContent ?? '');
    return text.includes('OpenH264') && text.includes('Mbit/s') ? text : undefined;
  });
  for (const wanted of [/Frame age/i, /Input/i, /Mbit\/s/, /Jitter buffer/i, /Loss|Lost/i]) assert.match(panel, wanted);
  await screenshot(page, 'statistics-desktop');
});

scenario('the ship of meteor goes where it is steered', async ({ page, base }) => {
  await open(page, base, 'meteor');
  await page.keyboard.press('Enter');
  await sleep(1_500);
  const leans: number[] = [];
  for (const key of ['ArrowLeft', 'ArrowRight', 'ArrowLeft', 'ArrowRight']) {
    await page.keyboard.down(key);
    await sleep(700);
    leans.push(await steadyGlow(page));
    if (leans.length === 1) await screenshot(page, 'playing-meteor-desktop');
    await page.keyboard.up(key);
  }
  const [left = 0, right = 0, leftAgain = 0, rightAgain = 0] = leans;
  const swing = left + leftAgain - right - rightAgain;
  assert(swing > 12, `the glow leans ${leans.map((lean) => lean.toFixed(1)).join(', ')}: left has to be brighter on the left`);
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

/** The median of several looks: a rock that bursts, or a hit that makes the ship blink, outshines the engine for a moment. */
async function steadyGlow(page: Page): Promise<number> {
  const looks: number[] = [];
  for (let look = 0; look < 7; look += 1) {
    looks.push(glow(await picture(page)));
    await sleep(100);
  }
  return looks.sort((a, b) => a - b)[3] ?? 0;
}

/** How much bluer the lower left of a 64×36 picture is than its lower right: the engine's glow lies there. */
function glow(pixels: readonly number[]): number {
  const [width, top, height] = [64, 26, 36];
  let balance = 0;
  for (let y = top; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) balance += (x < width / 2 ? 1 : -1) * (pixels[(y * width + x) * 3 + 2] ?? 0);
  }
  return balance / ((width / 2) * (height - top));
}
