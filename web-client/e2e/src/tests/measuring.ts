/** A browser measures the nodes, and plays on the near one. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { ask, field, items } from '../harness/api.js';
import { DESKTOP, screenshot } from '../harness/browser.js';
import { Distance } from '../harness/distance.js';
import { Fleet } from '../harness/fleet.js';
import { leave, open, sessionOf } from '../harness/play.js';
import { inPage, separately } from '../harness/scenario.js';
import { TurnServer } from '../harness/turn.js';
import { until } from '../harness/wait.js';

const NEAR_MS = 10;
const FAR_MS = 80;
/** Measuring takes a few hundred ms; this is for a loaded machine. */
const MEASURED_LIMIT_MS = 10_000;

async function nodeIds(fleet: Fleet): Promise<Map<string, string>> {
  const rows = items((await ask(fleet.base, '/v1/nodes')).body);
  return new Map(rows.map((row) => [String(field(row, 'name')), String(field(row, 'id'))]));
}

/** What the page has measured, by node, in ms. */
async function measured(page: Page): Promise<Map<string, number>> {
  const text = await until('the page has measured', MEASURED_LIMIT_MS, async () => {
    const kept = await page.evaluate(() => sessionStorage.getItem('nearframe-measured'));
    return kept ?? undefined;
  });
  const { nodes } = JSON.parse(text) as { nodes: { node: string; rtt_us: number }[] };
  return new Map(nodes.map(({ node, rtt_us }) => [node, rtt_us / 1000]));
}

async function nodeOf(page: Page): Promise<string> {
  const id = await sessionOf(page);
  const session: unknown = await page.evaluate(async (path) => (await fetch(path)).json() as unknown, `/v1/sessions/${id}`);
  return String(field(session, 'node'));
}

separately('the near node wins, whichever it is, and the catalogue says so before a tap', async (browser, t) => {
  const fleet = await Fleet.start();
  t.after(() => { fleet.discard(); });
  await fleet.node('alder', '--region', 'DE', '--location', '52.5,13.4', '--slots', '4');
  await fleet.node('birch', '--region', 'FR', '--location', '48.9,2.4', '--slots', '4');
  await fleet.node('cedar', '--region', 'SE', '--location', '59.3,18.1', '--slots', '4');
  const ids = await nodeIds(fleet);
  for (const near of ['birch', 'cedar']) {
    const rtts = new Map([...ids].map(([name, id]) => [id, name === near ? NEAR_MS : FAR_MS]));
    const distance = new Distance(rtts);
    t.after(() => { distance.close(); });
    await inPage(`near ${near}`, { program: fleet.matchmaker, base: fleet.base, browser, t }, DESKTOP, async ({ page }) => {
      await distance.attach(page);
      await page.goto(fleet.base, { waitUntil: 'commit' });
      const line = page.locator('article:has(a[href*="/play/testcard"])').getByText(/^\d+ ms away/);
      await line.waitFor({ timeout: MEASURED_LIMIT_MS });
      const told = Number(/^\d+/.exec((await line.textContent()) ?? '')?.[0]);
      assert(told >= NEAR_MS && told < FAR_MS / 2, `the catalogue tells ${told} ms`);
      await screenshot(page, `outlook-${near}`);
      const found = await measured(page);
      assert.deepEqual(new Set(found.keys()), new Set(ids.values()), 'every node was measured');
      for (const [id, rtt_ms] of found) {
        const real = rtts.get(id) ?? 0;
        assert(rtt_ms >= real - 1 && rtt_ms < real + 25, `${rtt_ms} ms measured where ${real} ms are`);
      }
      await open(page, fleet.base, 'testcard');
      assert.equal(await nodeOf(page), ids.get(near));
      const why = await page.evaluate(async (path) => (await fetch(path)).json() as unknown, `/v1/sessions/${await sessionOf(page)}/placement`);
      assert.equal(field(why, 'chosen'), ids.get(near));
      const candidates = field(why, 'candidates') as { node: string; rtt_us: number }[];
      assert(Math.abs((candidates.find(({ node }) => node === ids.get(near))?.rtt_us ?? 0) / 1000 - NEAR_MS) < 25, JSON.stringify(candidates));
      await leave(page);
    });
    assert(distance.datagrams > 0, 'the checks went through the delay');
    assert.deepEqual(distance.asked, new Set(ids.values()));
  }
});

separately('a page that reaches only a relay measures through it', async (browser, t) => {
  const turn = await TurnServer.start();
  t.after(() => { turn.stop(); });
  const fleet = await Fleet.start('--turn', turn.urls, '--turn-secret-file', turn.secretFile);
  t.after(() => { fleet.discard(); });
  await fleet.node('alder', '--region', 'DE');
  await fleet.node('birch', '--region', 'FR');
  const ids = await nodeIds(fleet);
  await inPage('relay', { program: fleet.matchmaker, base: fleet.base, browser, t }, DESKTOP, async ({ page }) => {
    await page.addInitScript(() => {
      window.RTCPeerConnection = new Proxy(window.RTCPeerConnection, {
        construct: (target, [configuration]: [RTCConfiguration | undefined]) => new target({ ...configuration, iceTransportPolicy: 'relay' }),
      });
    });
    await page.goto(fleet.base, { waitUntil: 'commit' });
    const found = await measured(page);
    assert.deepEqual(new Set(found.keys()), new Set(ids.values()));
  });
});

separately('where every seat is taken a player lines up, sees place and time, and gets the next seat', async (browser, t) => {
  const fleet = await Fleet.start();
  t.after(() => { fleet.discard(); });
  await fleet.node('alder', '--slots', '1');
  const where = { program: fleet.matchmaker, base: fleet.base, browser, t };
  await inPage('first', where, DESKTOP, async ({ page }) => {
    await open(page, fleet.base, 'testcard');
    await inPage('second', where, DESKTOP, async ({ page: second }) => {
      await second.goto(new URL('play/testcard?start=1', fleet.base).href, { waitUntil: 'commit' });
      await second.getByText('You are number 1 in the queue').first().waitFor({ timeout: 15_000 });
      await screenshot(second, 'queue');
      const queue = await second.evaluate(async () => (await fetch('/v1/queue')).json() as unknown);
      assert.equal(items(queue).length, 1);
      await leave(page);
      await second.waitForFunction(() => document.querySelector('near-frame')?.view.kind === 'playing', undefined, { timeout: 30_000 });
      await leave(second);
    });
  });
});
