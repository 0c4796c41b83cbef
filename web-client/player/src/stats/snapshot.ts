/** All statistics of a play in one place: fed by the session, read by the overlay, the page and benches. */

import type { Quality, SessionFacts } from '../wire/control';
import { NodeClock } from './clock';
import { FrameLedger, type StageTrace } from './frames';
import { readRtc, type RtcCounters, type RtcFigures } from './rtc';
import { Ring, type Quantiles } from './window';

/** Two minutes of one value a second, for the graphs. */
const HISTORY = 120;

/** What `<near-frame>.stats` gives. `undefined` means unmeasured. */
export interface PlayerStats {
  /** Frames that the display took in the last second. */
  readonly fps: number | undefined;
  /** From the beginning of drawing at the node to this page's display callback. */
  readonly frame_age_ms: Quantiles | undefined;
  /** From the event to the display callback of the first frame whose title had seen it. */
  readonly input_visible_ms: Quantiles | undefined;
  readonly trace: StageTrace | undefined;
  /** Share of shown frames that could be matched with the node's facts, 0..1. */
  readonly matched: number | undefined;
  readonly target_bps: number | undefined;
  readonly clock_rtt_ms: number | undefined;
  readonly rtc: RtcFigures | undefined;
  readonly node: string | undefined;
  readonly session: SessionFacts | undefined;
  /** How the picture is encoded now, and why no better, as the node says. */
  readonly quality: Quality | undefined;
  /** Interruptions that were survived. */
  readonly reconnections: number;
  readonly receipts: { readonly signed: number; readonly refused: number };
  /** Time with a picture, seconds. */
  readonly played_s: number;
  readonly history: { readonly frame_age_ms: readonly number[]; readonly bitrate_bps: readonly number[] };
}

/** Raw values for benches and tests, newest last; times by `performance.now()`. */
export interface DebugLog {
  readonly frame_ages_ms: number[];
  readonly input_visible_ms: number[];
  readonly shown_at_ms: number[];
  /** First frame shown, counted from the navigation to this page. */
  readonly first_frame_ms: number | undefined;
  readonly frames_matched: number;
  readonly frames_unmatched: number;
  readonly keyframes: number;
  readonly state_changes: readonly { readonly at_ms: number; readonly view: string }[];
}

export class Statistics {
  readonly clock = new NodeClock();
  readonly frames = new FrameLedger(this.clock);
  node: string | undefined;
  session: SessionFacts | undefined;
  quality: Quality | undefined;
  reconnections = 0;
  signed = 0;
  refused = 0;
  first_frame_ms: number | undefined;
  readonly #agesPerSecond = new Ring(HISTORY);
  readonly #bitratePerSecond = new Ring(HISTORY);
  #rtc: RtcFigures | undefined;
  #counters: RtcCounters | undefined;
  #fps: number | undefined;
  #shownBefore = 0;
  #sampledAt_ms: number | undefined;
  #played_s = 0;

  /** Once a second, with the peer's report. */
  sample(report: Iterable<Readonly<Record<string, unknown>>>, now_ms: number): void {
    [this.#rtc, this.#counters] = readRtc(report, this.#counters);
    const shown = this.frames.shown_at_ms.total;
    if (this.#sampledAt_ms !== undefined) {
      const seconds = (now_ms - this.#sampledAt_ms) / 1000;
      this.#fps = (shown - this.#shownBefore) / seconds;
      if (shown > this.#shownBefore) this.#played_s += seconds;
    }
    this.#shownBefore = shown;
    this.#sampledAt_ms = now_ms;
    const second = this.frames.ages_ms.quantiles(60)?.p50;
    if (second !== undefined) this.#agesPerSecond.push(second);
    if (this.#rtc.bitrate_bps !== undefined) this.#bitratePerSecond.push(this.#rtc.bitrate_bps);
  }

  /** How far the node is, by the newest that is known. */
  get rtt_ms(): number | undefined {
    return this.#rtc?.rtt_ms ?? this.clock.rtt_ms;
  }

  /** Packets go to a relay by TCP or TLS, as of the newest sample. */
  get relayedByTcp(): boolean {
    return this.#rtc?.relayed === true && (this.#rtc.transport === 'tcp' || this.#rtc.transport === 'tls');
  }

  /** Another connection counts from zero again. */
  newPeer(): void {
    this.#counters = undefined;
  }

  snapshot(): PlayerStats {
    const { matched, unmatched, newest } = this.frames;
    return {
      fps: this.#fps,
      frame_age_ms: this.frames.ages_ms.quantiles(),
      input_visible_ms: this.frames.inputs_ms.quantiles(),
      trace: this.frames.trace,
      matched: matched + unmatched > 0 ? matched / (matched + unmatched) : undefined,
      target_bps: newest === undefined ? undefined : newest.target_kbps * 1000,
      clock_rtt_ms: this.clock.rtt_ms,
      rtc: this.#rtc,
      node: this.node,
      session: this.session,
      quality: this.quality,
      reconnections: this.reconnections,
      receipts: { signed: this.signed, refused: this.refused },
      played_s: this.#played_s,
      history: { frame_age_ms: this.#agesPerSecond.newest(), bitrate_bps: this.#bitratePerSecond.newest() },
    };
  }
}
