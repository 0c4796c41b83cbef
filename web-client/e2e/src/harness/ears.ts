/** Hears a page: what its own `<audio>` element plays, beside what its picture shows at that time. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { sleep, until } from './wait.js';

const HEARD_LIMIT_MS = 6_000;
/** Longer than a beep, with what a slow machine adds to it. */
const QUIET_MS = 900;

/** A stretch of 1 kHz, by `performance.now()`. */
export interface Tone {
  readonly at_ms: number;
  readonly lasts_ms: number;
}

interface Ears {
  /** `[at_ms, loudness of 1 kHz, loudness of all]` of every window. */
  readonly windows: [number, number, number][];
  /** `[at_ms, lit]` of every picture. */
  readonly pictures: [number, boolean][];
}

/** Begins to listen, and to look at the rows that flash. */
export async function listen(page: Page): Promise<void> {
  await page.evaluate(() => {
    const TONE_HZ = 1_000;
    /** Windows of 10 ms hold ten periods. */
    const WINDOW_S = 0.01;
    const element = document.querySelector('near-frame')?.shadowRoot?.querySelector('audio');
    const { video } = window.nearframeProbe;
    const [track] = element?.srcObject instanceof MediaStream ? element.srcObject.getAudioTracks() : [];
    if (element === null || element === undefined || track === undefined || video === undefined) throw new Error('the page plays no sound');
    if (element.paused || element.muted) throw new Error('the page’s sound is off');
    const ears: Ears = { windows: [], pictures: [] };
    Object.assign(window, { ears });

    /** Loudness of the tone (Goertzel) and of everything, both as RMS. */
    const measure = (samples: Float32Array, rate: number): [number, number] => {
      const coefficient = 2 * Math.cos((2 * Math.PI * TONE_HZ) / rate);
      let [before, last, power] = [0, 0, 0];
      for (const sample of samples) {
        [before, last] = [last, sample + coefficient * last - before];
        power += sample * sample;
      }
      const tone = before * before + last * last - coefficient * before * last;
      return [Math.sqrt(Math.max(0, 2 * tone)) / samples.length, Math.sqrt(power / samples.length)];
    };
    const Processor = (window as unknown as { MediaStreamTrackProcessor: new (init: { track: MediaStreamTrack; maxBufferSize: number }) => { readable: ReadableStream<AudioData> } })
      .MediaStreamTrackProcessor;
    // Two seconds: a page that is busy drawing must not lose what it is to hear.
    const reader = new Processor({ track: track.clone(), maxBufferSize: 200 }).readable.getReader();
    let rest = new Float32Array();
    const take = async (): Promise<void> => {
      const { value, done } = await reader.read();
      if (done) return;
      const arrived = performance.now();
      const { sampleRate: rate, numberOfFrames } = value;
      const fresh = new Float32Array(rest.length + numberOfFrames);
      fresh.set(rest);
      value.copyTo(fresh.subarray(rest.length), { planeIndex: 0, format: 'f32-planar' });
      value.close();
      const length = Math.round(rate * WINDOW_S);
      let start = 0;
      for (; start + length <= fresh.length; start += length) {
        const behind_ms = ((fresh.length - start) * 1_000) / rate;
        ears.windows.push([arrived - behind_ms, ...measure(fresh.subarray(start, start + length), rate)]);
      }
      rest = fresh.slice(start);
      await take();
    };
    take().catch(() => undefined);

    const dot = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const look = (at_ms: number): void => {
      video.requestVideoFrameCallback(look);
      dot?.drawImage(video, 0, (video.videoHeight * 7) / 9, video.videoWidth, video.videoHeight / 9, 0, 0, 1, 1);
      ears.pictures.push([at_ms, (dot?.getImageData(0, 0, 1, 1).data[1] ?? 0) > 127]);
    };
    video.requestVideoFrameCallback(look);
  });
}

/** The tones and the beginnings of flashes since `listen`. */
export async function heard(page: Page): Promise<{ tones: readonly Tone[]; flashes: readonly number[] }> {
  const { windows, pictures } = await page.evaluate(() => (window as unknown as { ears: Ears }).ears);
  const tones: { at_ms: number; lasts_ms: number }[] = [];
  let [quiet, count] = [true, 0];
  for (const [at_ms, tone, all] of windows) {
    const sounds = tone > 0.05 && tone > 0.7 * all;
    if (sounds && quiet) tones.push({ at_ms: Math.round(at_ms), lasts_ms: 0 });
    const last = tones.at(-1);
    if (sounds && last !== undefined) last.lasts_ms = Math.round(at_ms + 10 - last.at_ms);
    // What is lost on the way leaves short holes in a tone; half a second ends it.
    count = sounds ? 0 : count + 1;
    quiet = tones.length === 0 || count >= 50;
  }
  const flashes = pictures.filter(([, lit], i) => lit && pictures[i - 1]?.[1] === false).map(([at_ms]) => Math.round(at_ms));
  return { tones, flashes };
}

/**
 * Each press is one tone, and there is none without: until `count` were heard. Where sound is not what is tested and the
 * machine is full on purpose, `spare` presses may go unheard, and what is heard may have a hole.
 */
export async function assertBeeps(page: Page, count: number, spare = 0): Promise<{ readonly tones: readonly Tone[]; readonly presses: number }> {
  const before = (await heard(page)).tones.length;
  const since = async (): Promise<number> => (await heard(page)).tones.length - before;
  let [told, presses] = [0, 0];
  while (told < count) {
    assert(presses < count + spare, `of ${presses} beeps only ${told} were heard`);
    presses += 1;
    await page.keyboard.press('KeyB', { delay: 40 });
    await until('a beep is heard', HEARD_LIMIT_MS, async () => ((await since()) > told ? true : undefined)).catch(() => undefined);
    await sleep(QUIET_MS);
    const now = await since();
    // On a machine that is full on purpose a tone may be torn in two.
    const most = spare > 0 ? 2 : 1;
    assert(now <= told + most, 'a tone is heard without a press');
    told = now;
  }
  return { tones: (await heard(page)).tones.slice(before), presses };
}
