// Starts a title once and says how long it took from the page's request to its first picture.
//
// node start.mjs BASE_URL TITLE
// stdout: `requesting` when the page wants its session, which is held back until a line comes on stdin; `started`
// with `frame_ms` and `picture_ms`, both after the request was let go.

import { createInterface } from 'node:readline';
import { firstFrame, launch, monotonic, openPage, timeOrigin } from './browser.mjs';

const [base, title] = process.argv.slice(2);
const START_LIMIT_MS = 60_000;

const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const browser = await launch();
try {
  const page = await openPage(browser);
  let released;
  await page.route('**/v1/sessions', async (route) => {
    if (route.request().method() !== 'POST' || released) return route.continue();
    say('requesting');
    await lines.next();
    released = monotonic();
    return route.continue();
  });
  await page.goto(new URL(`play/${title}?start=1`, base).href, { waitUntil: 'commit' });
  await firstFrame(page, title, START_LIMIT_MS);
  const seen = page.waitForFunction(() => window.nearframeProbe.firstPictureAt, undefined, { timeout: START_LIMIT_MS });
  await seen.catch(() => Promise.reject(new Error(`${title}: all black for ${START_LIMIT_MS / 1000} s`)));
  const at = await page.evaluate(() => {
    const { firstFrameAt, firstPictureAt } = window.nearframeProbe;
    return { firstFrameAt, firstPictureAt };
  });
  const since = (await timeOrigin(page)) - released;
  await page.evaluate(() => document.querySelector('near-frame').leave());
  say('started', { frame_ms: since + at.firstFrameAt, picture_ms: since + at.firstPictureAt });
} finally {
  await browser.close();
  process.stdin.destroy();
}
