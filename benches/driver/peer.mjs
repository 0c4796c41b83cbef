// The same picture through Chromium's own sender, received by the same page code as play.mjs.
//
// node peer.mjs CARD_DIR SECONDS BITRATE_BPS
// CARD_DIR holds frame-N.bgra, pictures of the Rust testcard at step N, 1280×720, against which the
// sender's drawing is checked before anything is measured. stdout: one line, `done` with the samples.

import { readFile, readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { collect, counters, firstFrame, launch, openPage, pressKeys, sleep, timeOrigin } from './browser.mjs';

const [cards, seconds, bitrate_bps] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const WARM_UP_MS = 6_000;
const START_LIMIT_MS = 20_000;
/** Largest mean difference per channel between the two drawings; a misplaced box alone makes more. */
const DRAWING_TOLERANCE = 0.5;

const FILES = { '/card.js': 'card.js', '/sender.js': 'sender.js', '/viewer.js': 'viewer.js' };

/** Serves the two pages and carries their offer and answer, as a matchmaker would. */
async function serve() {
  const server = createServer((request, response) => {
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    const file = FILES[request.url];
    if (file) {
      response.setHeader('content-type', 'text/javascript');
      readFile(new URL(file, import.meta.url)).then((text) => response.end(text));
      return;
    }
    const script = request.url === '/sender' ? '/sender.js' : '/viewer.js';
    response.setHeader('content-type', 'text/html');
    response.end(`<!doctype html><meta charset="utf-8"><title>peer</title>
      <style>body{margin:0;background:#000}video,canvas{display:block;width:1280px;height:720px}</style>
      <script type="module" src="${script}"></script>`);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

/** Mean difference per channel of the sender's drawing from the Rust testcard's. */
async function checkDrawing(sender) {
  for (const name of await readdir(cards)) {
    const step = Number(/^frame-(\d+)\.bgra$/.exec(name)?.[1]);
    const wanted = (await readFile(`${cards}/${name}`)).toString('base64');
    const difference = await sender.evaluate(([at, bgra]) => window.compareCard(at, bgra), [step, wanted]);
    if (difference > DRAWING_TOLERANCE) {
      throw new Error(`the sender's picture at step ${step} is not the testcard: it differs by ${difference.toFixed(2)}`);
    }
  }
}

const server = await serve();
const base = `http://127.0.0.1:${server.address().port}`;
const [sending, viewing] = await Promise.all([launch(), launch()]);
try {
  const sender = await openPage(sending);
  await sender.goto(`${base}/sender`, { waitUntil: 'load' });
  await sender.waitForFunction(() => window.compareCard);
  await checkDrawing(sender);
  const origin = await timeOrigin(sender);
  await sender.evaluate((ms) => { window.monotonicOrigin = ms; }, origin);
  const viewer = await openPage(viewing);
  await viewer.goto(`${base}/viewer`, { waitUntil: 'load' });
  await viewer.waitForFunction(() => window.makeOffer);
  const offer = await viewer.evaluate(() => window.makeOffer());
  const answer = await sender.evaluate(([sdp, bps]) => window.answerOffer(sdp, bps), [offer, bitrate_bps]);
  await viewer.evaluate((sdp) => window.takeAnswer(sdp), answer);
  await firstFrame(viewer, "Chromium's own sender", START_LIMIT_MS);
  await sleep(WARM_UP_MS);
  const before = await counters(viewer);
  await viewer.evaluate(() => window.nearframeProbe.reset());
  await pressKeys(viewer, seconds);
  const samples = await collect(viewer);
  process.stdout.write(`${JSON.stringify({ event: 'done', before, ...samples })}\n`);
} finally {
  await Promise.all([sending.close(), viewing.close()]);
  server.close();
}
