/** As many sessions as a node has slots, each with its own title; and the end of all of them at once. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { ask, field, items } from '../harness/api.js';
import { openPage, SMALL } from '../harness/browser.js';
import { shows } from '../harness/cells.js';
import { assertBeeps, heard, listen } from '../harness/ears.js';
import { kept, open, view, waitForView, watch } from '../harness/play.js';
import { commandLine, descendants, ticks, titleProcess } from '../harness/processes.js';
import { Program } from '../harness/program.js';
import { inPage, probeTitles, separately } from '../harness/scenario.js';
import { sleep, until } from '../harness/wait.js';

const SHOWN_LIMIT_MS = 8_000;
const ENDED_LIMIT_MS = 8_000;
const FROZEN_LIMIT_MS = 12_000;

separately('a node full of titles: each plays its own, one more waits in line, and nothing stays behind', async (browser, t) => {
  const { program, base } = await Program.up('--titles', probeTitles(), '--slots', '4');
  t.after(() => program.discard());
  await inPage('a full node', { program, base, browser, t }, SMALL, async ({ page: beep }) => {
    const others = await Promise.all(['probe-slow', 'probe-save', 'probe-x11'].map(async () => (await openPage(browser, SMALL)).page));
    const [slow, save, x11] = others;
    assert(slow !== undefined && save !== undefined && x11 !== undefined);
    await open(beep, base, 'probe-beep');
    await open(slow, base, 'probe-slow');
    await open(save, base, 'probe-save');
    await open(x11, base, 'probe-x11');
    const [node] = items((await ask(base, '/v1/nodes')).body);
    assert.equal(field(node, 'busy'), 4);

    // A key of one player reaches that player's title alone, and so does its sound.
    await Promise.all([listen(beep), listen(save)]);
    const { presses } = await assertBeeps(beep, 1, 3);
    await shows(beep, 'its beeps', SHOWN_LIMIT_MS, (seen) => seen.mode?.mode === 17 && seen.number(2) === presses);
    await shows(save, 'no key', SHOWN_LIMIT_MS, (seen) => seen.mode?.mode === 18 && seen.number(2) === 0);
    assert.deepEqual((await heard(save)).tones, [], 'a beep is heard in another session');
    for (const page of [beep, save, x11]) {
      await until('its pictures go on', SHOWN_LIMIT_MS, async () => ((await watch(page, 1_000)).stamps.length > 5 ? true : undefined));
    }

    const { page: late } = await openPage(browser, SMALL);
    await late.goto(new URL('play/probe-stamp?start=1', base).href, { waitUntil: 'commit' });
    await late.getByText('You are number 1 in the queue').first().waitFor({ timeout: SHOWN_LIMIT_MS });
    await late.context().close();

    // One of them is frozen when all end: its player went away.
    await goesAway(slow, program, 'slow');
    const below = descendants(program.pid).map(commandLine).join('\n');
    for (const what of [/bwrap/, /pulseaudio/, /Xwayland/, /\/title\/game beep/]) assert.match(below, what);
    await program.stop();
    for (const page of [beep, save, x11]) {
      const ended = await waitForView(page, 'ended', ENDED_LIMIT_MS);
      assert.equal(ended.reason, 'drained');
    }
    assert.equal((await view(beep)).kind, 'ended');
    for (const page of others) await page.context().close();
  });
});

separately('a node that is killed takes its titles with it, a frozen one too', async (browser, t) => {
  const { program, base } = await Program.up('--titles', probeTitles(), '--slots', '2');
  t.after(() => program.discard());
  await inPage('a killed node', { program, base, browser, t }, SMALL, async ({ page }) => {
    const { page: other } = await openPage(browser, SMALL);
    await open(page, base, 'probe-x11');
    await open(other, base, 'probe-save');
    await goesAway(other, program, 'save');
    await program.kill();
    await other.context().close();
  });
  // What the killed node could not remove itself, the next title does.
  const { program: next, base: anew } = await Program.up('--titles', probeTitles(), '--slots', '1');
  t.after(() => next.discard());
  await inPage('after a killed node', { program: next, base: anew, browser, t }, SMALL, async ({ page }) => {
    await open(page, anew, 'probe-stamp');
    await program.groupsGone();
  });
  await next.stop();
});

/** Closes the page, and waits until its title gets no processor time. */
async function goesAway(page: Page, program: Program, mode: string): Promise<void> {
  const left = titleProcess(program.pid, `/title/game ${mode}`);
  await kept(page);
  await page.goto('about:blank');
  await until('the title of the player who went away stands still', FROZEN_LIMIT_MS, async () => {
    const before = ticks(left);
    await sleep(1_500);
    return before !== undefined && ticks(left) === before ? true : undefined;
  });
}
