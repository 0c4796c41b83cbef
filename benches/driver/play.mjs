// Plays a title with the testcard's stamp through nearframe's own page and measures it from outside.
//
// node play.mjs BASE_URL SECONDS STARTS TITLE
// stdout: one JSON object per line, with `event`:
// `measuring` and `measured` frame the time in which the worker's cost counts; `done` holds the samples.

import { collect, counters, firstFrame, launch, openPage, pressKeys, sleep } from './browser.mjs';

const [base, title] = [process.argv[2], process.argv[5]];
const [seconds, starts] = [process.argv[3], process.argv[4]].map(Number);
/** The bitrate and the frame clock have settled after this. */
const WARM_UP_MS = 4_000;
const START_LIMIT_MS = 30_000;
/** A machine gives a slot free and warms the next worker within this. */
const BETWEEN_STARTS_MS = 1_500;

const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);

/** Opens the page as a newcomer; gives the page and the time from navigation to the first frame. */
async function start(browser) {
  const page = await openPage(browser);
  await page.goto(new URL(`play/${title}?start=1`, base).href, { waitUntil: 'commit' });
  const first_frame_ms = await firstFrame(page, 'nearframe', START_LIMIT_MS);
  return { page, first_frame_ms };
}

async function leave(page) {
  await page.evaluate(() => document.querySelector('near-frame').leave());
  await sleep(BETWEEN_STARTS_MS);
  await page.context().close();
}

const browser = await launch();
try {
  const first_frames_ms = [];
  for (let i = 1; i < starts; i += 1) {
    const { page, first_frame_ms } = await start(browser);
    first_frames_ms.push(first_frame_ms);
    await leave(page);
  }
  const { page, first_frame_ms } = await start(browser);
  first_frames_ms.push(first_frame_ms);
  await sleep(WARM_UP_MS);
  // What was sent from the very first frame on counts for the bitrate, the warm-up included.
  const sent = await page.evaluate(() => window.nearframeProbe.sent);
  const before = await counters(page);
  await page.evaluate(() => window.nearframeProbe.reset());
  say('measuring');
  await pressKeys(page, seconds);
  say('measured');
  const samples = await collect(page);
  const own = await page.evaluate(() => {
    const element = document.querySelector('near-frame');
    const { frame_ages_ms, input_visible_ms } = element.debug();
    const { session, reconnections } = element.stats;
    return { frame_ages_ms, input_visible_ms, session, reconnections };
  });
  samples.sent.unshift(...sent);
  await leave(page);
  say('done', { first_frames_ms, before, own, ...samples });
} finally {
  await browser.close();
}
