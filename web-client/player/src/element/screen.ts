/** The screen while playing: fullscreen with its fall-back, orientation, wake lock, refresh rate. */

import type { Scope } from '../scope';

/** Frames over which the refresh rate is measured. A busy browser misses refreshes, so that most intervals may be too long. */
const REFRESH_SAMPLES = 30;

/** Keys that browser and desktop keep outside fullscreen. */
const GAME_KEYS = ['Escape', 'Tab', 'AltLeft', 'AltRight'] as const;

interface KeyboardLock {
  lock(codes: readonly string[]): Promise<void>;
  unlock(): void;
}

interface OrientationLock {
  lock?(orientation: string): Promise<void>;
}

/** Fullscreen where the element may have it (not on iPhone), else filling the page. */
export async function toggleFullscreen(host: HTMLElement): Promise<void> {
  // Truthiness, because an iPhone has none of these properties.
  if (document.fullscreenElement) {
    await document.exitFullscreen();
    return;
  }
  if (!document.fullscreenEnabled) {
    host.toggleAttribute('data-fill');
    return;
  }
  await host.requestFullscreen({ navigationUI: 'hide' });
  const orientation = screen.orientation as OrientationLock | undefined;
  await orientation?.lock?.('landscape').catch(() => undefined);
  // These keys then reach the title; Esc held long still leaves fullscreen.
  const keyboard = (navigator as { keyboard?: KeyboardLock }).keyboard;
  await keyboard?.lock(GAME_KEYS).catch(() => undefined);
}

export function isFullscreen(host: HTMLElement): boolean {
  return document.fullscreenElement === host || host.hasAttribute('data-fill');
}

/** Keeps the screen on until the scope closes; the browser drops the lock whenever the page is hidden. */
export function keepAwake(scope: Scope): void {
  if (!('wakeLock' in navigator)) return;
  const acquire = async (): Promise<void> => {
    if (document.hidden) return;
    const lock = await navigator.wakeLock.request('screen');
    const release = (): void => void lock.release().catch(() => undefined);
    scope.add(release);
  };
  const tryAcquire = (): void => void acquire().catch(() => undefined);
  scope.listen(document, 'visibilitychange', tryAcquire);
  tryAcquire();
}

/** The display's refresh rate in Hz, from animation frames. */
export function measureRefresh(scope: Scope, done: (refresh_hz: number) => void): void {
  const at_ms: number[] = [];
  const next = (now_ms: number): void => {
    if (scope.closed) return;
    at_ms.push(now_ms);
    if (at_ms.length <= REFRESH_SAMPLES) {
      requestAnimationFrame(next);
      return;
    }
    const intervals = at_ms.slice(1).map((at, i) => at - (at_ms[i] ?? at)).sort((a, b) => a - b);
    const shortest_ms = intervals[Math.floor(REFRESH_SAMPLES / 10)] ?? 0;
    if (shortest_ms > 0) done(1000 / shortest_ms);
  };
  requestAnimationFrame(next);
}
