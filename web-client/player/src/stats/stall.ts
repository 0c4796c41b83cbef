/** Decides that the picture has stalled because of the network, not because there is nothing to show. */

/** No frame for this long is a stall where anything points at the network. */
export const STALL_MS = 700;
/**
 * Neither frames nor facts for this long: it is worth asking the server whether it can be reached. A picture that
 * stands still is sent four times a second, and pings are answered as often.
 */
export const SUSPECT_MS = 350;
/** Frames announced but not shown for this long: the decoder waits for what will not come. */
export const STUCK_MS = 3_000;
/** An `online` event counts as a pointer for this long. */
const ONLINE_RECENT_MS = 5_000;

export interface StallSigns {
  readonly now_ms: number;
  readonly last_frame_ms: number;
  /** When the facts channel last said anything. */
  readonly last_facts_ms: number;
  /** When the network last came back or changed, as the browser says; `undefined` for never. */
  readonly online_ms: number | undefined;
  /** When the server last greeted this page on a new socket; `undefined` for never. */
  readonly greeted_ms: number | undefined;
  readonly path_lost: boolean;
}

type Silence = Pick<StallSigns, 'last_frame_ms' | 'last_facts_ms'>;

/** For how long nothing at all has come from the node. */
function silence_ms(at_ms: number, { last_frame_ms, last_facts_ms }: Silence): number {
  return at_ms - Math.max(last_frame_ms, last_facts_ms);
}

/** Whether the server is to be asked if it can be reached: a new socket tells a dead path from a dead network. */
export function isSuspect(signs: Silence & Pick<StallSigns, 'now_ms'>): boolean {
  return silence_ms(signs.now_ms, signs) >= SUSPECT_MS;
}

export function isStalled(signs: StallSigns): boolean {
  const silent = silence_ms(signs.now_ms, signs) >= SUSPECT_MS;
  // The server answers by a new way while the node is silent on the old one: that one will not come back.
  const answered = signs.greeted_ms !== undefined && silence_ms(signs.greeted_ms, signs) >= SUSPECT_MS;
  const wentOnline = signs.online_ms !== undefined && signs.now_ms - signs.online_ms < ONLINE_RECENT_MS;
  if (silent && (answered || wentOnline)) return true;
  const still_ms = signs.now_ms - signs.last_frame_ms;
  if (still_ms < STALL_MS) return false;
  const factsSilent = signs.now_ms - signs.last_facts_ms >= STALL_MS;
  return signs.path_lost || factsSilent || wentOnline || still_ms >= STUCK_MS;
}
