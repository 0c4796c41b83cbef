/** Recent values: percentiles over a sliding window, and a longer log for benches. Memory is fixed. */

/** Ten seconds at 60 per second. */
const WINDOW = 600;
/** Nine minutes at 60 per second. */
const LOG = 32_768;

/** The value below which the share `p` (0..1) of `values` lies; `undefined` for none. */
export function percentile(values: readonly number[], p: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))];
}

export interface Quantiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly count: number;
}

/** A ring of the newest `capacity` values. */
export class Ring {
  readonly #values: Float64Array;
  #count = 0;

  constructor(capacity: number = LOG) {
    this.#values = new Float64Array(capacity);
  }

  push(value: number): void {
    this.#values[this.#count % this.#values.length] = value;
    this.#count += 1;
  }

  /** How many were ever pushed. */
  get total(): number {
    return this.#count;
  }

  /** The newest `limit` values, oldest first. */
  newest(limit: number = this.#values.length): number[] {
    const capacity = this.#values.length;
    const length = Math.min(limit, this.#count, capacity);
    return Array.from({ length }, (_, i) => this.#values[(this.#count - length + i) % capacity] ?? 0);
  }

  /** Over the newest ten seconds' worth; `undefined` where nothing was measured. */
  quantiles(window: number = WINDOW): Quantiles | undefined {
    const values = this.newest(window).sort((a, b) => a - b);
    const at = (p: number): number | undefined => values[Math.min(values.length - 1, Math.floor(p * values.length))];
    const [p50, p95, p99] = [at(0.5), at(0.95), at(0.99)];
    if (p50 === undefined || p95 === undefined || p99 === undefined) return undefined;
    return { p50, p95, p99, count: values.length };
  }
}
