/** Quantiles of a whole evening in fixed memory: values are counted to half a millisecond. */

const STEP_MS = 0.5;
/** Four seconds; what is later counts as that. */
const STEPS = 8_000;

export interface Spread {
  readonly p50: number;
  readonly p95: number;
}

export class Histogram {
  readonly #counts = new Uint32Array(STEPS);
  #total = 0;

  push(value_ms: number): void {
    const step = Math.min(STEPS - 1, Math.max(0, Math.floor(value_ms / STEP_MS)));
    this.#counts[step] = (this.#counts[step] ?? 0) + 1;
    this.#total += 1;
  }

  /** Middle of the step that the quantiles lie in; `undefined` where nothing was measured. */
  get spread(): Spread | undefined {
    return this.#total === 0 ? undefined : { p50: this.#at(0.5), p95: this.#at(0.95) };
  }

  #at(p: number): number {
    const rank = Math.max(1, Math.ceil(p * this.#total));
    let seen = 0;
    const step = this.#counts.findIndex((count) => (seen += count) >= rank);
    return (step + 0.5) * STEP_MS;
  }
}
