// Adds sessions of a title one by one, each for a player of its own in a light page (light.js), and says how many
// frames each of them got.
//
// node density.mjs BASE_URL TITLE
// stdin, a line each: `add` opens one more session, `measure SECONDS` counts; at its end all are left.
// stdout: `added` when the session plays; `measured` with `frames`, for each session in order.

import { createInterface } from 'node:readline';
import { launch, openPage, sleep } from './browser.mjs';

const [base, title] = process.argv.slice(2);
const START_LIMIT_MS = 60_000;
const SMALL = { width: 160, height: 120 };
/** A picture that stands still is sent only now and then: this many frames in this time mean that it turns. */
const TURNING_FRAMES = 15;
const TURNING_MS = 1_500;
const TURN_LIMIT_MS = 30_000;
/** Held down in every session: the picture turns for ever. */
const KEY = { key: 'ArrowLeft', code: 'ArrowLeft', windowsVirtualKeyCode: 37 };

const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);

async function add(browser) {
  const page = await openPage(browser, { viewport: SMALL, scripts: ['light.js'] });
  await page.goto(new URL(`play/${title}?start=1`, base).href, { waitUntil: 'commit' });
  const playing = page.waitForFunction(() => window.nearframeProbe.sent.length > 0, undefined, { timeout: START_LIMIT_MS });
  await playing.catch(() => Promise.reject(new Error(`${title}: no frame was sent within ${START_LIMIT_MS / 1000} s`)));
  return { page, turns: await turn(page) };
}

/**
 * Holds the key down until the picture turns: before the program has its window, or in its opening, it does not. False
 * where it never does, as on a machine that is at its end.
 */
async function turn(page) {
  const session = await page.context().newCDPSession(page);
  const end = performance.now() + TURN_LIMIT_MS;
  let turning = false;
  while (!turning && performance.now() < end) {
    await session.send('Input.dispatchKeyEvent', { ...KEY, type: 'rawKeyDown' });
    const before = await count(page);
    await sleep(TURNING_MS);
    const { told } = await count(page);
    turning = told - before.told >= TURNING_FRAMES;
    if (!turning) await session.send('Input.dispatchKeyEvent', { ...KEY, type: 'keyUp' });
  }
  await session.detach();
  return turning;
}

/**
 * Frames so far: those that the node's facts speak of, and those that the browser received. Either may lose some in
 * a page that is late, so that each proves what it counts.
 */
function count(page) {
  return page.evaluate(async () => {
    const { frameCount, figures } = window.nearframeProbe;
    return { told: frameCount, received: (await figures())?.framesReceived ?? 0 };
  });
}

async function measure(pages, seconds) {
  const before = await Promise.all(pages.map(count));
  const since = performance.now();
  await sleep(seconds * 1000);
  const after = await Promise.all(pages.map(count));
  const length_s = (performance.now() - since) / 1000;
  const frames = after.map(({ told, received }, i) => Math.max(told - before[i].told, received - before[i].received));
  say('measured', { frames, length_s });
}

const browser = await launch();
try {
  const pages = [];
  for await (const line of createInterface({ input: process.stdin })) {
    const [order, seconds] = line.split(' ');
    if (order === 'add') {
      const { page, turns } = await add(browser);
      pages.push(page);
      if (!turns && pages.length === 1) throw new Error(`${title}: the picture does not turn when a key is held`);
      say('added');
    } else if (order === 'measure') {
      await measure(pages, Number(seconds));
    }
  }
  await Promise.all(pages.map((page) => page.evaluate(() => document.querySelector('near-frame').leave())));
  await sleep(1_000);
} finally {
  await browser.close();
}
