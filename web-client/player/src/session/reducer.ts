/**
 * The life of a play as a pure function `(state, event) → [state, effects]`. It reads no clock and
 * touches no connection; `session.ts` carries the effects out.
 *
 * Invariant: a terminal state (`ended`, `failed`) has had its `release`, and only `start` leaves it.
 */

import { CONNECTION_LOST, NO_PICTURE, UNREACHABLE, type Problem } from './problem';
import type { Effect, Event, SessionRef, State } from './state';

/** `POST /v1/sessions` answers within this, or the server counts as unreachable. */
export const CREATE_LIMIT_MS = 15_000;
/** A new peer that shows nothing for this long while starting is replaced. */
export const PEER_LIMIT_MS = 7_000;
/** Starting is given up after this: three peers were tried. */
export const START_LIMIT_MS = 20_000;
/** An ICE restart keeps the decoder and is the cheaper cure, but gets only this long. */
export const RESTART_PATIENCE_MS = 2_000;
/** Patience with new peers grows by this per attempt… */
export const PATIENCE_STEP_MS = 1_000;
/** …up to this, so that a network that comes back late is found soon. */
export const PATIENCE_MAX_MS = 5_000;
/** Attempts are never closer than this, whatever fails or fires. */
export const MIN_ATTEMPT_MS = 1_000;
/** Reconnecting is given up after this: the node gives the seat up about then too. */
export const RECONNECT_LIMIT_MS = 30_000;

const SUSPENDED = 'Your game waits for you for a short while. Continue where you left off.';

type Step = readonly [State, readonly Effect[]];
type Of<K extends State['kind']> = Extract<State, { kind: K }>;

export const IDLE: State = { kind: 'idle' };

export function reduce(state: State, event: Event): Step {
  switch (state.kind) {
    case 'idle':
    case 'ended':
    case 'failed':
      return event.type === 'start' ? start(event.at_ms) : [state, []];
    case 'creating':
      return finish(state, event, undefined) ?? creating(state, event);
    case 'connecting':
      return finish(state, event, state.session) ?? connecting(state, event);
    case 'playing':
      return finish(state, event, state.session) ?? playing(state, event);
    case 'reconnecting':
      return finish(state, event, state.session) ?? reconnecting(state, event);
  }
}

function start(at_ms: number): Step {
  return [
    { kind: 'creating', since_ms: at_ms },
    [{ do: 'create_session' }, { do: 'open_peer', peer: 1 }],
  ];
}

/** What ends a play from any running state. */
function finish(state: State, event: Event, session: SessionRef | undefined): Step | undefined {
  switch (event.type) {
    case 'leave':
      return [
        { kind: 'ended', session, reason: 'player_left', message: 'You left the game.' },
        [{ do: 'tell_leave' }, { do: 'release' }],
      ];
    case 'suspend':
      return [{ kind: 'ended', session, reason: 'suspended', message: SUSPENDED }, [{ do: 'release' }]];
    case 'ended':
      return [{ kind: 'ended', session, reason: event.reason, message: event.message }, [{ do: 'release' }]];
    case 'refused':
      return fail(session, event.problem);
    case 'start':
      return [state, []];
    default:
      return undefined;
  }
}

/** A failed play gives its slot back instead of letting the lease run out. */
function fail(session: SessionRef | undefined, problem: Problem): Step {
  return [{ kind: 'failed', session, problem }, [{ do: 'tell_leave' }, { do: 'release' }]];
}

function creating(state: Of<'creating'>, event: Event): Step {
  if (event.type === 'created') {
    const { session, at_ms } = event;
    return [
      { kind: 'connecting', session, since_ms: at_ms, peer: 1, peer_since_ms: at_ms, connected: false },
      [{ do: 'open_signal' }],
    ];
  }
  if (event.type === 'waiting') return [{ ...state, since_ms: event.at_ms, waiting: event.waiting }, []];
  const late = event.type === 'tick' && event.at_ms - state.since_ms > CREATE_LIMIT_MS;
  return late ? fail(undefined, UNREACHABLE) : [state, []];
}

