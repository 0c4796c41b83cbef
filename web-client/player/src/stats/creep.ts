/**
 * Notices latency that creeps up inside the browser: a jitter buffer that grew and stays, frames that wait between
 * decoder and display, a picture that drifts from its sound. Pure: says what to do, and `Play` does it.
 *
 * A level is measured against the best minute of the connection. The mild cure comes first; the strong one shows
 * for an instant, so it comes at most once a minute, and ever more rarely where it did not help: then it is the
 * network that is uneven, and the buffer is right to be there.
 */

import { Ring } from './window';

/** Beyond the best minute by this much: more than a frame at 60 Hz, less than what hands get used to. */
export const CREEP_MS = 25;
/** For this long: what the browser gives back by itself is not its guard's business. */
export const PATIENCE_S = 10;
/** Between two strong cures. */
export const REST_S = 60;
const REST_MAX_S = 16 * REST_S;
/** Of what a level had crept, a cure that helped takes at least this share away. */
const HELPED = 0.5;
const MINUTE_S = 60;
/** The beginning of a play counts as its minute when this much of it was seen. */
const FIRST_S = 10;

/** What one second showed; `undefined` where the browser does not tell. */
export interface Levels {
  /** Mean wait in the video jitter buffer. */
  readonly jitter_buffer_ms: number | undefined;
  /** From decoder to display. */
  readonly queued_ms: number | undefined;
  /** Of sound, from its arrival to the speaker. */
  readonly sound_delay_ms: number | undefined;
}

/** `renew_buffers` is not seen; `reattach` shows for an instant. */
export type Cure = 'renew_buffers' | 'reattach';

/** One level over time. */
class Level {
  readonly #minute = new Ring(MINUTE_S);
  #best_ms: number | undefined;

  /** How far this second lies beyond the best minute. */
  beyond_ms(value_ms: number): number {
    this.#minute.push(value_ms);
    const values = this.#minute.newest();
    if (values.length >= FIRST_S) {
      const mean_ms = values.reduce((sum, value) => sum + value, 0) / values.length;
      this.#best_ms = Math.min(this.#best_ms ?? mean_ms, mean_ms);
    }
    return this.#best_ms === undefined ? 0 : value_ms - this.#best_ms;
  }
}

export class CreepGuard {
  #levels = [new Level(), new Level(), new Level()] as const;
  /** Consecutive seconds in which some level was beyond. */
  #beyond_s = 0;
  #renewed = false;
  #rest_s = REST_S;
  #sinceReattached_s = Number.POSITIVE_INFINITY;
  /** How far it had crept when the strong cure was given; none once that is judged. */
  #before_ms: number | undefined;

  /** One second of a picture that is seen. */
  second(levels: Levels): Cure | undefined {
    const values = [levels.jitter_buffer_ms, levels.queued_ms, skew(levels)];
    const beyond_ms = Math.max(0, ...this.#levels.map((level, i) => (values[i] === undefined ? 0 : level.beyond_ms(values[i]))));
    this.#sinceReattached_s += 1;
    this.#judge(beyond_ms);
    if (beyond_ms <= CREEP_MS) {
      this.#beyond_s = 0;
      this.#renewed = false;
      return undefined;
    }
    this.#beyond_s += 1;
    return this.#beyond_s < PATIENCE_S ? undefined : this.#cure(beyond_ms);
  }

  /** Nobody looks. What has crept up meanwhile is noticed afterwards: the best minute stays. */
  pause(): void {
    this.#beyond_s = 0;
    this.#renewed = false;
    this.#before_ms = undefined;
  }

  /** Another connection has levels of its own. */
  reset(): void {
    this.pause();
    this.#levels = [new Level(), new Level(), new Level()];
  }

  #cure(beyond_ms: number): Cure | undefined {
    if (!this.#renewed) {
      this.#renewed = true;
      this.#beyond_s = 0;
      return 'renew_buffers';
    }
    if (this.#sinceReattached_s < this.#rest_s) return undefined;
    this.#sinceReattached_s = 0;
    this.#beyond_s = 0;
    this.#before_ms = beyond_ms;
    return 'reattach';
  }

  /** Whether the strong cure helped shows after as long as it takes to notice the harm. */
  #judge(beyond_ms: number): void {
    if (this.#before_ms === undefined || this.#sinceReattached_s < PATIENCE_S) return;
    const helped = beyond_ms < (1 - HELPED) * this.#before_ms;
    this.#rest_s = helped ? REST_S : Math.min(REST_MAX_S, this.#rest_s * 2);
    this.#before_ms = undefined;
  }
}

/** Picture and sound leave the node together and travel alike: they part in the browser. */
function skew({ jitter_buffer_ms, queued_ms, sound_delay_ms }: Levels): number | undefined {
  if (jitter_buffer_ms === undefined || queued_ms === undefined || sound_delay_ms === undefined) return undefined;
  return Math.abs(sound_delay_ms - (jitter_buffer_ms + queued_ms));
}
