/** What the interface shows, derived from the session's state. */

import type { Problem } from './problem';
import type { State, Waiting } from './state';

export type StartStep = 'finding' | 'connecting' | 'picture';

export type View =
  | { readonly kind: 'idle' }
  | { readonly kind: 'starting'; readonly step: StartStep; readonly session: string | undefined; readonly waiting?: Waiting }
  | { readonly kind: 'playing'; readonly session: string }
  /** `since_ms`: when the last frame was seen, by `performance.now()`. */
  | { readonly kind: 'reconnecting'; readonly session: string; readonly since_ms: number }
  | { readonly kind: 'ended'; readonly session: string | undefined; readonly reason: string; readonly message: string }
  | { readonly kind: 'failed'; readonly session: string | undefined; readonly problem: Problem };

export function viewOf(state: State): View {
  switch (state.kind) {
    case 'idle':
      return { kind: 'idle' };
    case 'creating':
      return { kind: 'starting', step: 'finding', session: undefined, ...(state.waiting && { waiting: state.waiting }) };
    case 'connecting':
      return { kind: 'starting', step: state.connected ? 'picture' : 'connecting', session: state.session.id };
    case 'playing':
      return { kind: 'playing', session: state.session.id };
    case 'reconnecting':
      return { kind: 'reconnecting', session: state.session.id, since_ms: state.since_ms };
    case 'ended':
      return { kind: 'ended', session: state.session?.id, reason: state.reason, message: state.message };
    case 'failed':
      return { kind: 'failed', session: state.session?.id, problem: state.problem };
  }
}

/** Whether two views look the same, so that nothing is redrawn or announced twice. */
export function sameView(a: View, b: View): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
