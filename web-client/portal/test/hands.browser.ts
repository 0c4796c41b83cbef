/** The way from the catalogue into a game, and back, with keys alone and with a pad alone. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBench, visitor, type Bench } from './browser';

/** A pad that the test presses: stands in for hardware, and proves only the pages' side. */
const PRETEND_PAD = `
  const pad = { axes: [0, 0, 0, 0], buttons: Array.from({ length: 17 }, () => ({ pressed: false, value: 0 })),
    connected: true, index: 0, id: 'pretend', mapping: 'standard', timestamp: 0 };
  navigator.getGamepads = () => [pad, null, null, null];
  window.pressPad = async (button) => {
    pad.buttons[button].pressed = true;
    await new Promise((done) => setTimeout(done, 120));
    pad.buttons[button].pressed = false;
    await new Promise((done) => setTimeout(done, 120));
  };
  window.connectPad = () => dispatchEvent(new Event('gamepadconnected'));
`;
const A = 0;
const B = 1;
const DOWN = 13;
const RIGHT = 15;

let bench: Bench | undefined;

beforeAll(async () => {
  bench = await openBench();
});
afterAll(async () => {
  await bench?.close();
});

async function onCatalogue(act: (page: Page) => Promise<void>): Promise<void> {
  if (!bench) throw new Error('the bench is open before any test');
  const context = await visitor(bench, 'desktop', 'dark');
  try {
    const page = await context.newPage();
    await page.addInitScript(PRETEND_PAD);
    await page.goto(bench.url);
    await page.getByRole('link', { name: 'Play Meteor' }).waitFor();
    await act(page);
  } finally {
    await context.close();
  }
}

const path = (page: Page): string => new URL(page.url()).pathname;
const focused = (page: Page): Promise<string> => page.evaluate(() => document.activeElement?.textContent.trim() ?? '');

describe('with keys alone', () => {
  it('a game starts and the catalogue is reached again', () =>
    onCatalogue(async (page) => {
      await page.keyboard.press('ArrowDown');
      expect(await focused(page)).toBe('Play Meteor');
      await page.keyboard.press('ArrowRight');
      expect(await focused(page)).toBe('Play Testcard');
      await page.keyboard.press('Enter');
      await page.getByRole('button', { name: 'Try again' }).waitFor();
      expect(path(page)).toBe('/play/testcard');
      await page.keyboard.press('Escape');
      await page.getByRole('link', { name: 'Play Meteor' }).waitFor();
      expect(path(page)).toBe('/');
    }));
});

describe('with a pad alone', () => {
  it('a game starts and the catalogue is reached again', () =>
    onCatalogue(async (page) => {
      const press = (button: number): Promise<unknown> => page.evaluate(`pressPad(${button})`);
      await page.evaluate('connectPad()');
      await page.waitForTimeout(100);
      await press(DOWN);
      expect(await focused(page)).toBe('Play Meteor');
      await press(RIGHT);
      expect(await focused(page)).toBe('Play Testcard');
      await press(A);
      await page.getByRole('button', { name: 'Try again' }).waitFor();
      expect(path(page)).toBe('/play/testcard');
      await press(B);
      await page.getByRole('link', { name: 'Play Meteor' }).waitFor();
      expect(path(page)).toBe('/');
    }));
});
