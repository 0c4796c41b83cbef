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
/** Held down in every session: the picture turns for ever. */
const TURN = { type: 'rawKeyDown', key: 'ArrowLeft', code: 'ArrowLeft', windowsVirtualKeyCode: 37 };

const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);

async function add(browser) {
  const page = await openPage(browser, { viewport: SMALL, scripts: ['light.js'] });
  await page.goto(new URL(`play/${title}?start=1`, base).href, { waitUntil: 'commit' });
  const playing = page.waitForFunction(() => window.nearframeProbe.sent.length > 0, undefined, { timeout: START_LIMIT_MS });
  await playing.catch(() => Promise.reject(new Error(`${title}: no frame was sent within ${START_LIMIT_MS / 1000} s`)));
  // The level is entered a moment after the window is there.
  await sleep(3_000);
  const session = await page.context().newCDPSession(page);
  await session.send('Input.dispatchKeyEvent', TURN);
  await session.detach();
  return page;
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
      pages.push(await add(browser));
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
