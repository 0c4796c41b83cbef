/** When an input event happened, by `performance.now()`. */

/** Events claimed to be older than this carry a foreign clock. */
const PLAUSIBLE_AGE_MS = 1_000;

/** `event.timeStamp` (the time the browser got it from the system) where plausible, else now. */
export function eventTime(event: Event): number {
  const now_ms = performance.now();
  const age_ms = now_ms - event.timeStamp;
  return age_ms >= 0 && age_ms < PLAUSIBLE_AGE_MS ? event.timeStamp : now_ms;
}
