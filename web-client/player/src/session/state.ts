/** States, events and effects of a play, as plain data. Times are the page's monotonic clock in ms. */

import type { Problem } from './problem';

/** Why there is no session yet, though it was asked for. */
export interface Waiting {
  /** How many are served before, plus one; none while a group gathers. */
  readonly place?: number;
  /** Half of those told so wait less. */
  readonly likely_ms?: number;
  /** Nine of ten wait less. */
  readonly at_most_ms?: number;
  /** Members of the group that are there, and how many there are to be. */
  readonly gathered?: { readonly joined: number; readonly size: number };
}

/** What of a created session the rest of the player needs. */
export interface SessionRef {
  readonly id: string;
  readonly node: string;
  readonly node_name: string;
}

/**
 * Peers are counted 1, 2, 3, … within a play. `shown` is the peer whose picture was last seen, kept
 * open while newer ones are tried, because a network that comes back often revives it.
 */
export type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'creating'; readonly since_ms: number; readonly waiting?: Waiting }
  | {
      readonly kind: 'connecting';
      readonly session: SessionRef;
      readonly since_ms: number;
      readonly peer: number;
      readonly peer_since_ms: number;
      readonly connected: boolean;
    }
  | {
      readonly kind: 'playing';
      readonly session: SessionRef;
      readonly peer: number;
      readonly newest: number;
      /** A way by UDP was looked for once, because packets go to a relay by TCP. */
      readonly sought: boolean;
    }
  | {
      readonly kind: 'reconnecting';
      readonly session: SessionRef;
      /** When the last frame was seen. */
      readonly since_ms: number;
      readonly shown: number;
      readonly newest: number;
      /** Attempts so far; the first is an ICE restart, the others are new peers. */
      readonly attempts: number;
      readonly attempt_since_ms: number;
      readonly patience_ms: number;
    }
  | { readonly kind: 'ended'; readonly session: SessionRef | undefined; readonly reason: string; readonly message: string }
  | { readonly kind: 'failed'; readonly session: SessionRef | undefined; readonly problem: Problem };

export type Event =
  | { readonly type: 'start'; readonly at_ms: number }
  /** No slot yet: the server told a place, and is asked again. */
  | { readonly type: 'waiting'; readonly at_ms: number; readonly waiting: Waiting }
  | { readonly type: 'created'; readonly at_ms: number; readonly session: SessionRef }
  /** Nothing can go on: the session could not be made, was refused, or the node is not who it should be. */
  | { readonly type: 'refused'; readonly problem: Problem }
  | { readonly type: 'connected'; readonly peer: number }
  | { readonly type: 'picture'; readonly peer: number }
  | { readonly type: 'peer_failed'; readonly peer: number; readonly at_ms: number }
  /** No frame since `last_frame_ms`, and a reason to believe that the network is at fault. */
  | { readonly type: 'stalled'; readonly at_ms: number; readonly last_frame_ms: number }
  | { readonly type: 'relayed_by_tcp' }
  | { readonly type: 'udp_answers'; readonly peer: number }
  /** The network may have come back or changed. */
  | { readonly type: 'online'; readonly at_ms: number }
  | { readonly type: 'tick'; readonly at_ms: number }
  /** The page was hidden, where no frame is shown and no tick comes, and is visible again. */
  | { readonly type: 'resumed'; readonly at_ms: number }
  | { readonly type: 'ended'; readonly reason: string; readonly message: string }
  /** The page goes away, and the node keeps the title for another one. */
  | { readonly type: 'suspend' }
  | { readonly type: 'leave' };

export type Effect =
  | { readonly do: 'create_session' }
  | { readonly do: 'open_signal' }
  /** Replaces the signalling socket where it has been silent. */
  | { readonly do: 'renew_signal' }
  | { readonly do: 'open_peer'; readonly peer: number }
  | { readonly do: 'restart_ice'; readonly peer: number }
  /** Asks whether a relay answers by UDP. */
  | { readonly do: 'seek_udp'; readonly peer: number }
  /** Asks for a path by UDP alone; the one in use carries on until there is one. */
  | { readonly do: 'move_to_udp'; readonly peer: number }
  /** The peer came back by itself while its restart was on the way: both ends must agree on the outcome. */
  | { readonly do: 'settle_ice'; readonly peer: number }
  | { readonly do: 'keep_peers'; readonly peers: readonly number[] }
  | { readonly do: 'tell_leave' }
  /** Closes every connection of this play. */
  | { readonly do: 'release' };
