/**
 * Matches shown frames with the node's facts, whichever comes first, by RTP timestamp.
 *
 * What is not matched is unmeasured: it counts as shown but has no age.
 */

import type { FrameFacts } from '../wire/facts';
import type { NodeClock } from './clock';
import { Ring } from './window';

/** Frames waiting for their other half: two seconds at 120 Hz. */
const WAITING_MAX = 240;
/** Inputs waiting to be seen; beyond this the picture has long stopped. */
const INPUTS_MAX = 256;

/** Two seconds at 120 Hz: read once a second. */
const QUEUED_MAX = 240;

/** Mean time of each stage over the newest matched frames, ms from the beginning of drawing. */
export interface StageTrace {
  readonly drawn_ms: number;
  readonly converted_ms: number;
  readonly encoded_ms: number;
  readonly sent_ms: number;
  /** From the socket queue of the node to this page's display callback. */
  readonly shown_ms: number;
}

export class FrameLedger {
  readonly ages_ms = new Ring();
  readonly inputs_ms = new Ring();
  readonly shown_at_ms = new Ring();
  /** Beside each of these: the number of the newest frame that the node had announced by then; NaN before the first. */
  readonly announced = new Ring();
  /** From the decoder's taking a frame to the display callback, of frames where the browser tells. */
  readonly queued_ms = new Ring(QUEUED_MAX);
  unmatched = 0;
  matched = 0;
  keyframes = 0;
  newest: FrameFacts | undefined;
  trace: StageTrace | undefined;
  readonly #facts = new Map<number, FrameFacts>();
  readonly #shown = new Map<number, number>();
  readonly #inputs: { serial: number; at_ms: number }[] = [];

  constructor(private readonly clock: NodeClock) {}

  /** The player did something. */
  input(serial: number, at_ms: number): void {
    if (this.#inputs.length === INPUTS_MAX) this.#inputs.shift();
    this.#inputs.push({ serial, at_ms });
  }

  /** The node said what it knows of a frame. */
  facts(facts: FrameFacts): void {
    this.newest = facts;
    if (facts.keyframe) this.keyframes += 1;
    const at_ms = this.#shown.get(facts.rtp_timestamp);
    if (at_ms === undefined) {
      remember(this.#facts, facts.rtp_timestamp, facts);
      return;
    }
    this.#shown.delete(facts.rtp_timestamp);
    this.#match(facts, at_ms);
  }

  /** The display took a frame at `at_ms`. */
  shown(rtp_timestamp: number | undefined, at_ms: number): void {
    this.shown_at_ms.push(at_ms);
    this.announced.push(this.newest?.frame ?? Number.NaN);
    if (rtp_timestamp === undefined) {
      this.unmatched += 1;
      return;
    }
    const facts = this.#facts.get(rtp_timestamp);
    if (facts !== undefined) {
      this.#facts.delete(rtp_timestamp);
      this.#match(facts, at_ms);
    } else if (remember(this.#shown, rtp_timestamp, at_ms)) this.unmatched += 1;
  }

  #match(facts: FrameFacts, at_ms: number): void {
    this.matched += 1;
    while (this.#inputs[0] !== undefined && ((facts.input_serial - this.#inputs[0].serial) | 0) >= 0) {
      const input = this.#inputs.shift();
      if (input !== undefined) this.inputs_ms.push(at_ms - input.at_ms);
    }
    const captured_ms = this.clock.toPage(facts.captured_us);
    if (captured_ms === undefined) return;
    const age_ms = at_ms - captured_ms;
    this.ages_ms.push(age_ms);
    this.#follow(facts, age_ms);
  }

  /** Smoothed over about a quarter of a second at 60 Hz. */
  #follow(facts: FrameFacts, age_ms: number): void {
    const smooth = (old: number | undefined, now: number): number => (old === undefined ? now : old + (now - old) / 16);
    const old = this.trace;
    this.trace = {
      drawn_ms: smooth(old?.drawn_ms, facts.drawn_us / 1000),
      converted_ms: smooth(old?.converted_ms, facts.converted_us / 1000),
      encoded_ms: smooth(old?.encoded_ms, facts.encoded_us / 1000),
      sent_ms: smooth(old?.sent_ms, facts.sent_us / 1000),
      shown_ms: smooth(old?.shown_ms, age_ms),
    };
  }
}

/** Keeps `value`, dropping the oldest beyond the bound; true if one was dropped. */
function remember<T>(map: Map<number, T>, key: number, value: T): boolean {
  map.set(key, value);
  if (map.size <= WAITING_MAX) return false;
  const oldest = map.keys().next();
  if (oldest.done !== true) map.delete(oldest.value);
  return true;
}
