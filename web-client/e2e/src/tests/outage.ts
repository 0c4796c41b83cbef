/** The network goes away for a while. */

import assert from 'node:assert/strict';
import { screenshot } from '../harness/browser.js';
import { open, sessionOf, waitForView, watch } from '../harness/play.js';
import { scenario } from '../harness/scenario.js';
import { sleep } from '../harness/wait.js';
import { Wire } from '../harness/relay.js';

const CUT_MS = 3_000;
/** Deadlines of the protocol, at twice their value with real processes. */
const SAID_WITHIN_MS = 2_000;
const BACK_WITHIN_MS = 5_000;

scenario('a network cut of three seconds is told and survived without a reload', async ({ page, base, t }) => {
  const wire = new Wire();
  t.after(() => wire.close());
  await wire.attach(page);
  await open(page, base, 'testcard');
  const session = await sessionOf(page);
  assert(wire.datagrams > 100, 'the picture found a way around the wire');

  wire.cut();
  const cutAt = Date.now();
  await waitForView(page, 'reconnecting', SAID_WITHIN_MS);
  t.diagnostic(`told after ${Date.now() - cutAt} ms`);
  await page.getByText('reconnecting').first().waitFor();
  await sleep(700);
  await screenshot(page, 'reconnecting-desktop');
  await sleep(Math.max(0, CUT_MS - (Date.now() - cutAt)));
  wire.mend();
  const mendedAt = Date.now();
  await waitForView(page, 'playing', BACK_WITHIN_MS);
  t.diagnostic(`back ${Date.now() - mendedAt} ms after the network`);

  const { stamps, shown } = await watch(page, 1_500);
  assert(stamps.length > 10 && shown > 10, `${shown} frames in 1.5 s after the cut`);
  assert.equal(await sessionOf(page), session, 'another session goes on');
});

scenario('a second cut is survived like the first', async ({ page, base, t }) => {
  const wire = new Wire();
  t.after(() => wire.close());
  await wire.attach(page);
  await open(page, base, 'testcard');
  for (let turn = 0; turn < 2; turn += 1) {
    wire.cut();
    await waitForView(page, 'reconnecting', SAID_WITHIN_MS);
    await sleep(CUT_MS);
    wire.mend();
    await waitForView(page, 'playing', BACK_WITHIN_MS);
    const { shown } = await watch(page, 800);
    assert(shown > 5, `${shown} frames after cut ${turn + 1}`);
  }
});
