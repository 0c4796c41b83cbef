/** A title in HDR10 for a player who cannot see that: the same picture in standard range. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DESKTOP } from '../harness/browser.js';
import { listens, open, watch } from '../harness/play.js';
import { Program } from '../harness/program.js';
import { inPage, separately } from '../harness/scenario.js';

const TITLE = `id = "wide"
name = "Wide"
version = "1"
[run]
kind = "builtin"
builtin = "testcard"
hdr = { peak_nits = 1000 }
`;
/** Side of a patch at 1280×720, and where the row of them begins: docs/testcard.md. */
const SIDE = 60;
const TOP = 240;
/** Red, green and blue in sRGB of the greys and primaries, tone-mapped from 1000 cd/m² (ITU-R BT.2390-11, 5.4.1). */
const GREYS = [0, 15, 63, 186, 229, 250, 255, 255].map((level) => [level, level, level]);
const PATCHES = [...GREYS, [255, 0, 0], [0, 242, 0], [0, 0, 241]];
/** What the encoder's steps and the browser's way back from BT.709 leave. */
const NEAR = 14;
const READABLE = 0.99;

separately('a title in HDR10 is seen in standard range where display and browser have no more', async (browser, t) => {
  const titles = mkdtempSync(join(tmpdir(), 'nearframe-wide-'));
  t.after(() => rmSync(titles, { recursive: true }));
  mkdirSync(join(titles, 'wide'));
  writeFileSync(join(titles, 'wide', 'title.toml'), TITLE);
  const { program, base } = await Program.up('--titles', titles, '--slots', '1');
  t.after(() => program.discard());
  await inPage('hdr', { browser, t, program, base }, DESKTOP, async ({ page }) => {
    await open(page, base, 'wide');
    await listens(page);
    const { shown, unreadable } = await watch(page, 3_000);
    assert(shown > 0 && unreadable <= shown * (1 - READABLE), `${unreadable} of ${shown} frames carry no whole stamp`);
    for (const [number, wanted] of PATCHES.entries()) {
      const place = { x: SIDE * (number + 1) + SIDE / 2 - 8, y: TOP + SIDE / 2 - 8 };
      const got = await page.evaluate(({ x, y }) => window.nearframeProbe.colour(x, y, 16), place);
      const off = wanted.map((level, channel) => Math.abs(level - (got[channel] ?? Number.NaN)));
      assert(
        off.every((steps) => steps <= NEAR),
        `patch ${number} is ${got.join(', ')} instead of ${wanted.join(', ')}`,
      );
    }
  });
  await program.stop();
});
