/** What a program plays is heard, and silence costs nothing. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { numberIn, shows } from '../harness/cells.js';
import { assertBeeps, heard, listen } from '../harness/ears.js';
import { SMALL } from '../harness/browser.js';
import { open } from '../harness/play.js';
import { frozen, isAlive, titleProcess } from '../harness/processes.js';
import { Program } from '../harness/program.js';
import { inPage, probeScenario, probeTitles, separately } from '../harness/scenario.js';
import { sleep, until } from '../harness/wait.js';

const BEEPS = 4;
const SHOWN_LIMIT_MS = 6_000;
/** A beep lasts 100 ms (benches/probe/src/play/beep.rs); the codec's edges, and what a slow machine loses, take of it. */
const BEEP_MS = [50, 300] as const;
/** Twice what sound may be apart from the picture on a machine that does all of it itself. */
const APART_MS = 1_000;
/** Packets of 10 ms without DTX; with it, one in 400 ms keeps the line. */
const SILENT_MS = 3_000;
const SILENT_PACKETS_MAX = SILENT_MS / 100;
/** The row in which the program shows the loudest of the last second, in thousandths (benches/probe/src/play/voice.rs). */
const LOUDNESS = 2;
/** A quarter of full scale is played; the codec takes little of it. */
const LOUD = 0.1;
const VOICE_MEMORY_MS = 1_200;
/** The browser's stand-in for a microphone beeps once a second, far louder than this. */
const VOICE_MIN = 20;
const VOICE_LIMIT_MS = 10_000;
/** A voice is over for the sound server after 5 s (server/title/sound/src/watch.rs). */
/** A title is drawn for 10 s to reach its menu (server/src/worker/pipeline/frame_thread.rs). */
const PREPARED_LIMIT_MS = 30_000;
const VOICE_QUIET_MS = 5_500;

probeScenario('every beep of a program is heard, and goes with its flash', async ({ page, base }) => {
  await open(page, base, 'probe-beep');
  await shows(page, 'no beep yet', SHOWN_LIMIT_MS, (seen) => seen.number(2) === 0 && seen.all([0, 15], [6, 8], 'black'));
  await listen(page);
  await sleep(1_000);
  assert.deepEqual((await heard(page)).tones, [], 'a tone is heard before a press');
  const { tones } = await assertBeeps(page, BEEPS);
  await shows(page, `${BEEPS} beeps`, SHOWN_LIMIT_MS, (seen) => seen.number(2) === BEEPS);
  const { flashes } = await heard(page);
  const told = `heard ${JSON.stringify(tones)}, seen ${JSON.stringify(flashes)}`;
  const lasts = tones.map(({ lasts_ms }) => lasts_ms).sort((a, b) => a - b);
  const median = lasts[lasts.length >> 1] ?? 0;
  assert(median >= BEEP_MS[0] && median <= BEEP_MS[1], told);
  // A slow machine may show no picture of a short flash; those that are seen go with a beep.
  assert(flashes.length > 0, told);
  for (const flash of flashes) assert(tones.some(({ at_ms }) => Math.abs(at_ms - flash) < APART_MS), told);
});

separately('a title that waited frozen is heard', async (browser, t) => {
  const { program, base } = await Program.up('--titles', probeTitles(), '--slots', '2', '--prepare', 'probe-beep');
  t.after(() => program.discard());
  const waiting = await until('the title runs before anybody plays', PREPARED_LIMIT_MS, () => {
    try {
      return titleProcess(program.pid, '/title/game beep');
    } catch {
      return undefined;
    }
  });
  await frozen(waiting, PREPARED_LIMIT_MS);
  await inPage('a prepared title', { program, base, browser, t }, SMALL, async ({ page }) => {
    await open(page, base, 'probe-beep');
    assert(isAlive(waiting), 'another program plays');
    await listen(page);
    await assertBeeps(page, 2);
  });
  await program.stop();
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

probeScenario('left is heard on the left alone', async ({ page, base }) => {
  await page.goto(new URL('play/left-only?start=1', base).href, { waitUntil: 'commit' });
  const [left, right] = await until('sound is heard', SHOWN_LIMIT_MS * 2, async () => {
    const heard = await peaks(page);
    return heard.some((peak) => peak > LOUD) ? heard : undefined;
  });
  assert(left !== undefined && right !== undefined && left > LOUD && right < left / 20, `left ${left}, right ${right}`);
});

/** The loudest of a moment on each side, 0..1. */
function peaks(page: Page): Promise<number[]> {
  return page.evaluate(async () => {
    const track = window.nearframeProbe.connections.at(-1)?.getReceivers().find((receiver) => receiver.track.kind === 'audio')?.track;
    if (track === undefined) return [];
    const context = new AudioContext();
    await context.resume();
    const sides = context.createChannelSplitter(2);
    context.createMediaStreamSource(new MediaStream([track])).connect(sides);
    const analysers = [0, 1].map((side) => {
      const analyser = context.createAnalyser();
      sides.connect(analyser, side);
      return analyser;
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const peaks = analysers.map((analyser) => {
      const samples = new Float32Array(analyser.fftSize);
      analyser.getFloatTimeDomainData(samples);
      return samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
    });
    await context.close();
    return peaks;
  });
}

probeScenario('the microphone is off until the player turns it on, and off again after', async ({ page, base }) => {
  await open(page, base, 'probe-voice');
  await numberIn(page, LOUDNESS, SHOWN_LIMIT_MS);
  await sleep(VOICE_MEMORY_MS);
  assert.equal(await numberIn(page, LOUDNESS, SHOWN_LIMIT_MS), 0, 'the program hears a player who did not ask for it');
  await press(page, 'Turn the microphone on');
  await shows(page, "the player's voice", VOICE_LIMIT_MS, (seen) => (seen.number(LOUDNESS) ?? 0) > VOICE_MIN);
  await press(page, 'Turn the microphone off');
  await shows(page, 'silence', VOICE_LIMIT_MS, (seen) => seen.number(LOUDNESS) === 0);
  // And once more, since the title's side of it was taken down meanwhile.
  await sleep(VOICE_QUIET_MS);
  await press(page, 'Turn the microphone on');
  await shows(page, 'the voice again', VOICE_LIMIT_MS, (seen) => (seen.number(LOUDNESS) ?? 0) > VOICE_MIN);
});

/** Presses a button of the bar, which shows itself when the pointer nears the upper edge. */
async function press(page: Page, name: string): Promise<void> {
  await page.mouse.move(400, 200);
  await page.mouse.move(400, 2);
  await page.getByRole('button', { name }).click();
}

/** Sound that has arrived so far. */
function received(page: Page): Promise<{ packets: number; bytes: number }> {
  return page.evaluate(async () => {
    const report = await window.nearframeProbe.connections.at(-1)?.getStats();
    const rows = [...(report?.values() ?? [])] as { type: string; kind?: string; packetsReceived?: number; bytesReceived?: number }[];
    const audio = rows.find((row) => row.type === 'inbound-rtp' && row.kind === 'audio');
    return { packets: audio?.packetsReceived ?? 0, bytes: audio?.bytesReceived ?? 0 };
  });
}
