// Plays a title that beeps on each press, and says when the page had each beep.
//
// node audio.mjs BASE_URL TITLE SECONDS
// stdout: `heard` with `onsets_ms`, both on CLOCK_MONOTONIC, and the browser's counters before and after. The session
// is left when a line comes on stdin, so that what the title noted can be read first.

import { createInterface } from 'node:readline';
import { firstFrame, launch, monotonic, openPage, sleep, timeOrigin } from './browser.mjs';

const [base, title] = process.argv.slice(2, 4);
const seconds = Number(process.argv[4]);
const START_LIMIT_MS = 30_000;
/** The jitter buffer has settled after this. */
const WARM_UP_MS = 5_000;
const DOWN_MS = 40;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Presses a key at irregular times; a beep of 100 ms and a silence lie between two presses. */
async function press(page, for_ms) {
  const session = await page.context().newCDPSession(page);
  const key = { key: ' ', code: 'Space', windowsVirtualKeyCode: 32 };
  const end = monotonic() + for_ms;
  for (let turn = 0; monotonic() < end; turn += 1) {
    await session.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', ...key });
    await sleep(DOWN_MS);
    await session.send('Input.dispatchKeyEvent', { type: 'keyUp', ...key });
    await sleep(300 + ((turn * 37) % 81) + ((turn * 7) % 16) / 16);
  }
  await session.detach();
}

const browser = await launch();
try {
  const page = await openPage(browser, { scripts: ['listener.js'] });
  await page.goto(new URL(`play/${title}?start=1`, base).href, { waitUntil: 'commit' });
  await firstFrame(page, title, START_LIMIT_MS);
  await press(page, WARM_UP_MS);
  const before = await page.evaluate(() => window.nearframeListener.figures());
  const since_ms = monotonic();
  await press(page, seconds * 1000);
  await sleep(500);
  const heard = await page.evaluate(async () => {
    const { onsets, blocks, failure, figures } = window.nearframeListener;
    return { onsets, blocks, failure, audio: await figures() };
  });
  if (heard.failure) throw new Error(`the page's sound cannot be read: ${heard.failure}`);
  const origin = await timeOrigin(page);
  const onsets_ms = heard.onsets.map((at) => origin + at).filter((at) => at >= since_ms);
  process.stdout.write(`${JSON.stringify({ since_ms, onsets_ms, blocks: heard.blocks, before, audio: heard.audio })}\n`);
  await lines.next();
  await page.evaluate(() => document.querySelector('near-frame').leave());
} finally {
  await browser.close();
  process.stdin.destroy();
}
