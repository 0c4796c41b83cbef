/** Registers the service worker, late enough never to compete with a starting game. */

/** The first seconds belong to the page; the worker only helps the next visit. */
const DELAY_MS = 4000;

/** Registers in production and secure pages; returns how to call it off. */
export function registerWorker(): () => void {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return () => undefined;
  const timer = setTimeout(() => {
    // Without a worker everything works except opening the page offline.
    navigator.serviceWorker.register('/sw.js').catch(() => undefined);
  }, DELAY_MS);
  return () => clearTimeout(timer);
}
