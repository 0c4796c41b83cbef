/** What a player is told when a session ends, whichever end goes away. */

import assert from 'node:assert/strict';
import { children, busiestChild } from '../harness/processes.js';
import { DESKTOP, screenshot } from '../harness/browser.js';
import { ask, endReason, field, items } from '../harness/api.js';
import { leave, open, sessionOf, waitForView } from '../harness/play.js';
import { Program } from '../harness/program.js';
import { inPage, scenario, separately } from '../harness/scenario.js';
import { until } from '../harness/wait.js';

/** A node silent for 3 s is lost (protocol/src/link.rs); twice that, and some for the page. */
const LOST_LIMIT_MS = 8_000;
const ENDED_LIMIT_MS = 5_000;
const READY_LIMIT_MS = 20_000;

scenario('leaving ends the session as the player leaving', async ({ page, base }) => {
  await open(page, base, 'testcard');
  const session = await sessionOf(page);
  await leave(page);
  assert.equal(await endReason(page, session, ENDED_LIMIT_MS), 'player_left');
  await page.getByRole('button', { name: 'Play again' }).waitFor();
  await screenshot(page, 'ended-desktop');
});

scenario('playing again after leaving works in the same page', async ({ page, base }) => {
  await open(page, base, 'testcard');
  const first = await sessionOf(page);
  await leave(page);
  await page.getByRole('button', { name: 'Play again' }).click();
  await waitForView(page, 'playing', READY_LIMIT_MS);
  assert.notEqual(await sessionOf(page), first);
});

scenario('closing the page ends the session', async ({ page, base, browser }) => {
  await open(page, base, 'testcard');
  const session = await sessionOf(page);
  const cookies = await page.context().cookies();
  await page.goto('about:blank');
  const other = await (await browser.newContext()).newPage();
  await other.context().addCookies(cookies);
  await other.goto(base, { waitUntil: 'commit' });
  assert.equal(await endReason(other, session, 35_000), 'player_left');
  await other.context().close();
});

scenario('a worker that crashes is told as the title failing, and the node goes on', async ({ page, base, program }) => {
  await open(page, base, 'testcard');
  const session = await sessionOf(page);
  process.kill(await busiestChild(program.pid, 1_000), 'SIGKILL');
  const ended = await waitForView(page, 'ended', ENDED_LIMIT_MS);
  assert.equal(ended.reason, 'title_failed');
  assert.match(ended.message ?? '', /start it again/i);
  assert.equal(await endReason(page, session, ENDED_LIMIT_MS), 'title_failed');
  await page.getByRole('button', { name: 'Play again' }).click();
  await waitForView(page, 'playing', READY_LIMIT_MS);
});

separately('a node that dies mid-game is told, and nothing of it goes on running', async (browser, t) => {
  const matchmaker = Program.start('matchmaker', '--listen', '127.0.0.1:0');
  t.after(() => matchmaker.discard());
  const address = await matchmaker.line(/^enrol nearframe node --matchmaker (\S+)/);
  const code = await matchmaker.line(/--enrolment-code (\S+)$/);
  const base = await matchmaker.line(/^listening (http:\/\/\S+)$/);
  const node = Program.start('node', '--matchmaker', address, '--enrolment-code', code);
  t.after(() => node.discard());
  await until('the node offers titles', READY_LIMIT_MS, async () =>
    items((await ask(base, '/v1/titles')).body).some((title) => field(title, 'available') === true) ? true : undefined,
  ).catch((error: unknown) => {
    t.diagnostic(`the node's last words:\n${node.log}`);
    throw error;
  });
  await inPage('a node that dies', { base, browser, t, program: matchmaker }, DESKTOP, async ({ page }) => {
    await open(page, base, 'testcard');
    const session = await sessionOf(page);
    assert(children(node.pid).length > 0);
    await node.kill();
    const ended = await waitForView(page, 'ended', LOST_LIMIT_MS);
    assert.equal(ended.reason, 'node_lost');
    assert.match(await page.locator('body').innerText(), /went away/);
    await page.getByRole('button', { name: 'Play again' }).waitFor();
    await screenshot(page, 'node-lost-desktop');
    assert.equal(await endReason(page, session, ENDED_LIMIT_MS), 'node_lost');
  });
  await matchmaker.stop();
});

separately('stopping the program tells the player and leaves nothing behind', async (browser, t) => {
  const { program, base } = await Program.up();
  t.after(() => program.discard());
  await inPage('a drain', { base, browser, t, program }, DESKTOP, async ({ page }) => {
    await open(page, base, 'testcard');
    const stopped = program.stop();
    const ended = await waitForView(page, 'ended', ENDED_LIMIT_MS);
    assert.equal(ended.reason, 'drained');
    assert.match(ended.message ?? '', /shutting down/);
    await stopped;
  });
});
