/** How a play went, from its first picture to its end: what the report after it says. Memory is fixed. */

import type { NetworkKind } from '../network';
import type { Limit } from '../wire/control';
import { Histogram, type Spread } from './histogram';
import type { PlayerStats } from './snapshot';
import type { StallLog } from './stalls';
import { verdictOf, type Cause, type Verdict } from './verdict';
import type { Second } from './watch';
import { percentile } from './window';

/** Stretches of the timeline; past this, neighbours become one. */
const STRETCHES_MAX = 240;
/** What held for less than both of these is no verdict over a whole play. */
const NOTABLE_S = 5;
const NOTABLE_SHARE = 0.05;
/** A picture that stood for more than both of these was seen to stand. */
const STOOD_S = 1;
const STOOD_SHARE = 0.01;

/** A part of the play, for the drawing of it. */
export interface Stretch {
  readonly seconds: number;
  /** Age of the usual frame, in the worst second of the stretch. */
  readonly age_ms: number | undefined;
  readonly reduced: boolean;
  readonly stalled: boolean;
}

/** `undefined` means unmeasured. */
export interface QualityReport {
  /** Time with a picture. */
  readonly played_s: number;
  readonly frame_age_ms: Spread | undefined;
  readonly input_visible_ms: Spread | undefined;
  /** Time with the title's own size and rate, and with a smaller or slower picture. */
  readonly full_s: number | undefined;
  readonly reduced_s: number | undefined;
  readonly stalls: { readonly count: number; readonly total_s: number };
  /** Interruptions that were survived. */
  readonly reconnections: number;
  /** Received and sent. */
  readonly used_bytes: number | undefined;
  readonly verdict: Verdict;
  /** Oldest first. */
  readonly timeline: readonly Stretch[];
}

type Played = Pick<PlayerStats, 'played_s' | 'reconnections'>;

export class QualityLog {
  readonly #ages = new Histogram();
  readonly #inputs = new Histogram();
  readonly #causes = new Map<Cause, { readonly limit: Limit; readonly seconds: number }>();
  #timeline: Stretch[] = [];
  /** Seconds that go into one stretch, and those that wait for theirs to be full. */
  #perStretch = 1;
  #waiting: Stretch[] = [];
  #full_s = 0;
  #reduced_s = 0;
  #used_bytes: number | undefined;
  #network: NetworkKind = 'unknown';

  add(second: Second, used_bytes: number | undefined, network: NetworkKind): void {
    for (const age_ms of second.ages_ms) this.#ages.push(age_ms);
    for (const input_ms of second.inputs_ms) this.#inputs.push(input_ms);
    if (second.reduced === true) this.#reduced_s += second.seconds;
    if (second.reduced === false) this.#full_s += second.seconds;
    this.#network = network;
    this.used(used_bytes);
    this.#blame(second);
    this.#draw(second);
  }

  /** Data that went to and fro, also while nobody looked. */
  used(bytes: number | undefined): void {
    if (bytes !== undefined) this.#used_bytes = (this.#used_bytes ?? 0) + bytes;
  }

  /** Nothing where no picture was shown. `cut`: the play ended because nothing came any more. */
  report({ played_s, reconnections }: Played, stalls: StallLog, cut: boolean): QualityReport | undefined {
    if (played_s === 0) return undefined;
    const told = this.#full_s + this.#reduced_s > 0;
    const total_s = stalls.past_ms / 1000;
    return {
      played_s,
      frame_age_ms: this.#ages.spread,
      input_visible_ms: this.#inputs.spread,
      full_s: told ? this.#full_s : undefined,
      reduced_s: told ? this.#reduced_s : undefined,
      stalls: { count: stalls.count, total_s },
      reconnections,
      used_bytes: this.#used_bytes,
      verdict: this.#verdict(played_s, cut || reconnections > 0, total_s > Math.max(STOOD_S, STOOD_SHARE * played_s)),
      timeline: this.#waiting.length > 0 ? [...this.#timeline, merge(this.#waiting)] : this.#timeline,
    };
  }

  #blame({ seconds, verdict: { limit, cause } }: Second): void {
    if (limit === 'none') return;
    this.#causes.set(cause, { limit, seconds: seconds + (this.#causes.get(cause)?.seconds ?? 0) });
  }

  /** The limit that held longest, by its most frequent cause; interruptions where nothing else held for long. */
  #verdict(played_s: number, interrupted: boolean, stood: boolean): Verdict {
    const byLimit = new Map<Limit, number>();
    for (const { limit, seconds } of this.#causes.values()) byLimit.set(limit, (byLimit.get(limit) ?? 0) + seconds);
    const [limit, seconds] = [...byLimit].sort(([, a], [, b]) => b - a)[0] ?? (['none', 0] as const);
    const outage = verdictOf('network', 'outage', this.#network);
    if (seconds < Math.max(NOTABLE_S, NOTABLE_SHARE * played_s)) {
      return interrupted || stood ? outage : verdictOf('none', 'none', this.#network);
    }
    const causes = [...this.#causes].filter(([, held]) => held.limit === limit);
    const [cause] = causes.sort(([, a], [, b]) => b.seconds - a.seconds)[0] ?? (['none'] as const);
    // What a lost network looks like before it is known to be lost.
    return cause === 'frozen' && interrupted ? outage : verdictOf(limit, cause, this.#network);
  }

  #draw({ seconds, ages_ms, reduced, stalled_ms }: Second): void {
    this.#waiting.push({ seconds, age_ms: percentile(ages_ms, 0.5), reduced: reduced === true, stalled: stalled_ms > 0 });
    if (this.#waiting.length < this.#perStretch) return;
    this.#timeline.push(merge(this.#waiting));
    this.#waiting = [];
    if (this.#timeline.length < STRETCHES_MAX) return;
    this.#timeline = this.#timeline.flatMap((stretch, i, all) => (i % 2 === 0 ? [merge([stretch, ...all.slice(i + 1, i + 2)])] : []));
    this.#perStretch *= 2;
  }
}

/** The worst of all, over the time of all. */
function merge(stretches: readonly Stretch[]): Stretch {
  const ages = stretches.map(({ age_ms }) => age_ms).filter((age_ms) => age_ms !== undefined);
  return {
    seconds: stretches.reduce((sum, { seconds }) => sum + seconds, 0),
    age_ms: ages.length > 0 ? Math.max(...ages) : undefined,
    reduced: stretches.some(({ reduced }) => reduced),
    stalled: stretches.some(({ stalled }) => stalled),
  };
}