function connecting(state: Of<'connecting'>, event: Event): Step {
  switch (event.type) {
    case 'connected':
      return [event.peer === state.peer ? { ...state, connected: true } : state, []];
    case 'picture':
      return play(state.session, event.peer, state.peer);
    case 'peer_failed':
      if (event.peer !== state.peer) return [state, []];
      return [{ ...state, peer_since_ms: Math.min(state.peer_since_ms, event.at_ms - PEER_LIMIT_MS + MIN_ATTEMPT_MS) }, []];
    case 'resumed':
      return [{ ...state, since_ms: event.at_ms, peer_since_ms: event.at_ms }, []];
    case 'tick': {
      if (event.at_ms - state.since_ms > START_LIMIT_MS) return fail(state.session, NO_PICTURE);
      if (event.at_ms - state.peer_since_ms <= PEER_LIMIT_MS) return [state, []];
      const peer = state.peer + 1;
      return [
        { ...state, peer, peer_since_ms: event.at_ms, connected: false },
        [{ do: 'keep_peers', peers: [] }, { do: 'renew_signal' }, { do: 'open_peer', peer }],
      ];
    }
    default:
      return [state, []];
  }
}

function play(session: SessionRef, peer: number, newest: number): Step {
  return [{ kind: 'playing', session, peer, newest, sought: false }, [{ do: 'keep_peers', peers: [peer] }]];
}

function playing(state: Of<'playing'>, event: Event): Step {
  if (event.type === 'relayed_by_tcp') return state.sought ? [state, []] : [{ ...state, sought: true }, [{ do: 'seek_udp', peer: state.peer }]];
  if (event.type === 'udp_answers') return [state, event.peer === state.peer ? [{ do: 'move_to_udp', peer: state.peer }] : []];
  const failed = event.type === 'peer_failed' && event.peer === state.peer;
  if (event.type !== 'stalled' && !failed) return [state, []];
  const next: Of<'reconnecting'> = {
    kind: 'reconnecting',
    session: state.session,
    since_ms: event.type === 'stalled' ? event.last_frame_ms : event.at_ms,
    shown: state.peer,
    newest: state.newest,
    attempts: 1,
    attempt_since_ms: event.at_ms,
    patience_ms: RESTART_PATIENCE_MS,
  };
  if (failed) return tryNewPeer(next, event.at_ms, []);
  // What took the path away took the signalling socket's with it.
  return [next, [{ do: 'renew_signal' }, { do: 'restart_ice', peer: state.peer }]];
}

function reconnecting(state: Of<'reconnecting'>, event: Event): Step {
  switch (event.type) {
    case 'picture': {
      const [next, effects] = play(state.session, event.peer, state.newest);
      return [next, event.peer === state.shown ? [...effects, { do: 'settle_ice', peer: event.peer }] : effects];
    }
    case 'peer_failed':
      if (event.peer === state.newest) return [{ ...state, patience_ms: MIN_ATTEMPT_MS }, []];
      return [state, [{ do: 'keep_peers', peers: [state.newest] }]];
    case 'online':
      return [{ ...state, patience_ms: Math.min(state.patience_ms, MIN_ATTEMPT_MS) }, []];
    case 'resumed':
      return [{ ...state, since_ms: event.at_ms, attempt_since_ms: event.at_ms, patience_ms: MIN_ATTEMPT_MS }, []];
    case 'tick':
      if (event.at_ms - state.since_ms > RECONNECT_LIMIT_MS) return fail(state.session, CONNECTION_LOST);
      return event.at_ms - state.attempt_since_ms > state.patience_ms ? tryNewPeer(state, event.at_ms, [state.shown]) : [state, []];
    default:
      return [state, []];
  }
}

/** `keep`: the peer that may yet revive; a failed or closed one cannot, and its last frames mean nothing. */
function tryNewPeer(state: Of<'reconnecting'>, at_ms: number, keep: readonly number[]): Step {
  const peer = state.newest + 1;
  const next: State = {
    ...state,
    newest: peer,
    attempts: state.attempts + 1,
    attempt_since_ms: at_ms,
    patience_ms: Math.min(PATIENCE_MAX_MS, RESTART_PATIENCE_MS + state.attempts * PATIENCE_STEP_MS),
  };
  return [
    next,
    [{ do: 'keep_peers', peers: keep }, { do: 'renew_signal' }, { do: 'open_peer', peer }],
  ];
}
