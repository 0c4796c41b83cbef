/**
 * What a play looked like, second by second, for the curves of the report when it ends. What it was like as a
 * whole, and what would make it better, is the player's to say. Pure; a figure that was not measured is `undefined`.
 */
import { percentile } from './percentile';

/** One second of play. */
export interface Sample {
  /** Time with a picture since the start, seconds. */
  readonly playedS: number;
  /** Frames shown. */
  readonly fps: number | undefined;
  /** Median age of a frame when shown, ms. */
  readonly frameAgeMs: number | undefined;
  /** Median time from an input to the first picture that answers it, ms. */
  readonly inputVisibleMs: number | undefined;
  /** Media received, bits per second. */
  readonly bitrateBps: number | undefined;
}

/** A measure that may be missing from a sample. */
export type Measure = Exclude<keyof Sample, 'playedS'>;

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
  readonly bitrateBps: Spread | undefined;
}

/** Twenty minutes at one sample a second; past this, neighbours are merged, so that memory stays bounded. */
const MAX_SAMPLES = 1200;

/** Collects samples; a long play is thinned, never cut off. */
export class PlayLog {
  #samples: Sample[] = [];
  #every = 1;
  #skipped = 0;
  #playedS = 0;

  /** Adds one second; one without a picture tells of the network or the machine, not of the stream, and is left out. */
  add(sample: Sample): void {
    const played = sample.playedS > this.#playedS;
    this.#playedS = sample.playedS;
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
  report(): Report {
    return {
      seconds: this.#playedS,
      fps: spread(this.series('fps'), 0.05),
      bitrateBps: spread(this.series('bitrateBps'), 0.95),
    };
  }
}

/** `tail` is the share where the bad end lies: 0.95 where less is better, 0.05 where more is better. */
function spread(values: readonly number[], tail: number): Spread | undefined {
  const p50 = percentile(values, 0.5);
  const p95 = percentile(values, tail);
  return p50 === undefined || p95 === undefined ? undefined : { p50, p95 };
}
