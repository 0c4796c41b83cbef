/**
 * What a play looked like, second by second, and the report made of it when it ends.
 * Pure: samples come in, figures and advice go out. A figure that was not measured is `undefined`.
 */
import { percentile } from './percentile';

/** One second of play. */
export interface Sample {
  /** Time with a picture since the start, seconds. */
  readonly playedS: number;
  /** Interruptions survived since the start. */
  readonly reconnections: number;
  /** Frames shown. */
  readonly fps: number | undefined;
  /** Median age of a frame when shown, ms. */
  readonly frameAgeMs: number | undefined;
  /** Median time from an input to the first picture that answers it, ms. */
  readonly inputVisibleMs: number | undefined;
  /** Media received, bits per second. */
  readonly bitrateBps: number | undefined;
  /** Share of packets lost, 0 to 1. */
  readonly lossRatio: number | undefined;
  /** Round trip to the node, ms. */
  readonly rttMs: number | undefined;
}

/** A measure that may be missing from a sample. */
export type Measure = Exclude<keyof Sample, 'playedS' | 'reconnections'>;

/** Single values, where the player kept them: exact percentiles need them, a sample holds only medians. */
export interface RawValues {
  readonly frameAgesMs: readonly number[];
  readonly inputVisibleMs: readonly number[];
}

/** Median and slow end of a series. */
export interface Spread {
  readonly p50: number;
  readonly p95: number;
}

/** How a play went. */
export interface Report {
  readonly seconds: number;
  /** Median, and what was held for 95% of the time. */
  readonly fps: Spread | undefined;
  readonly frameAgeMs: Spread | undefined;
  readonly inputVisibleMs: Spread | undefined;
  readonly bitrateBps: Spread | undefined;
  readonly advice: readonly string[];
}

/** Twenty minutes at one sample a second; past this, neighbours are merged, so that memory stays bounded. */
const MAX_SAMPLES = 1200;

/** Collects samples; a long play is thinned, never cut off. */
export class PlayLog {
  #samples: Sample[] = [];
  #every = 1;
  #skipped = 0;
  #playedS = 0;
  #reconnections = 0;

  /** Adds one second; one without a picture tells of the network or the machine, not of the stream, and is left out. */
  add(sample: Sample): void {
    const played = sample.playedS > this.#playedS;
    this.#playedS = sample.playedS;
    this.#reconnections = sample.reconnections;
    if (!played) return;
    this.#skipped += 1;
    if (this.#skipped < this.#every) return;
    this.#skipped = 0;
    this.#samples.push(sample);
    if (this.#samples.length < MAX_SAMPLES) return;
    this.#samples = this.#samples.filter((_, index) => index % 2 === 0);
    this.#every *= 2;
  }

  /** One measure over time, oldest first, without the seconds that were not measured. */
  series(measure: Measure): number[] {
    return this.#samples.map((sample) => sample[measure]).filter((value) => value !== undefined);
  }

  /** Sums up. */
  report(raw: RawValues): Report {
    const fps = spread(this.series('fps'), 0.05);
    const rtt = spread(this.series('rttMs'), 0.95);
    const loss = spread(this.series('lossRatio'), 0.95);
    const inputVisibleMs = spread(raw.inputVisibleMs, 0.95);
    return {
      seconds: this.#playedS,
      fps,
      frameAgeMs: spread(raw.frameAgesMs, 0.95),
      inputVisibleMs,
      bitrateBps: spread(this.series('bitrateBps'), 0.95),
      advice: adviceFor({ fps, rtt, loss, inputVisibleMs, reconnections: this.#reconnections }),
    };
  }
}

/** `tail` is the share where the bad end lies: 0.95 where less is better, 0.05 where more is better. */
function spread(values: readonly number[], tail: number): Spread | undefined {
  const p50 = percentile(values, 0.5);
  const p95 = percentile(values, tail);
  return p50 === undefined || p95 === undefined ? undefined : { p50, p95 };
}

interface Findings {
  readonly fps: Spread | undefined;
  readonly rtt: Spread | undefined;
  readonly loss: Spread | undefined;
  readonly inputVisibleMs: Spread | undefined;
  readonly reconnections: number;
}

/** Above these, players in the field report lag, blur or stutter. */
const FAR_RTT_MS = 40;
const UNSTEADY_RTT_MS = 30;
const HIGH_LOSS = 0.02;
const LOW_FPS = 50;
const SLOW_INPUT_MS = 80;

function adviceFor({ fps, rtt, loss, inputVisibleMs, reconnections }: Findings): string[] {
  const advice: string[] = [];
  if (reconnections > 0) {
    const often = reconnections === 1 ? 'once' : `${reconnections} times`;
    advice.push(`Your network went away ${often} and came back. Stay on one network while you play.`);
  }
  if (loss && loss.p95 > HIGH_LOSS) {
    advice.push('Packets were lost on the way. Move closer to your Wi-Fi router, use its 5 GHz network, or a cable.');
  }
  if (rtt && rtt.p95 - rtt.p50 > UNSTEADY_RTT_MS) {
    advice.push('The delay of your network jumped. A download or a video call on the same network often causes that.');
  }
  if (rtt && rtt.p50 > FAR_RTT_MS) {
    advice.push('The machine was far away for your network. Close a VPN if you use one.');
  }
  if (fps && fps.p95 < LOW_FPS && advice.length === 0) {
    advice.push('Fewer frames were shown than sent. Close other pages and programs, and switch off low power mode.');
  }
  if (inputVisibleMs && inputVisibleMs.p50 > SLOW_INPUT_MS && advice.length === 0) {
    advice.push('Answers to your input came late although the network was quick. A display in game mode helps.');
  }
  return advice;
}
