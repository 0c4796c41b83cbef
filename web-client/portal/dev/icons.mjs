/** Draws the app icons from the logo: `npm run icons` rewrites public/icon-*.png with Chromium. */
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const INK = '#0a0c11';
const PAPER = '#f4f5f9';
const ACCENT = '#ff9156';

/** The logo's share of the side; a maskable icon keeps its content in the middle 80%. */
const ICONS = [
  { file: 'icon-180.png', side: 180, share: 0.62 },
  { file: 'icon-192.png', side: 192, share: 0.62 },
  { file: 'icon-512.png', side: 512, share: 0.62 },
  { file: 'icon-maskable-512.png', side: 512, share: 0.5 },
];

const CORNERS =
  'M4 12V8.5A4.5 4.5 0 0 1 8.5 4H12 M20 4h3.5A4.5 4.5 0 0 1 28 8.5V12 M28 20v3.5a4.5 4.5 0 0 1-4.5 4.5H20 M12 28H8.5A4.5 4.5 0 0 1 4 23.5V20';

function page(share) {
  const size = `${share * 100}vw`;
  return `<body style="margin:0;display:grid;place-items:center;height:100vh;background:${INK}">
    <svg viewBox="0 0 32 32" style="width:${size};height:${size}" fill="none">
      <path d="${CORNERS}" stroke="${PAPER}" stroke-width="2.6" stroke-linecap="round"/>
      <circle cx="16" cy="16" r="5.4" fill="${ACCENT}"/>
    </svg></body>`;
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless=new', '--no-sandbox', '--disable-gpu'],
});
for (const { file, side, share } of ICONS) {
  const tab = await browser.newPage({ viewport: { width: side, height: side } });
  await tab.setContent(page(share));
  await tab.screenshot({ path: fileURLToPath(new URL(`../public/${file}`, import.meta.url)) });
  await tab.close();
}
await browser.close();
