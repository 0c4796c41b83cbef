/**
 * Something loaded from the API that a page shows: loading, failed, or ready, and then kept fresh.
 * A refresh that fails keeps what is shown and says that it is old.
 */
import { onDestroy } from 'svelte';
import type { ApiFailure, Outcome } from './problem';

/** What a page shows of a resource. */
export type Loaded<T> =
  | { readonly status: 'loading' }
  | { readonly status: 'failed'; readonly failure: ApiFailure }
  | { readonly status: 'ready'; readonly value: T; readonly stale: ApiFailure | undefined };

/** A resource bound to the life of the component that made it. */
export interface Resource<T> {
  /** Reactive. */
  readonly state: Loaded<T>;
  /** Loads again, showing the loading state only when there is nothing to show yet. */
  readonly reload: () => void;
}

/** Loads at once, then every `refreshMs` while the page is visible, and when the network comes back. */
export function resource<T>(load: () => Promise<Outcome<T>>, refreshMs?: number): Resource<T> {
  let state = $state.raw<Loaded<T>>({ status: 'loading' });
  // Answers may overtake each other; only the newest request's answer counts.
  let newest = 0;
  const scope = new AbortController();

  async function fetchOnce(): Promise<void> {
    const mine = ++newest;
    const outcome = await load();
    if (mine !== newest || scope.signal.aborted) return;
    if (outcome.ok) state = { status: 'ready', value: outcome.value, stale: undefined };
    else if (state.status === 'ready') state = { ...state, stale: outcome.failure };
    else state = { status: 'failed', failure: outcome.failure };
  }

  function reload(): void {
    if (state.status === 'failed') state = { status: 'loading' };
    void fetchOnce();
  }

  const refresh = (): void => {
    if (document.visibilityState === 'visible') void fetchOnce();
  };
  const timer = refreshMs === undefined ? undefined : setInterval(refresh, refreshMs);
  addEventListener('online', refresh, { signal: scope.signal });
  document.addEventListener('visibilitychange', refresh, { signal: scope.signal });
  onDestroy(() => {
    scope.abort();
    clearInterval(timer);
  });
  void fetchOnce();

  return {
    get state() {
      return state;
    },
    reload,
  };
}
