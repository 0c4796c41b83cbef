/**
 * Where a picture stood, by the measure of `freezeCount` in W3C webrtc-stats: a gap between two shown frames of
 * three usual ones, and of 150 ms more than a usual one. Counted here because browsers without that figure are
 * many, because theirs starts anew with every connection, and because they cannot tell a picture that stands from
 * a title that has nothing new to show: the node announces its frames.
 */

import { Ring } from './window';

/** Gaps that the usual one is taken from. */
const GAPS = 30;
const BEYOND_MS = 150;
/** Where the node made fewer than this in a gap, the title rested: there is always the one that ends it. */
const MADE_MIN = 2;

export class StallLog {
  count = 0;
  /** The time that the picture stood, as far as it went on afterwards. */
  past_ms = 0;
  #last_ms: number | undefined;
  #announced = Number.NaN;
  readonly #gaps = new Ring(GAPS);

  /** The display took a frame; by then the node had announced its frame of this number, NaN where it says nothing. */
  shown(at_ms: number, announced: number): void {
    if (this.#last_ms !== undefined) {
      const gap_ms = at_ms - this.#last_ms;
      if (!this.#isLong(gap_ms)) this.#gaps.push(gap_ms);
      else if (!this.#rested(announced)) this.#count(gap_ms);
    }
    this.#last_ms = at_ms;
    this.#announced = announced;
  }

  /** The play ended because nothing came any more. */
  cut(at_ms: number): void {
    if (this.#last_ms !== undefined) this.#count(at_ms - this.#last_ms);
    this.#last_ms = undefined;
  }

  /** The page was not seen: the gap before the next frame is nobody's fault. */
  skip(): void {
    this.#last_ms = undefined;
  }

  /** …and including that it stands now, as the frames announced since then tell. */
  total_ms(now_ms: number, announced: number): number {
    const standing_ms = this.#last_ms === undefined ? 0 : now_ms - this.#last_ms;
    return this.past_ms + (this.#isLong(standing_ms) && !this.#rested(announced) ? standing_ms : 0);
  }

  #count(gap_ms: number): void {
    this.count += 1;
    this.past_ms += gap_ms;
  }

  #rested(announced: number): boolean {
    return announced - this.#announced < MADE_MIN;
  }

  #isLong(gap_ms: number): boolean {
    const gaps = this.#gaps.newest();
    if (gaps.length === 0) return false;
    const usual_ms = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    return gap_ms > Math.max(3 * usual_ms, usual_ms + BEYOND_MS);
  }
}
