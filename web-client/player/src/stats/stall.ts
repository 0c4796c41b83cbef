/** Decides that the picture has stalled because of the network, not because there is nothing to show. */

/** No frame for this long is a stall where anything points at the network. */
export const STALL_MS = 700;
/** Frames announced but not shown for this long: the decoder waits for what will not come. */
export const STUCK_MS = 3_000;
/** An `online` event counts as a pointer for this long. */
const ONLINE_RECENT_MS = 5_000;

export interface StallSigns {
  readonly now_ms: number;
  readonly last_frame_ms: number;
  /** When the facts channel last said anything. */
  readonly last_facts_ms: number;
  /** When `online` last fired; `undefined` for never. */
  readonly online_ms: number | undefined;
  readonly path_lost: boolean;
}

export function isStalled(signs: StallSigns): boolean {
  const silent_ms = signs.now_ms - signs.last_frame_ms;
  if (silent_ms < STALL_MS) return false;
  const factsSilent = signs.now_ms - signs.last_facts_ms >= STALL_MS;
  const wentOnline = signs.online_ms !== undefined && signs.now_ms - signs.online_ms < ONLINE_RECENT_MS;
  return signs.path_lost || factsSilent || wentOnline || silent_ms >= STUCK_MS;
}
