// One run through an emulated path: a Chromium at the client's end watches the testcard, sent by nearframe or by a
// second Chromium at the server's end.
//
// node link.mjs nearframe BASE_URL SECONDS BITRATE_BPS SERVER CLIENT
// node link.mjs chromium CARD_DIR SECONDS BITRATE_BPS SERVER CLIENT
// SERVER and CLIENT are programs that start Chromium at the two ends. CARD_DIR is that of peer.mjs.
// stdout: one JSON object per line, with `event`: `showing` with the first frame, `measuring` when samples begin to
// count, `done` with the samples. Each of the first two waits for a line on stdin.

import { readFile, readdir } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { collect, counters, firstFrame, launch, openPage, pressKeys, sleep, timeOrigin } from './browser.mjs';

const [kind, source] = process.argv.slice(2, 4);
const [seconds, bitrate_bps] = process.argv.slice(4, 6).map(Number);
const [serverChromium, clientChromium] = process.argv.slice(6);
/** Bitrate, buffers and the frame clock have settled on the path after this. */
const WARM_UP_MS = 6_000;
const START_LIMIT_MS = 60_000;
/** Largest mean difference per channel between the two drawings; a misplaced box alone makes more. */
const DRAWING_TOLERANCE = 0.5;
/** Never looked up: its pages come out of this program, so that they need no path. */
const PEER_SITE = 'https://peer.test';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);

/** Says it and waits for the answer. */
async function ask(event) {
  say(event);
  await lines.next();
}

/** A page of nearframe's own, served through the path as to any player. */
async function openOurs(browser) {
  const page = await openPage(browser, { ignoreHTTPSErrors: true });
  await page.goto(new URL('play/testcard?start=1', source).href, { waitUntil: 'commit', timeout: START_LIMIT_MS });
  return page;
}

/** A page that runs one script of this folder. */
async function openPeer(browser, script, ready) {
  const page = await openPage(browser);
  await page.route(`${PEER_SITE}/**`, async (route) => {
    const { pathname } = new URL(route.request().url());
    const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
    if (pathname !== '/') {
      const body = await readFile(new URL(`.${pathname}`, import.meta.url), 'utf8');
      return route.fulfill({ body, headers, contentType: 'text/javascript' });
    }
    const body = `<!doctype html><meta charset="utf-8"><title>peer</title>
      <style>body{margin:0;background:#000}video,canvas{display:block;width:1280px;height:720px}</style>
      <script type="module" src="/${script}"></script>`;
    return route.fulfill({ body, headers, contentType: 'text/html' });
  });
  await page.goto(PEER_SITE, { waitUntil: 'load' });
  await page.waitForFunction((name) => window[name], ready);
  return page;
}

/** Fails where the sender's drawing is not the Rust testcard's. */
async function checkDrawing(sender) {
  for (const name of await readdir(source)) {
    const step = Number(/^frame-(\d+)\.bgra$/.exec(name)?.[1]);
    const wanted = (await readFile(`${source}/${name}`)).toString('base64');
    const difference = await sender.evaluate(([at, bgra]) => window.compareCard(at, bgra), [step, wanted]);
    if (difference > DRAWING_TOLERANCE) {
      throw new Error(`the sender's picture at step ${step} is not the testcard: it differs by ${difference.toFixed(2)}`);
    }
  }
}

/** Offer and answer are carried by this program; only media takes the path. */
async function connectPeers(sending, viewing) {
  const sender = await openPeer(sending, 'sender.js', 'compareCard');
  await checkDrawing(sender);
  const origin = await timeOrigin(sender);
  await sender.evaluate((ms) => { window.monotonicOrigin = ms; }, origin);
  const viewer = await openPeer(viewing, 'viewer.js', 'makeOffer');
  const offer = await viewer.evaluate(() => window.makeOffer());
  const answer = await sender.evaluate(([sdp, bps]) => window.answerOffer(sdp, bps), [offer, bitrate_bps]);
  await viewer.evaluate((sdp) => window.takeAnswer(sdp), answer);
  return viewer;
}

const browsers = [];
try {
  const viewing = await launch(clientChromium);
  browsers.push(viewing);
  let viewer;
  if (kind === 'nearframe') {
    viewer = await openOurs(viewing);
  } else {
    const sending = await launch(serverChromium);
    browsers.push(sending);
    viewer = await connectPeers(sending, viewing);
  }
  await firstFrame(viewer, kind, START_LIMIT_MS);
  await ask('showing');
  await sleep(WARM_UP_MS);
  const before = await counters(viewer);
  await viewer.evaluate(() => window.nearframeProbe.reset());
  await ask('measuring');
  await pressKeys(viewer, seconds);
  const samples = await collect(viewer);
  await viewer.evaluate(() => document.querySelector('near-frame')?.leave());
  // A connection that is being made anew has no stream to tell of.
  say('done', { ...samples, before: before ?? {}, video: samples.video ?? {} });
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
  process.stdin.destroy();
}
