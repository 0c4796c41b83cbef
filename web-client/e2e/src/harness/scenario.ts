/** One test with a page of its own, on the programs that all of them share. */

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { DESKTOP, launch, openPage, screenshot } from './browser.js';
import { removeTitles, writeTitles } from './probes.js';
import { Program } from './program.js';
import { sleep } from './wait.js';

/** Far above what any of them needs, so that a hang ends with a message. */
const TEST_LIMIT_MS = 90_000;
/** The node has a slot free again this long after a player left. */
const AFTER_LEAVING_MS = 400;

export interface Scene {
  readonly page: Page;
  readonly base: string;
  readonly program: Program;
  readonly browser: Browser;
  readonly t: TestContext;
}

interface Shared {
  readonly program: Program;
  readonly base: string;
  readonly browser: Browser;
}

/** Room for a title that misbehaves and for those beside it, whatever this machine measures. */
const PROBE_SLOTS = '4';

let browser: Promise<Browser> | undefined;
let shared: Promise<Shared> | undefined;
let probes: Promise<Shared> | undefined;
let titles: string | undefined;

function sharedBrowser(): Promise<Browser> {
  browser ??= launch();
  return browser;
}

async function start(...args: string[]): Promise<Shared> {
  const [{ program, base }, running] = await Promise.all([Program.up(...args), sharedBrowser()]);
  return { program, base, browser: running };
}

/** A node as `nearframe up` makes it. */
export function sharedPrograms(): Promise<Shared> {
  shared ??= start();
  return shared;
}

/** The folder of titles that tell what they see. */
export function probeTitles(): string {
  titles ??= writeTitles();
  return titles;
}

/** A node that offers those besides. */
function probePrograms(): Promise<Shared> {
  probes ??= start('--titles', probeTitles(), '--slots', PROBE_SLOTS);
  return probes;
}

/** Ends what was started; fails where something stays behind. */
export async function stopSharedPrograms(): Promise<void> {
  await (await browser)?.close();
  const running = (await Promise.all([shared, probes])).filter((one) => one !== undefined);
  try {
    await Promise.all(running.map(({ program }) => program.stop()));
  } finally {
    for (const { program } of running) program.discard();
    if (titles !== undefined) removeTitles(titles);
  }
}

/** A test in a fresh page; no script of the page may have failed at its end. */
export function scenario(name: string, act: (scene: Scene) => Promise<void>, options: BrowserContextOptions = DESKTOP): void {
  void test(name, { timeout: TEST_LIMIT_MS }, async (t) => {
    const { program, base, browser } = await sharedPrograms();
    await inPage(name, { program, base, browser, t }, options, act);
  });
}

/** A test in a fresh page, on the node with the titles that tell what they see. */
export function probeScenario(name: string, act: (scene: Scene) => Promise<void>, options: BrowserContextOptions = DESKTOP): void {
  void test(name, { timeout: TEST_LIMIT_MS }, async (t) => {
    await inPage(name, { ...(await probePrograms()), t }, options, act);
  });
}

/** Another player: a page of its own with its own cookies, closed at the test's end. */
export async function withSecondPlayer(scene: Scene, act: (page: Page) => Promise<void>): Promise<void> {
  const { page } = await openPage(scene.browser);
  try {
    await act(page);
  } finally {
    await page.evaluate(() => document.querySelector('near-frame')?.leave()).catch(() => undefined);
    await page.context().close();
  }
}

/** A test with programs of its own, which it starts and stops itself. */
export function separately(name: string, act: (browser: Browser, t: TestContext) => Promise<void>): void {
  void test(name, { timeout: TEST_LIMIT_MS }, async (t) => act(await sharedBrowser(), t));
}

export async function inPage(
  name: string,
  where: Omit<Scene, 'page'>,
  options: BrowserContextOptions,
  act: (scene: Scene) => Promise<void>,
): Promise<void> {
  const { page, errors } = await openPage(where.browser, options);
  try {
    await act({ ...where, page });
    assert.deepEqual(errors, [], 'scripts of the page failed');
  } catch (error) {
    await screenshot(page, `failed ${name}`.replaceAll(/[^a-z0-9]+/gi, '-')).catch(() => undefined);
    where.t.diagnostic(`the program's last words:\n${where.program.log}`);
    throw error;
  } finally {
    await page.evaluate(() => document.querySelector('near-frame')?.leave()).catch(() => undefined);
    await sleep(AFTER_LEAVING_MS);
    await page.context().close();
  }
}
