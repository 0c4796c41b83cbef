/** Hears a page: what its own `<audio>` element plays, beside what its picture shows at that time. */

import type { Page } from 'playwright-core';

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
    const Processor = (window as unknown as { MediaStreamTrackProcessor: new (init: { track: MediaStreamTrack }) => { readable: ReadableStream<AudioData> } })
      .MediaStreamTrackProcessor;
    const reader = new Processor({ track: track.clone() }).readable.getReader();
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
    // A gap of three windows ends a tone; a single one is the codec's.
    count = sounds ? 0 : count + 1;
    quiet = tones.length === 0 || count >= 3;
  }
  const flashes = pictures.filter(([, lit], i) => lit && pictures[i - 1]?.[1] === false).map(([at_ms]) => Math.round(at_ms));
  return { tones, flashes };
}
