/**
 * The loading screen before a session's first frames, which answer its challenge and are not the title's
 * (`protocol/src/check/challenge.rs`).
 */

import type { ShownFrame } from '../picture';

/** A node that never says where its title begins is shown after this, counted from its first frame. */
const LONGEST_MS = 1_500;

export class Cover {
  #open: boolean;
  #told = false;
  #from: number | undefined;
  #first_ms: number | undefined;

  /** `challenged`: the session has a challenge, and this page is the one that began it. */
  constructor(challenged: boolean) {
    this.#open = !challenged;
  }

  /** The title is seen from this frame on, or where nothing is named, from the next. */
  begins(rtp_timestamp: number | undefined): void {
    this.#told = true;
    this.#from = rtp_timestamp;
  }

  /** Whether the loading screen stays before this frame. */
  hides(frame: ShownFrame): boolean {
    if (this.#open) return false;
    this.#first_ms ??= frame.at_ms;
    this.#open = frame.at_ms - this.#first_ms > LONGEST_MS || (this.#told && this.#isReached(frame.rtp_timestamp));
    return !this.#open;
  }

  #isReached(rtp_timestamp: number | undefined): boolean {
    // A browser that does not tell its frames apart shows a little of the challenge.
    if (rtp_timestamp === undefined || this.#from === undefined) return true;
    return ((rtp_timestamp - this.#from) | 0) >= 0;
  }
}
