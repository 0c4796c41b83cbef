/**
 * Turns a play's statistics, once a second, into what the verdict is made of. Seconds in which nobody looked at
 * the page tell nothing and are left out.
 */

import type { NetworkKind } from '../network';
import type { Quality, SessionFacts } from '../wire/control';
import type { PlayerStats, Statistics } from './snapshot';
import { StallLog } from './stalls';
import { verdict, type Signs, type Verdict } from './verdict';
import { percentile, Ring } from './window';

/** Seconds that a verdict looks back: one lost packet is no verdict, and a cured network is not blamed for long. */
const LATELY = 5;
/** Seconds among which the youngest usual frame is looked for: a path may change. */
const BASE = 120;

/** One second of a play that was seen. */
export interface Second {
  readonly seconds: number;
  readonly ages_ms: readonly number[];
  readonly inputs_ms: readonly number[];
  /** Median wait from decoder to display. */
  readonly queued_ms: number | undefined;
  readonly stalled_ms: number;
  readonly verdict: Verdict;
  /** Whether the picture is smaller or slower than the title's own; `undefined` where the node does not say. */
  readonly reduced: boolean | undefined;
}

/** Reads what a ring was given since the last time. */
class Tail {
  #seen = 0;

  take(ring: Ring): number[] {
    const fresh = ring.newest(ring.total - this.#seen);
    this.#seen = ring.total;
    return fresh;
  }
}

export class Watch {
  readonly #stalls = new StallLog();
  readonly #shown = new Tail();
  readonly #announced = new Tail();
  readonly #ages = new Tail();
  readonly #inputs = new Tail();
  readonly #queued = new Tail();
  readonly #losses = new Ring(LATELY);
  readonly #usual_ms = new Ring(BASE);
  readonly #late_ms = new Ring(LATELY);
  readonly #stalled_ms = new Ring(LATELY);
  readonly #seconds = new Ring(LATELY);
  #last_ms: number | undefined;
  #stalledBefore_ms = 0;

  constructor(private readonly stats: Statistics) {}

  /** Nobody looked at the page for a while, or does now. */
  skip(): void {
    for (const [tail, ring] of this.#tails()) tail.take(ring);
    this.#stalls.skip();
    this.#last_ms = undefined;
  }

  /** A second is over; `undefined` for the first one seen, which has no beginning. */
  second(now_ms: number, network: NetworkKind): Second | undefined {
    const { frames } = this.stats;
    this.#follow();
    const stalled_ms = this.#stalled(now_ms);
    const [ages_ms, inputs_ms] = [this.#ages.take(frames.ages_ms), this.#inputs.take(frames.inputs_ms)];
    const queued = this.#queued.take(frames.queued_ms);
    const since_ms = this.#last_ms;
    this.#last_ms = now_ms;
    if (since_ms === undefined) return undefined;
    const seconds = (now_ms - since_ms) / 1000;
    const stats = this.stats.snapshot();
    this.#keep(stats, ages_ms, stalled_ms, seconds);
    return {
      seconds,
      ages_ms,
      inputs_ms,
      queued_ms: percentile(queued, 0.5),
      stalled_ms,
      verdict: verdict(this.#signs(stats, network)),
      reduced: isReduced(stats.quality, stats.session),
    };
  }

  /** The play is over; `cut_ms` where it ended because the picture stood. */
  close(cut_ms: number | undefined): StallLog {
    this.#follow();
    if (cut_ms !== undefined) this.#stalls.cut(cut_ms);
    return this.#stalls;
  }

  #follow(): void {
    const { shown_at_ms, announced } = this.stats.frames;
    const numbers = this.#announced.take(announced);
    this.#shown.take(shown_at_ms).forEach((at_ms, i) => this.#stalls.shown(at_ms, numbers[i] ?? Number.NaN));
  }

  #tails(): [Tail, Ring][] {
    const { shown_at_ms, announced, ages_ms, inputs_ms, queued_ms } = this.stats.frames;
    return [[this.#shown, shown_at_ms], [this.#announced, announced], [this.#ages, ages_ms], [this.#inputs, inputs_ms], [this.#queued, queued_ms]];
  }

  #stalled(now_ms: number): number {
    const total_ms = this.#stalls.total_ms(now_ms, this.stats.frames.newest?.frame ?? Number.NaN);
    // A gap that turns out just short of a stall takes back what it was taken for.
    const stalled_ms = Math.max(0, total_ms - this.#stalledBefore_ms);
    this.#stalledBefore_ms = total_ms;
    return stalled_ms;
  }

  #keep({ rtc }: PlayerStats, ages_ms: readonly number[], stalled_ms: number, seconds: number): void {
    if (rtc?.loss !== undefined) this.#losses.push(rtc.loss);
    this.#stalled_ms.push(stalled_ms);
    this.#seconds.push(seconds);
    const [usual_ms, late_ms] = [percentile(ages_ms, 0.5), percentile(ages_ms, 0.95)];
    if (usual_ms === undefined || late_ms === undefined) return;
    this.#usual_ms.push(usual_ms);
    this.#late_ms.push(late_ms - usual_ms);
  }

  #signs({ quality, session, rtc, fps, trace, clock_rtt_ms }: PlayerStats, network: NetworkKind): Signs {
    const rate = quality?.fps ?? session?.fps ?? 0;
    const usual = this.#usual_ms.newest();
    const now_ms = percentile(usual.slice(-LATELY), 0.5);
    const played_ms = sum(this.#seconds) * 1000;
    return {
      limit: quality?.limit,
      interval_ms: rate > 0 ? 1000 / rate : undefined,
      loss: mean(this.#losses),
      rtt_ms: rtc?.rtt_ms ?? clock_rtt_ms,
      queue_ms: now_ms === undefined ? undefined : now_ms - Math.min(...usual),
      unsteady_ms: percentile(this.#late_ms.newest(), 0.5),
      frozen: played_ms > 0 ? sum(this.#stalled_ms) / played_ms : undefined,
      decode_ms: rtc?.decode_ms,
      fps_decoded: rtc?.fps_decoded,
      fps_shown: fps,
      draw_ms: trace?.drawn_ms,
      encode_ms: trace && Math.max(trace.converted_ms - trace.drawn_ms, trace.encoded_ms - trace.converted_ms),
      transport: rtc?.transport,
      relayed: rtc?.relayed,
      network,
    };
  }
}

function isReduced(quality: Quality | undefined, session: SessionFacts | undefined): boolean | undefined {
  if (quality === undefined || session === undefined) return undefined;
  return quality.width < session.width || quality.height < session.height || quality.fps < session.fps;
}

function sum(ring: Ring): number {
  return ring.newest().reduce((whole, part) => whole + part, 0);
}

function mean(ring: Ring): number | undefined {
  const count = ring.newest().length;
  return count === 0 ? undefined : sum(ring) / count;
}
