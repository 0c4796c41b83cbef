/** The node's clock as this page sees it, from pings: the offset of the fastest recent round trip. */

/** Samples kept: 8 s at four pings a second, short enough for clock drift to stay below 1 ms. */
const SAMPLES = 32;

interface Sample {
  readonly rtt_ms: number;
  /** Node clock − page clock. */
  readonly offset_ms: number;
}

export class NodeClock {
  #samples: Sample[] = [];
  #best: Sample | undefined;

  /** A pong: the page's clock when the ping left, the node's clock, the page's clock now. */
  pong(sent_ms: number, node_us: bigint, now_ms: number): void {
    const rtt_ms = now_ms - sent_ms;
    if (rtt_ms < 0) return;
    this.#samples.push({ rtt_ms, offset_ms: Number(node_us) / 1000 - (sent_ms + now_ms) / 2 });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    this.#best = this.#samples.reduce((best, sample) => (sample.rtt_ms < best.rtt_ms ? sample : best));
  }

  /** A node time on the page's clock; `undefined` before the first pong. */
  toPage(node_us: bigint): number | undefined {
    return this.#best === undefined ? undefined : Number(node_us) / 1000 - this.#best.offset_ms;
  }

  /** The fastest recent round trip; its half bounds the clock's error. */
  get rtt_ms(): number | undefined {
    return this.#best?.rtt_ms;
  }

  /** Another node, another clock. */
  reset(): void {
    this.#samples = [];
    this.#best = undefined;
  }
}
