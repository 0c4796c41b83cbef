/** Programs with more than one window, and the pointer that a program draws. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { cells, phase, shows } from '../harness/cells.js';
import { open } from '../harness/play.js';
import { probeScenario } from '../harness/scenario.js';
import { until } from '../harness/wait.js';

const SHOWN_LIMIT_MS = 6_000;
/** Where benches/probe/src/play/windows.rs puts its windows, in cells. */
const DIALOG = { columns: [6, 9], rows: [3, 5] } as const;
const POP_UP = { columns: [12, 13], rows: [6, 7] } as const;

probeScenario('a dialog lies in the middle, its pop-up where the program puts it, and both close', async ({ page, base }) => {
  await open(page, base, 'probe-dialog');
  await shows(page, 'the dialog', SHOWN_LIMIT_MS, (seen) => seen.all(DIALOG.columns, DIALOG.rows, 'magenta') && seen.mode?.phase === 0);
  assert.equal((await cells(page)).at(5, 4), 'black', 'the dialog is larger than the program made it');
  await page.keyboard.press('Enter');
  await shows(page, 'the pop-up', SHOWN_LIMIT_MS, (seen) => seen.all(POP_UP.columns, POP_UP.rows, 'cyan') && seen.mode?.phase === 1);
  assert.notEqual((await cells(page)).at(7, 4), 'magenta', 'the closed dialog is still shown');
  await page.keyboard.press('Enter');
  await phase(page, 3, SHOWN_LIMIT_MS);
  await shows(page, 'neither', SHOWN_LIMIT_MS, (seen) => seen.all([0, 15], [3, 8], 'black'));
});

probeScenario('a launcher gives way to the game that it starts', async ({ page, base }) => {
  await open(page, base, 'probe-launcher');
  await shows(page, 'the launcher', SHOWN_LIMIT_MS, (seen) => seen.all([4, 11], [3, 5], 'yellow'));
  await page.keyboard.press('Enter');
  await shows(page, 'the game', SHOWN_LIMIT_MS, (seen) => seen.mode?.mode === 4 && seen.all([0, 15], [3, 8], 'black'));
});

probeScenario('the pointer of a program is the page\'s own: a picture with its hot spot, a name, none', async ({ page, base }) => {
  await open(page, base, 'probe-cursor');
  await phase(page, 0, SHOWN_LIMIT_MS);
  await page.mouse.move(700, 450);
  await page.mouse.move(710, 460);
  const picture = await cursor(page, 'a picture', (css) => css.includes('url('));
  const shape = /url\("(?<address>data:image\/png;base64,[^"]+)"\)\s*(?<scale>[\d.]+)(?<unit>x|dppx)?.*\)\s*(?<x>\d+) (?<y>\d+)/.exec(picture)?.groups;
  assert(shape !== undefined, picture.replace(/base64,[^"]*/, 'base64,…'));
  // The picture is shown larger than it is, and its cursor with it.
  const larger = await page.evaluate(() => {
    const { video } = window.nearframeProbe;
    return video === undefined ? 0 : video.getBoundingClientRect().width / video.videoWidth;
  });
  assert(Math.abs(1 / Number(shape['scale']) - larger) < 0.05 * larger, `${shape['scale']} where the picture is ${larger} times larger`);
  assert(Math.abs(Number(shape['x']) - 4 * larger) <= 1 && Math.abs(Number(shape['y']) - 6 * larger) <= 1, `hot at ${shape['x']}, ${shape['y']}`);
  const [left, right] = await halves(page, shape['address'] ?? '');
  assert.deepEqual(left, [255, 0, 255, 255]);
  assert(right !== undefined && right[0] === 0 && (right[1] ?? 0) > 240 && Math.abs((right[3] ?? 0) - 128) <= 2, `half transparent green is ${String(right)}`);

  await page.keyboard.press('KeyA');
  assert.equal(await cursor(page, 'a crosshair', (css) => css === 'crosshair'), 'crosshair');
  await page.keyboard.press('KeyA');
  assert.equal(await cursor(page, 'no pointer', (css) => css === 'none'), 'none');
  await page.keyboard.press('KeyA');
  await cursor(page, 'the picture again', (css) => css.includes('url('));
});

/** The CSS value of the pointer over the picture, once it is as wanted. */
function cursor(page: Page, what: string, wanted: (css: string) => boolean): Promise<string> {
  return until(`the pointer is ${what}`, SHOWN_LIMIT_MS, async () => {
    const css = await page.locator('near-frame .stage').evaluate((stage) => getComputedStyle(stage).cursor);
    return wanted(css) ? css : undefined;
  });
}

/** RGBA in the middle of the left and of the right half of a picture. */
function halves(page: Page, address: string): Promise<number[][]> {
  return page.evaluate(async (source) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height).getContext('2d');
    canvas?.drawImage(image, 0, 0);
    const at = (x: number): number[] => [...(canvas?.getImageData(Math.floor(image.width * x), image.height >> 1, 1, 1).data ?? [])];
    return [at(0.25), at(0.75)];
  }, address);
}
