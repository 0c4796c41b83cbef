/** What a session costs and earns, on the pages and through the API, to the micro-unit. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { Locator, Page } from 'playwright-core';
import { ask, field, items } from '../harness/api.js';
import { DESKTOP, PHONE, screenshot } from '../harness/browser.js';
import { Fleet } from '../harness/fleet.js';
import { leave, open } from '../harness/play.js';
import { inPage, separately } from '../harness/scenario.js';
import { sleep, until } from '../harness/wait.js';

/** An hour's price that no second divides, in micro-units. */
const PRICE = 7_654_321n;
/** The platform's share by default, in thousandths. */
const FEE_PERMILLE = 200n;
/** A receipt is due every 10 s (protocol/src/receipt.rs). */
const PLAY_MS = 21_000;
const DELIVERY_LIMIT_MS = 15_000;
/** The pages look again every 10 s. */
const SHOWN_LIMIT_MS = 25_000;

separately('a session’s cost and earnings stand on the pages as the receipts say', async (browser, t) => {
  const fleet = await Fleet.start('--price-micros-per-hour', String(PRICE));
  t.after(() => { fleet.discard(); });
  await fleet.node('alder', '--region', 'DE', '--slots', '2');
  const cookie = await fleet.operatorCookie();
  const [name = '', value = ''] = cookie.split('=');
  const where = { program: fleet.matchmaker, base: fleet.base, browser, t };
  const api = async (path: string): Promise<unknown> => (await ask(fleet.base, path, { headers: { cookie } })).body;

  await inPage('player', where, DESKTOP, async ({ page }) => {
    const scripts: Promise<string>[] = [];
    page.on('response', (response) => {
      if (/\.(js|css)$/.test(response.url())) scripts.push(response.text().catch(() => ''));
    });
    await open(page, fleet.base, 'testcard');
    await sleep(PLAY_MS);
    await leave(page);
    assert.doesNotMatch((await Promise.all(scripts)).join(''), /u-legend/, 'a player fetched what draws charts');
  });
  const span = `from_ms=0&to_ms=${Date.now() + 86_400_000}`;
  const [used] = await until('two receipts are billed', DELIVERY_LIMIT_MS, async () => {
    const rows = items(await api(`/v1/usage/sessions?${span}`));
    return rows.length === 1 && Number(field(field(rows[0], 'sums'), 'receipts')) >= 2 ? rows : undefined;
  });
  const due = expected(BigInt(Number(field(field(used, 'sums'), 'used_us'))));

  await inPage('operator', where, { ...DESKTOP, timezoneId: 'Asia/Kolkata', locale: 'en-US' }, async ({ page }) => {
    await page.goto(new URL('costs', fleet.base).href, { waitUntil: 'commit' });
    await page.getByRole('heading', { name: 'Sign in first' }).waitFor();
    await page.context().addCookies([{ name, value, url: fleet.base }]);
    await page.reload({ waitUntil: 'commit' });
    await until('the cost is shown', SHOWN_LIMIT_MS, async () => ((await figure(page, 'Cost')) === due.total ? true : undefined));
    assert.equal(await figure(page, 'Of which hosts get'), due.host);
    assert.equal(await figure(page, 'Of which platform fee'), due.fee);
    await page.getByText('Asia/Calcutta').or(page.getByText('Asia/Kolkata')).first().waitFor();
    await assertDrawn(page);
    await page.getByText('The same as a table').click();
    await page.getByRole('region', { name: 'Cost by day, in numbers' }).waitFor();
    assert.equal(money(await firstCell(page.getByRole('region', { name: 'Cost by day, in numbers' }).locator('tfoot'))), due.total);

    await page.getByRole('button', { name: /receipts/, expanded: false }).click();
    const bill = page.getByRole('region', { name: 'Every receipt of the session with its cost' });
    await bill.waitFor();
    const lines = await bill.locator('tbody tr').all();
    assert.equal(lines.length, Number(field(field(used, 'sums'), 'receipts')));
    const costs = await Promise.all(lines.map(async (line) => money(await line.locator('td').nth(6).innerText())));
    assert.equal(costs.reduce((sum, cost) => sum + cost, 0n), due.total, 'the lines come to the bill');

    await page.getByRole('region', { name: 'Budgets' }).locator('select').selectOption('testcard');
    await page.getByLabel(/Most to spend/).fill('100.5');
    await page.getByRole('button', { name: 'Set the budget' }).click();
    const [budget] = await until('the budget is kept', DELIVERY_LIMIT_MS, async () => {
      const rows = items(await api('/v1/budgets'));
      return 'limit' in (rows[0] as object) ? rows : undefined;
    });
    const left = money(String(field(field(budget, 'limit'), 'amount'))) - money(String(field(field(budget, 'committed'), 'amount')));
    const said = await page.getByRole('listitem').filter({ hasText: 'left of' }).first().innerText();
    assert.equal(money(/(\S+) left of/.exec(said)?.[1] ?? ''), left);

    const arriving = page.waitForEvent('download');
    await page.getByRole('link', { name: /Statement of/ }).click();
    const statement = await readFile(await (await arriving).path(), 'utf8');
    const [columns = '', ...rows] = statement.trim().split('\n');
    const at = columns.split(',').indexOf('total_micros');
    assert.equal(rows.length, lines.length);
    assert.equal(rows.reduce((sum, row) => sum + BigInt(row.split(',')[at] ?? 0), 0n), due.total);
    await page.evaluate(() => { window.scrollTo(0, 0); });
    await screenshot(page, 'costs-desktop-dark');
  });

  await inPage('host', where, { ...PHONE, colorScheme: 'light', locale: 'en-US' }, async ({ page }) => {
    await page.context().addCookies([{ name, value, url: fleet.base }]);
    await page.goto(new URL('earnings', fleet.base).href, { waitUntil: 'commit' });
    await until('the earnings are shown', SHOWN_LIMIT_MS, async () => ((await figure(page, 'Earned in all')) === due.host ? true : undefined));
    assert.equal(await figure(page, 'Held'), due.host, 'no day is settled yet');
    const held = items({ items: field(await api('/v1/earnings'), 'held') });
    assert.equal(held.reduce<bigint>((sum, day) => sum + money(String(field(field(day, 'amount'), 'amount'))), 0n), due.host);
    await page.getByRole('region', { name: 'Days whose earnings are held' }).getByText('The day is not over in UTC.').first().waitFor();
    await assertDrawn(page);
    await page.getByLabel('Host').selectOption({ label: 'alder, DE' });
    await page.getByText('There is none yet').waitFor();
    assert.equal(await figure(page, 'Earned in all'), due.host);
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.equal(content, window, 'the page must not scroll sideways');
    await screenshot(page, 'earnings-phone-light');
  });
});

