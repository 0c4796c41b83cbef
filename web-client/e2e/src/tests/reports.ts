/** A browser tells the node what arrived whenever a frame has ended. */

import assert from 'node:assert/strict';
import { open } from '../harness/play.js';
import { scenario } from '../harness/scenario.js';
import { sleep } from '../harness/wait.js';
import { Wire } from '../harness/relay.js';

const WATCHED_S = 2;
/** By itself a browser reports 20 times a second at most. */
const BY_ITSELF = 20;

scenario('arrivals are reported when frames ask for it, more often than a browser does by itself', async ({ page, base, t }) => {
  const wire = new Wire();
  t.after(() => wire.close());
  await wire.attach(page);
  await open(page, base, 'testcard');
  const before = wire.reports;
  await sleep(WATCHED_S * 1000);
  const perSecond = (wire.reports - before) / WATCHED_S;
  t.diagnostic(`${perSecond} reports a second`);
  assert(perSecond > 1.5 * BY_ITSELF, `${perSecond} reports a second`);
});
