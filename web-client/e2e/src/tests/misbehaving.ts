/** Titles that behave badly: their player is told the truth, and nobody else notices. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { cells, phase, shows } from '../harness/cells.js';
import { assertBeeps, listen } from '../harness/ears.js';
import { leave, open, view, waitForView, watch } from '../harness/play.js';
import { descendants, titleProcess } from '../harness/processes.js';
import { probeScenario, withSecondPlayer, type Scene } from '../harness/scenario.js';
import { sleep, until } from '../harness/wait.js';

const SHOWN_LIMIT_MS = 6_000;
/** A program that fills half a GiB page by page on a loaded machine takes its time. */
const ENDED_LIMIT_MS = 30_000;
/** A session that has ended leaves nothing running; twice what a loaded machine takes. */
const GONE_LIMIT_MS = 6_000;
const LOOK_MS = 2_000;
/** Share of its own frames that a witness keeps beside any title: two processors play, encode and show both. */
const KEPT_SHARE = 0.6;
/** A machine that is busy with something else for a moment is looked at again; what a title does lasts. */
const LOOKS_MAX = 4;

/** Pictures of the title itself in a second. */
async function rate(page: Page): Promise<number> {
  return ((await watch(page, LOOK_MS)).stamps.length * 1_000) / LOOK_MS;
}

/** The rate beside a title: that of the first look at which it is kept, else the best. */
async function rateBeside(page: Page, before: number): Promise<number> {
  let best = 0;
  for (let look = 0; look < LOOKS_MAX && best < KEPT_SHARE * before; look += 1) best = Math.max(best, await rate(page));
  return best;
}

async function starts(page: Page, base: string, title: string): Promise<void> {
  await page.goto(new URL(`play/${title}?start=1`, base).href, { waitUntil: 'commit' });
}

async function endsAs(page: Page, reason: string, says: RegExp): Promise<void> {
  const ended = await waitForView(page, 'ended', ENDED_LIMIT_MS);
  assert.equal(ended.reason, reason);
  assert.match(ended.message ?? '', says);
  await page.getByRole('button', { name: 'Play again' }).waitFor();
}

interface Misbehaviour {
  readonly title: string;
  readonly does: string;
  /** What its own player sees, while the witness is looked at. */
  readonly seen: (page: Page, base: string) => Promise<void>;
}

/** It plays, and its picture is the probe's. */
const goesOn = async (page: Page, base: string, title: string): Promise<void> => {
  await open(page, base, title);
  await shows(page, 'the title', SHOWN_LIMIT_MS, (now) => now.mode !== undefined);
};

const ALL: readonly Misbehaviour[] = [
  {
    title: 'probe-crash',
    does: 'crashes',
    seen: async (page, base) => {
      await starts(page, base, 'probe-crash');
      await endsAs(page, 'title_failed', /because of an error/);
    },
  },
  {
    title: 'probe-eat',
    does: 'eats memory',
    seen: async (page, base) => {
      await starts(page, base, 'probe-eat');
      await endsAs(page, 'title_failed', /because of an error/);
    },
  },
  {
    title: 'probe-exit',
    does: 'leaves',
    seen: async (page, base) => {
      await starts(page, base, 'probe-exit');
      await endsAs(page, 'title_exited', /ended by itself/);
    },
  },
  {
    title: 'probe-hang',
    does: 'hangs',
    seen: async (page, base) => {
      await goesOn(page, base, 'probe-hang');
      await until('it draws nothing new', SHOWN_LIMIT_MS, async () => ((await watch(page, 700)).stamps.length <= 1 ? true : undefined));
      assert.notEqual((await cells(page)).mode, undefined, 'its last picture is gone');
      assert.equal((await view(page)).kind, 'playing');
    },
  },
  {
    title: 'probe-slow',
    does: 'draws five pictures a second',
    seen: async (page, base) => {
      await goesOn(page, base, 'probe-slow');
      const pictures = await rate(page);
      assert(pictures >= 3 && pictures <= 7, `${pictures} pictures a second`);
      assert.equal((await view(page)).kind, 'playing');
    },
  },
  {
    title: 'probe-flood',
    does: 'floods the compositor with pictures',
    seen: async (page, base) => {
      await goesOn(page, base, 'probe-flood');
      const pictures = await rate(page);
      assert(pictures > 5 && pictures <= 40, `${pictures} pictures a second of at most 30`);
    },
  },
  {
    title: 'probe-spin',
    does: 'burns every processor',
    seen: async (page, base) => {
      await goesOn(page, base, 'probe-spin');
      await sleep(LOOK_MS);
      assert.equal((await view(page)).kind, 'playing');
    },
  },
];

for (const { title, does, seen } of ALL) {
  probeScenario(`a title that ${does} is told as that, and the player beside it goes on with picture and sound`, async (scene) => {
    const { page: witness, base, t } = scene;
    await open(witness, base, 'probe-beep');
    await phase(witness, 0, SHOWN_LIMIT_MS);
    await listen(witness);
    await sleep(500);
    const before = await rate(witness);
    await withSecondPlayer(scene, async (page) => {
      await seen(page, base);
      const [during] = await Promise.all([rateBeside(witness, before), assertBeeps(witness, 2)]);
      t.diagnostic(`the witness: ${before} pictures a second before, ${during} beside it`);
      assert(during >= KEPT_SHARE * before, `${during} pictures a second, ${before} before`);
    });
    assert.equal((await view(witness)).kind, 'playing');
    await until('nothing of the title runs on', GONE_LIMIT_MS, () => (runs(scene, title) ? undefined : true));
  });
}

function runs({ program }: Scene, title: string): boolean {
  try {
    titleProcess(program.pid, `/title/game ${title.replace('probe-', '')}`);
    return true;
  } catch {
    return false;
  }
}

probeScenario('a title that hangs is left like any other, and nothing of it stays', async ({ page, base, program }) => {
  await open(page, base, 'probe-hang');
  await until('it draws nothing new', SHOWN_LIMIT_MS, async () => ((await watch(page, 700)).stamps.length <= 1 ? true : undefined));
  const title = titleProcess(program.pid, '/title/game hang');
  await leave(page);
  await until('the title is gone', GONE_LIMIT_MS, () => (descendants(program.pid).includes(title) ? undefined : true));
});

probeScenario('a title that tries to get out finds no way', async ({ page, base }) => {
  await open(page, base, 'probe-evil');
  const [tried, worked] = await shows(page, 'what it tried', SHOWN_LIMIT_MS, (seen) => {
    const [all, open] = [seen.number(2), seen.number(3)];
    return all !== undefined && open !== undefined ? [all, open] as const : undefined;
  });
  assert(tried >= 0x7ff, `it tried ${tried.toString(2)}`);
  assert.equal(worked, 0, `ways out, a bit each: ${worked.toString(2)}`);
  await shows(page, 'green', SHOWN_LIMIT_MS, (seen) => seen.mode?.phase === 0 && seen.all([0, 15], [6, 8], 'green'));
});
