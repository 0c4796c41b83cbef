/**
 * What the visitor may expect of each title, before anything is tapped: first by what the matchmaker knows of the
 * visitor's network, then by what this browser has measured.
 */
import { measure } from '@nearframe/player';
import { onDestroy } from 'svelte';
import { outlook, reportMeasured, type TitleOutlook } from '../api/client';

/** Seats and queues change within seconds. */
const REFRESH_MS = 10_000;

/** Reactive, by title. */
export interface Outlooks {
  readonly of: (title: string) => TitleOutlook | undefined;
}

export function outlooks(): Outlooks {
  let known = $state.raw<readonly TitleOutlook[]>([]);
  let closed = false;

  async function look(): Promise<void> {
    const measured = await measure(location.origin);
    const found = measured === undefined ? await outlook() : await reportMeasured(measured);
    if (!closed && found.ok) known = found.value;
  }

  async function first(): Promise<void> {
    const guessed = await outlook();
    if (!closed && guessed.ok && known.length === 0) known = guessed.value;
    await look();
  }

  const timer = setInterval(() => {
    if (document.visibilityState === 'visible') void look();
  }, REFRESH_MS);
  onDestroy(() => {
    closed = true;
    clearInterval(timer);
  });
  void first();
  return { of: (title) => known.find((outlook) => outlook.title === title) };
}
