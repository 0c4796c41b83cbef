/** Programs of the system as they are: OpenGL, Vulkan, and games that only know X11. */

import assert from 'node:assert/strict';
import { difference, open, picture, view } from '../harness/play.js';
import { probeScenario } from '../harness/scenario.js';
import { sleep, until } from '../harness/wait.js';

/** Mean difference per channel that no still picture reaches. */
const MOVED = 0.5;
const DRAWN_LIMIT_MS = 10_000;
const PRESS_MS = 120;

for (const [title, what] of [['gl', 'OpenGL on Wayland'], ['vulkan', 'Vulkan on Wayland'], ['gl-x11', 'OpenGL on X11']] as const) {
  probeScenario(`a program with ${what} draws, and goes on drawing`, async ({ page, base }) => {
    await open(page, base, title);
    for (let turn = 0; turn < 3; turn += 1) {
      const before = await picture(page);
      await until('the picture moves', DRAWN_LIMIT_MS, async () => (difference(before, await picture(page)) > MOVED ? true : undefined));
      await sleep(300);
    }
    assert.equal((await view(page)).kind, 'playing');
  });
}

probeScenario('a game that only knows X11 plays and takes keys', async ({ page, base }) => {
  await open(page, base, 'doom-x11');
  await until('the game shows its title', DRAWN_LIMIT_MS, async () => ((await picture(page)).some((level) => level > 100) ? true : undefined));
  await sleep(500);
  // The title stands still until its menu opens.
  const title = await picture(page);
  await until('the menu opens', DRAWN_LIMIT_MS, async () => {
    await page.keyboard.press('Enter', { delay: PRESS_MS });
    await sleep(300);
    return difference(title, await picture(page)) > 2 ? true : undefined;
  });
});
