/** A player who goes away finds the same moment again, for a while; after it, the saved game. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { endReason, session, field } from '../harness/api.js';
import { SMALL } from '../harness/browser.js';
import { numberIn, shows } from '../harness/cells.js';
import { kept, open, playing, sessionOf, watch } from '../harness/play.js';
import { descendants, frozen, isAlive, switches, titleProcess } from '../harness/processes.js';
import { inPage, probeScenario, probeTitles, separately } from '../harness/scenario.js';
import { Program } from '../harness/program.js';
import { until } from '../harness/wait.js';

const SHOWN_LIMIT_MS = 6_000;
/** A closed page is noticed by its connection. */
const FROZEN_LIMIT_MS = 12_000;
/** The titles keep their sessions for 30 s (harness/probes.ts), and the node looks once a second. */
const KEPT_LIMIT_MS = 45_000;
const COUNT = 2;
const PROGRAM = '/title/game save';
const PREPARED = '/title/game stamp';
/** A title is drawn for 10 s to reach its menu (server/src/worker/pipeline/frame_thread.rs). */
const PREPARED_LIMIT_MS = 30_000;
/** Of 30 a second; a program that began with the player has shown fewer by the time it is looked at. */
const WARM_UP_FRAMES = 200;

async function count(page: Page, presses: number): Promise<void> {
  for (let press = 0; press < presses; press += 1) {
    const before = await numberIn(page, COUNT, SHOWN_LIMIT_MS);
    await page.keyboard.press('KeyA');
    await shows(page, `a count of ${before + 1}`, SHOWN_LIMIT_MS, (seen) => seen.number(COUNT) === before + 1);
  }
}

/** The newest picture's own number. */
function frame(page: Page): Promise<number> {
  return until('a stamp is read', SHOWN_LIMIT_MS, () => page.evaluate(() => window.nearframeProbe.frames.at(-1)?.[2]));
}

probeScenario('a player who comes back finds the moment where the game was left, and later the saved game', async ({ page, base, program }) => {
  await open(page, base, 'probe-save');
  const pid = titleProcess(program.pid, PROGRAM);
  await count(page, 3);
  const id = await sessionOf(page);
  const last = await frame(page);
  await kept(page);
  await page.goto('about:blank');
  await frozen(pid, FROZEN_LIMIT_MS);

  // The same program goes on, with the picture after the one that was drawn last.
  await page.goto(base, { waitUntil: 'commit' });
  await page.getByRole('link', { name: 'Continue probe-save' }).click();
  await playing(page);
  assert.equal(await sessionOf(page), id, 'another session goes on');
  assert.equal(titleProcess(program.pid, PROGRAM), pid);
  assert.equal(await numberIn(page, COUNT, SHOWN_LIMIT_MS), 3);
  assert((await frame(page)) > last, 'the game began anew');
  await count(page, 1);

  // Nobody comes: the session ends, and all of it.
  await page.goto('about:blank');
  await frozen(pid, FROZEN_LIMIT_MS);
  await page.goto(new URL('about', base).href, { waitUntil: 'commit' });
  assert.notEqual(field(await session(page, id), 'state'), 'ended');
  assert.equal(await endReason(page, id, KEPT_LIMIT_MS), 'player_unreachable');
  await until('the frozen program is gone', SHOWN_LIMIT_MS, () => (isAlive(pid) || descendants(program.pid).includes(pid) ? undefined : true));

  await open(page, base, 'probe-save');
  assert.notEqual(await sessionOf(page), id);
  assert.equal(await numberIn(page, COUNT, SHOWN_LIMIT_MS), 4, 'the saved game');
});

separately('a prepared title waits frozen, and the first player gets that very program', async (browser, t) => {
  const { program, base } = await Program.up('--titles', probeTitles(), '--slots', '2', '--prepare', 'probe-stamp');
  t.after(() => program.discard());
  const waiting = await until('the title runs before anybody plays', PREPARED_LIMIT_MS, () => {
    try {
      return titleProcess(program.pid, PREPARED);
    } catch {
      return undefined;
    }
  });
  await frozen(waiting, PREPARED_LIMIT_MS);
  await inPage('a prepared title', { program, base, browser, t }, SMALL, async ({ page }) => {
    const before = switches(waiting) ?? 0;
    await open(page, base, 'probe-stamp');
    assert((await watch(page, 1_000)).stamps.length > 5, 'it does not go on');
    assert((switches(waiting) ?? 0) > before, 'another program plays');
    const frames = await frame(page);
    assert(frames > WARM_UP_FRAMES, `its picture ${frames} is that of a program that has just begun`);
  });
  await program.stop();
});
