/** Every page, in both colour schemes and on both screens, without a serious finding of axe. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Page, Request } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SESSION } from '../dev/fixtures';
import { choose, openBench, visitor, type Bench } from './browser';

const makeCode = (page: Page): Promise<void> => page.getByRole('button', { name: 'Make a code' }).click();

async function openControls(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Controls of Meteor' }).click();
  await page.getByRole('heading', { name: 'Meteor' }).last().waitFor();
}

async function askToDelete(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Delete the saves of Meteor' }).click();
  await page.getByRole('heading', { name: 'Delete the saves of Meteor?' }).waitFor();
}

async function openReasons(page: Page): Promise<void> {
  await page.getByRole('button', { name: /living-room/, expanded: false }).first().click();
  await page.getByRole('region', { name: 'Candidates' }).waitFor();
}

async function askToShutOut(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Shut out living-room' }).click();
  await page.getByRole('heading', { name: 'Shut living-room out?' }).waitFor();
}

async function openChecks(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Checks of living-room' }).click();
  await page.getByText('Passed').first().waitFor();
}

async function makeKey(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'New key' }).click();
  await page.getByLabel('What it is for').fill('build server');
}

async function takeKey(page: Page): Promise<void> {
  await makeKey(page);
  await page.getByRole('button', { name: 'Make the key' }).click();
  await page.getByText('Copy its secret now').waitFor();
}

async function makeWebhook(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'New webhook' }).click();
  await page.getByLabel('Address').fill('https://hooks.example.org/');
}

async function takeWebhook(page: Page): Promise<void> {
  await makeWebhook(page);
  await page.getByRole('button', { name: 'Register it' }).click();
  await page.getByText('has a new secret').waitFor();
  await page.getByRole('button', { name: /^Deliveries/ }).first().click();
  await page.getByText('given up').waitFor();
}

async function openAccount(page: Page): Promise<void> {
  await page.getByRole('button', { name: /Hollow Lantern/ }).click();
  await page.getByRole('button', { name: 'Make a link' }).click();
}

async function openBill(page: Page): Promise<void> {
  await page.getByText('The same as a table').click();
  await page.getByRole('button', { name: /receipt/, expanded: false }).first().click();
  await page.getByRole('region', { name: 'Every receipt of the session with its cost' }).waitFor();
}

async function chooseHost(page: Page): Promise<void> {
  await page.getByLabel('Host').selectOption({ index: 1 });
  await page.getByRole('button', { name: /Proof of/ }).waitFor();
  await page.getByText('The same as a table').click();
}

async function cancel(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Play again' }).first().waitFor();
}

async function askToLeave(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Give notice' }).first().click();
  await page.getByRole('button', { name: /it is not taken back/ }).waitFor();
}

/** A page, what the mock plays there, and what to do first. */
interface Place {
  readonly what: string;
  readonly path: string;
  readonly mock?: string;
  readonly act?: (page: Page) => Promise<void>;
}

const PLACES: readonly Place[] = [
  { what: 'the catalogue', path: '/' },
  { what: 'an empty catalogue', path: '/', mock: 'empty' },
  { what: 'a failed catalogue', path: '/', mock: 'error' },
  { what: 'a loading catalogue', path: '/', mock: 'slow' },
  { what: 'a title', path: '/play/meteor' },
  { what: 'a game that cannot start', path: '/play/meteor?start=1' },
  { what: 'a starting game', path: '/play/meteor?start=1', mock: 'pending' },
  { what: 'the controls over a game', path: '/play/meteor?start=1', mock: 'pending', act: openControls },
  { what: 'a report', path: '/play/meteor?start=1', mock: 'pending', act: cancel },
  { what: 'a session', path: `/sessions/${SESSION}` },
  { what: 'the saves', path: '/saves' },
  { what: 'no saves', path: '/saves', mock: 'empty' },
  { what: 'a question before saves are deleted', path: '/saves', act: askToDelete },
  { what: 'the machines', path: '/nodes' },
  { what: 'the operator', path: '/operator', act: makeCode },
  { what: 'a signed-out operator', path: '/operator', mock: 'guest', act: makeCode },
  { what: 'the fleet', path: '/fleet', act: openReasons },
  { what: 'an empty fleet', path: '/fleet', mock: 'empty' },
  { what: 'a signed-out fleet', path: '/fleet', mock: 'guest' },
  { what: 'a failed fleet', path: '/fleet', mock: 'error' },
  { what: 'a question before a machine is shut out', path: '/fleet', act: askToShutOut },
  { what: 'what checkers found', path: '/fleet', act: openChecks },
  { what: 'an account', path: '/account' },
  { what: 'a new key', path: '/account', act: makeKey },
  { what: 'a key that is shown once', path: '/account', act: takeKey },
  { what: 'a new webhook', path: '/account', act: makeWebhook },
  { what: 'a webhook’s secret and deliveries', path: '/account', act: takeWebhook },
  { what: 'a new account', path: '/account', mock: 'empty' },
  { what: 'an account of nobody', path: '/account', mock: 'guest' },
  { what: 'a failed account', path: '/account', mock: 'error' },
  { what: 'a choice of accounts', path: '/account#choose' },
  { what: 'a welcome', path: '/account#choose', mock: 'newcomer' },
  { what: 'a sign-in that failed', path: '/account#sign-in=expired', mock: 'guest' },
  { what: 'an invitation', path: `/account#join=${'k'.repeat(43)}` },
  { what: 'accounts to an operator', path: '/operator', act: openAccount },
  { what: 'the costs', path: '/costs', act: openBill },
  { what: 'the costs to an operator', path: '/costs', mock: 'operator' },
  { what: 'no costs', path: '/costs', mock: 'empty' },
  { what: 'signed-out costs', path: '/costs', mock: 'guest' },
  { what: 'failed costs', path: '/costs', mock: 'error' },
  { what: 'the earnings', path: '/earnings', act: chooseHost },
  { what: 'the earnings and stakes of a host', path: '/earnings', mock: 'host', act: askToLeave },
  { what: 'no earnings', path: '/earnings', mock: 'empty' },
  { what: 'signed-out earnings', path: '/earnings', mock: 'guest' },
  { what: 'loading earnings', path: '/earnings', mock: 'slow' },
  { what: 'how it works', path: '/about' },
  { what: 'a wrong address', path: '/nope' },
];

