/** A real Chromium and pages in it, each with an empty profile. */

import { chromium, devices, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PROBE = fileURLToPath(new URL('../../../../benches/driver/receiver.js', import.meta.url));
const RESULTS = fileURLToPath(new URL('../../results', import.meta.url));
const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
  // A microphone that beeps once a second, and a player who allows it.
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
];

export const DESKTOP: BrowserContextOptions = { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' };
/** For tests with several players: a page that costs a machine without a GPU little to draw. */
export const SMALL: BrowserContextOptions = { viewport: { width: 480, height: 270 }, colorScheme: 'dark' };
export const PHONE: BrowserContextOptions = {
  ...devices['iPhone 14'],
  viewport: { width: 390, height: 844 },
  screen: { width: 390, height: 844 },
  colorScheme: 'dark',
};
export const PHONE_SIDEWAYS: BrowserContextOptions = {
  ...PHONE,
  viewport: { width: 844, height: 390 },
  screen: { width: 844, height: 390 },
};

export function launch(...more: string[]): Promise<Browser> {
  return chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', headless: true, args: [...FLAGS, ...more] });
}

/** A page with the probe in it; what breaks in it fails the test that looks at `errors`. */
export async function openPage(browser: Browser, options: BrowserContextOptions = DESKTOP): Promise<{ page: Page; errors: string[] }> {
  const context = await browser.newContext(options);
  await context.addInitScript({ path: PROBE });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  return { page, errors };
}

/** Keeps a picture for people to look at. */
export async function screenshot(page: Page, name: string): Promise<void> {
  mkdirSync(RESULTS, { recursive: true });
  await page.screenshot({ path: `${RESULTS}/${name}.png` });
}
