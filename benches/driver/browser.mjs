// A headless Chromium that is measured: the same flags, window and receiver for everything compared.

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(new URL('../../web-client/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const RECEIVER = fileURLToPath(new URL('./receiver.js', import.meta.url));
/** One picture pixel is one screen pixel. */
const VIEWPORT = { width: 1280, height: 720 };
const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-background-timer-throttling',
  '--disable-renderer-backgrounding',
  '--autoplay-policy=no-user-gesture-required',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
];

/** The browser, or a program that starts it elsewhere with the arguments it is given. */
export function launch(executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium') {
  return chromium.launch({ executablePath, headless: true, args: FLAGS });
}

/**
 * A page with an empty profile, the receiver and further scripts of this folder in it; what breaks in it is told on
 * stderr.
 */
export async function openPage(browser, { viewport = VIEWPORT, scripts = [], ignoreHTTPSErrors = false } = {}) {
  const context = await browser.newContext({ viewport, ignoreHTTPSErrors });
  await context.addInitScript({ path: RECEIVER });
  for (const name of scripts) {
    await context.addInitScript({ path: fileURLToPath(new URL(name, import.meta.url)) });
  }
  const page = await context.newPage();
  page.on('pageerror', (error) => process.stderr.write(`page: ${error.message}\n`));
  return page;
}

/**
 * `performance.timeOrigin` of the page on CLOCK_MONOTONIC, in ms. Chromium's clock is CLOCK_MONOTONIC and
 * `NavigationStart` is the page's time origin on it; a round of pings over the debugging connection bounds
 * the error, so that a browser of which this is not true is found out.
 */
export async function timeOrigin(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const { metrics } = await session.send('Performance.getMetrics');
  const origin = metrics.find((metric) => metric.name === 'NavigationStart').value * 1000;
  let fastest = { rtt: Infinity, origin: 0 };
  for (let i = 0; i < 100; i += 1) {
    const sent = monotonic();
    const { result } = await session.send('Runtime.evaluate', { expression: 'performance.now()' });
    const rtt = monotonic() - sent;
    if (rtt < fastest.rtt) fastest = { rtt, origin: sent + rtt / 2 - result.value };
  }
  await session.detach();
  if (Math.abs(fastest.origin - origin) > fastest.rtt / 2 + 0.2) {
    throw new Error(`the page's clock is ${(fastest.origin - origin).toFixed(2)} ms away from CLOCK_MONOTONIC`);
  }
  return origin;
}

/** CLOCK_MONOTONIC in ms. */
export function monotonic() {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until the page has shown a frame; throws with `what` after `limit_ms`. */
export async function firstFrame(page, what, limit_ms) {
  const shown = page.waitForFunction(() => window.nearframeProbe.firstFrameAt, undefined, { timeout: limit_ms });
  return (await shown.catch(() => Promise.reject(new Error(`${what}: no frame within ${limit_ms / 1000} s`)))).jsonValue();
}

/** Presses and lets go of a key at irregular times for `seconds`, so that no phase is favoured. */
export async function pressKeys(page, seconds) {
  const session = await page.context().newCDPSession(page);
  const key = { key: ' ', code: 'Space', windowsVirtualKeyCode: 32 };
  const end = monotonic() + seconds * 1000;
  let turn = 0;
  while (monotonic() < end) {
    turn += 1;
    await session.send('Input.dispatchKeyEvent', { type: turn % 2 ? 'rawKeyDown' : 'keyUp', ...key });
    // 120 to 200 ms, a different part of the frame each time, the same in every run.
    await sleep(120 + ((turn * 37) % 81) + ((turn * 7) % 16) / 16);
  }
  if (turn % 2) await session.send('Input.dispatchKeyEvent', { type: 'keyUp', ...key });
  await session.detach();
}

/** Everything measured since the last reset, and how far the page's clock is from the node's. */
export async function collect(page) {
  const probe = await page.evaluate(async () => {
    const until_ms = performance.now();
    const { frames, steps, shown, unreadable, keys, sent, traces, since, figures } = window.nearframeProbe;
    return { frames, steps, shown, unreadable, keys, sent, traces, since_ms: since, until_ms, video: await figures() };
  });
  return { ...probe, time_origin_ms: await timeOrigin(page) };
}

/** Counters of the connection that only ever grow; differences of two are what a run costs. */
export function counters(page) {
  return page.evaluate(() => window.nearframeProbe.figures());
}
