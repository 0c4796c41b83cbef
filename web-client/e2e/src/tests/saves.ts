/** A saved game outlives its session, its worker and its node. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { field, items, session } from '../harness/api.js';
import { DESKTOP } from '../harness/browser.js';
import { numberIn, shows } from '../harness/cells.js';
import { Fleet } from '../harness/fleet.js';
import { leave, open, sessionOf, waitForView } from '../harness/play.js';
import { titleProcess, workerOf } from '../harness/processes.js';
import { inPage, probeScenario, probeTitles, separately } from '../harness/scenario.js';
import { until } from '../harness/wait.js';

const SHOWN_LIMIT_MS = 6_000;
const ENDED_LIMIT_MS = 6_000;
/** A pack leaves the node right after the title's end. */
const KEPT_LIMIT_MS = 10_000;
/** Room for a node with its titles, and for a player's home. */
const DISK_MIB = 64;
/** Where the count stands in the picture. */
const COUNT = 2;
/** The title's command line within its sandbox. */
const PROGRAM = '/title/game save';

/** Presses until the program has counted to `count`. */
async function countTo(page: Page, count: number): Promise<void> {
  for (let now = await numberIn(page, COUNT, SHOWN_LIMIT_MS); now < count; now += 1) {
    await page.keyboard.press('KeyA');
    await shows(page, `a count of ${now + 1}, kept`, SHOWN_LIMIT_MS, (seen) => seen.number(COUNT) === now + 1 && seen.mode?.phase === 0);
  }
}

interface Kept {
  readonly title: string;
  readonly version: number;
  readonly current: boolean;
}

async function saves(page: Page): Promise<Kept[]> {
  const listed = await page.evaluate(async () => (await fetch('/v1/saves')).json() as unknown);
  return items(listed).map((row) => ({ title: String(field(row, 'title')), version: Number(field(row, 'version')), current: field(row, 'current') === true }));
}

/** Waits until a version newer than `version` is the one that counts; gives it. */
function keptAfter(page: Page, version: number): Promise<number> {
  return until(`a version after ${version} is kept`, KEPT_LIMIT_MS, async () => {
    const current = (await saves(page)).find((save) => save.current && save.title === 'probe-save');
    return current !== undefined && current.version > version ? current.version : undefined;
  });
}

async function nodeOf(page: Page): Promise<string> {
  return String(field(await session(page, await sessionOf(page)), 'node_name'));
}

separately('a save survives the move to another node, and a crash there', async (browser, t) => {
  const fleet = await Fleet.start();
  t.after(() => fleet.discard());
  const titles = ['--titles', probeTitles(), '--slots', '2'] as const;
  const first = await fleet.node('first', ...titles);
  await inPage('a save on two nodes', { base: fleet.base, browser, t, program: first }, DESKTOP, async ({ page }) => {
    await open(page, fleet.base, 'probe-save');
    assert.equal(await numberIn(page, COUNT, SHOWN_LIMIT_MS), 0, 'a stranger finds a saved game');
    assert.equal(await nodeOf(page), 'first');
    await countTo(page, 5);
    await leave(page);
    const version = await keptAfter(page, 0);
    const second = await fleet.node('second', ...titles);
    await first.stop();

    await open(page, fleet.base, 'probe-save');
    assert.equal(await nodeOf(page), 'second');
    assert.equal(await numberIn(page, COUNT, SHOWN_LIMIT_MS), 5, 'the count on the second node');
    // More is played, and the worker dies in the middle of it: the last whole version counts.
    await countTo(page, 8);
    process.kill(workerOf(titleProcess(second.pid, PROGRAM), second.pid), 'SIGKILL');
    const ended = await waitForView(page, 'ended', ENDED_LIMIT_MS);
    assert.equal(ended.reason, 'title_failed');
    await open(page, fleet.base, 'probe-save');
    const count = await numberIn(page, COUNT, SHOWN_LIMIT_MS);
    assert([5, 6, 7, 8].includes(count), `a count of ${count} after the crash`);
    await countTo(page, 10);
    await leave(page);
    await keptAfter(page, version);
    await second.stop();
  });
  await fleet.matchmaker.stop();
});

probeScenario('a player finds the saved game again, and nobody else does', async ({ page, base, browser }) => {
  await open(page, base, 'probe-save');
  await countTo(page, 2);
  await leave(page);
  await keptAfter(page, 0);
  const stranger = await (await browser.newContext(DESKTOP)).newPage();
  await stranger.goto(base, { waitUntil: 'commit' });
  const answer = await stranger.evaluate(async () => (await fetch('/v1/saves')).status);
  const listed = answer === 200 ? await saves(stranger) : [];
  assert.deepEqual(listed, [], 'a stranger sees the saves');
  await stranger.context().close();
  await open(page, base, 'probe-save');
  assert.equal(await numberIn(page, COUNT, SHOWN_LIMIT_MS), 2);
});

separately('on a full disk the last whole save stays, the program is told, and play goes on', async (browser, t) => {
  if (process.getuid?.() !== 0) {
    t.skip('needs root to mount a small disk');
    return;
  }
  const fleet = await Fleet.start();
  t.after(() => fleet.discard());
  const node = await fleet.nodeOnDisk('small', DISK_MIB, '--titles', probeTitles(), '--slots', '2');
  await inPage('a full disk', { base: fleet.base, browser, t, program: node }, DESKTOP, async ({ page }) => {
    await open(page, fleet.base, 'probe-save');
    await countTo(page, 2);
    await leave(page);
    const version = await keptAfter(page, 0);
    await open(page, fleet.base, 'probe-save');
    assert.equal(await numberIn(page, COUNT, SHOWN_LIMIT_MS), 2);
    const makeRoom = node.fillDisk();
    await page.keyboard.press('KeyA');
    await shows(page, 'a count that could not be written', SHOWN_LIMIT_MS, (seen) => seen.number(COUNT) === 3 && seen.mode?.phase === 1);
    await leave(page);
    makeRoom();

    await open(page, fleet.base, 'probe-save');
    assert.equal(await numberIn(page, COUNT, SHOWN_LIMIT_MS), 2, 'the last whole save');
    await countTo(page, 4);
    await leave(page);
    await keptAfter(page, version);
  });
  await node.stop();
  await fleet.matchmaker.stop();
});

probeScenario('a program that saves when it is asked to end gets the time to', async ({ page, base }) => {
  await open(page, base, 'probe-late');
  assert.equal(await numberIn(page, COUNT, SHOWN_LIMIT_MS), 0);
  await leave(page);
  await until('what it saved last is kept', KEPT_LIMIT_MS, async () =>
    (await saves(page)).some((save) => save.current && save.title === 'probe-late') ? true : undefined,
  );
  await open(page, base, 'probe-late');
  assert.equal(await numberIn(page, COUNT, SHOWN_LIMIT_MS), 100);
});
