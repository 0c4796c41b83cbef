/** What a program plays is heard, and silence costs nothing. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { numberIn, shows } from '../harness/cells.js';
import { heard, listen } from '../harness/ears.js';
import { open } from '../harness/play.js';
import { probeScenario } from '../harness/scenario.js';
import { sleep } from '../harness/wait.js';

const BEEPS = 4;
/** Between presses: longer than a beep with what the network may add. */
const PAUSE_MS = 600;
const SHOWN_LIMIT_MS = 6_000;
/** A beep lasts 100 ms (benches/probe/src/play/beep.rs); the codec's edges blur. */
const BEEP_MS = [60, 180] as const;
/** Twice what sound may take behind the picture on a machine that does all of it itself. */
const APART_MS = 1_000;
/** Packets of 10 ms without DTX; with it, one in 400 ms keeps the line. */
const SILENT_MS = 3_000;
const SILENT_PACKETS_MAX = SILENT_MS / 100;

probeScenario('every beep of a program is heard, and goes with its flash', async ({ page, base }) => {
  await open(page, base, 'probe-beep');
  await shows(page, 'no beep yet', SHOWN_LIMIT_MS, (seen) => seen.number(2) === 0 && seen.all([0, 15], [6, 8], 'black'));
  await listen(page);
  await sleep(PAUSE_MS);
  for (let beep = 0; beep < BEEPS; beep += 1) {
    await page.keyboard.press('KeyB', { delay: 40 });
    await sleep(PAUSE_MS);
  }
  await shows(page, `${BEEPS} beeps`, SHOWN_LIMIT_MS, (seen) => seen.number(2) === BEEPS);
  const { tones, flashes } = await heard(page);
  const told = `heard ${JSON.stringify(tones)}, seen ${JSON.stringify(flashes)}`;
  assert.equal(flashes.length, BEEPS, told);
  assert.equal(tones.length, BEEPS, told);
  tones.forEach(({ at_ms, lasts_ms }, i) => {
    assert(lasts_ms >= BEEP_MS[0] && lasts_ms <= BEEP_MS[1], told);
    assert(Math.abs(at_ms - (flashes[i] ?? 0)) < APART_MS, told);
  });
});

probeScenario('silence sends next to nothing', async ({ page, base, t }) => {
  await open(page, base, 'probe-beep');
  await numberIn(page, 2, SHOWN_LIMIT_MS);
  // What the sound server plays while a program opens its stream is over.
  await sleep(1_000);
  const before = await received(page);
  await sleep(SILENT_MS);
  const after = await received(page);
  const packets = after.packets - before.packets;
  t.diagnostic(`${packets} packets and ${after.bytes - before.bytes} bytes of silence in 3 s`);
  assert(packets <= SILENT_PACKETS_MAX, `${packets} packets of silence in 3 s`);
  await page.keyboard.press('KeyB', { delay: 40 });
  await sleep(500);
  assert((await received(page)).packets > after.packets + 3, 'no sound after the silence');
});

/** Sound that has arrived so far. */
function received(page: Page): Promise<{ packets: number; bytes: number }> {
  return page.evaluate(async () => {
    const report = await window.nearframeProbe.connections.at(-1)?.getStats();
    const rows = [...(report?.values() ?? [])] as { type: string; kind?: string; packetsReceived?: number; bytesReceived?: number }[];
    const audio = rows.find((row) => row.type === 'inbound-rtp' && row.kind === 'audio');
    return { packets: audio?.packetsReceived ?? 0, bytes: audio?.bytesReceived ?? 0 };
  });
}