let bench: Bench | undefined;
let axe: string;

beforeAll(async () => {
  axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  bench = await openBench();
});
afterAll(async () => {
  await bench?.close();
});

/** The requests of a page that will be answered and were not yet. */
function openRequests(page: Page, mock: string | undefined): ReadonlySet<Request> {
  const open = new Set<Request>();
  page.on('request', (request) => {
    const isHeld = mock === 'slow' ? request.url().includes('/v1/') : mock === 'pending' && request.method() === 'POST';
    if (!isHeld) open.add(request);
  });
  page.on('requestfinished', (request) => open.delete(request));
  page.on('requestfailed', (request) => open.delete(request));
  return open;
}

/** Returns when everything that was asked for is drawn: twice in a row two frames went by and nothing was under way. */
async function settled(page: Page, open: ReadonlySet<Request>): Promise<void> {
  for (let quiet = 0; quiet < 2; ) {
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    quiet = open.size === 0 ? quiet + 1 : 0;
  }
}

/** Makes a window as if it were new. Opening another costs more than everything that is looked at in it. */
async function forget(page: Page): Promise<void> {
  for (const event of ['request', 'requestfinished', 'requestfailed', 'pageerror'] as const) page.removeAllListeners(event);
  await page.evaluate(async () => {
    localStorage.clear();
    sessionStorage.clear();
    for (const { name } of await indexedDB.databases()) indexedDB.deleteDatabase(name ?? '');
  });
  // A document of the same origin and headers, or Chromium starts another process for what is shown next.
  await page.goto(new URL('/favicon.svg', page.url()).href);
  await page.context().clearCookies();
}

/** Findings that keep somebody from using the page. */
async function findings(page: Page): Promise<string[]> {
  // The page's policy forbids inline scripts; the inspector's evaluation is not bound by it.
  await page.evaluate(axe);
  const result = await page.evaluate<AxeResults>("axe.run({ resultTypes: ['violations'] })");
  return result.violations
    .filter((rule) => rule.impact === 'serious' || rule.impact === 'critical')
    .flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 160)} ${node.failureSummary ?? ''}`));
}

describe.each([
  ['desktop', 'dark'],
  ['phone', 'light'],
] as const)('on a %s, %s', (screen, scheme) => {
  /** Windows that are free; one in which a check failed is left as it is. */
  const free: Page[] = [];

  async function windowFor(mock: string | undefined): Promise<Page> {
    if (!bench) throw new Error('the bench is open before any test');
    const found = free.pop();
    if (found === undefined) return (await visitor(bench, screen, scheme, mock, 'block')).newPage();
    await choose(bench, found.context(), mock);
    return found;
  }

  it.concurrent.each(PLACES)('$what has no serious finding', async ({ path, mock, act }) => {
    const page = await windowFor(mock);
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    const open = openRequests(page, mock);
    await page.goto(`${bench?.url ?? ''}${path}`, { waitUntil: 'commit' });
    await page.getByRole('heading', { level: 1 }).waitFor({ state: 'attached' });
    await settled(page, open);
    await act?.(page);
    await settled(page, open);
    expect(await findings(page)).toEqual([]);
    expect(errors).toEqual([]);
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    expect(content, 'the page must not scroll sideways').toBe(window);
    await forget(page);
    free.push(page);
  });
});