/** By the rule of docs/money.md. */
function expected(used_us: bigint): { total: bigint; fee: bigint; host: bigint } {
  const total = (PRICE * used_us) / 3_600_000_000n;
  const fee = (total * FEE_PERMILLE) / 1000n;
  assert(total > 0n);
  return { total, fee, host: total - fee };
}

/** The micro-units of a text such as `€0.0446` or `12.5`. */
function money(text: string): bigint {
  const [whole = '', fraction = ''] = text.replaceAll(/[^\d.]/g, '').split('.');
  return BigInt(whole || '0') * 1_000_000n + BigInt(fraction.padEnd(6, '0'));
}

async function figure(page: Page, name: string): Promise<bigint | undefined> {
  const term = page.locator('dl > div').filter({ has: page.locator('dt', { hasText: new RegExp(`^${name}$`) }) });
  const shown = await term.locator('dd').first().innerText({ timeout: 1_000 }).catch(() => undefined);
  return shown === undefined ? undefined : money(shown);
}

async function firstCell(row: Locator): Promise<string> {
  return row.locator('td').first().innerText();
}

/** At least one bar of the accent's colour. */
async function assertDrawn(page: Page): Promise<void> {
  await page.locator('figure canvas').first().waitFor();
  const coloured = await page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('figure canvas');
    const pixels = canvas?.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
    let found = 0;
    for (let at = 0; at < pixels.length; at += 4) {
      const [red = 0, , blue = 0, alpha = 0] = [pixels[at], pixels[at + 1], pixels[at + 2], pixels[at + 3]];
      if (alpha > 200 && red - blue > 100) found += 1;
    }
    return found;
  });
  assert(coloured > 50, `${coloured} pixels of a bar`);
}
