/**
 * The service worker: keeps what never changes, and the page itself for when the network is away.
 *
 * Deliberately never between a page and the API, nor before `/play/…`: playing needs the network anyway, and
 * starting this worker would only delay the first frame.
 * **Invariant:** no answer of the API and nothing without a content hash in its name is served from a cache
 * while the server answers.
 */
import { routeOf, STATIC_ROUTES } from './routing';

/** The worker's global scope, as far as it is used here. */
interface WorkerScope {
  addEventListener(type: 'install' | 'activate', listener: (event: LifecycleEvent) => void): void;
  addEventListener(type: 'fetch', listener: (event: FetchEvent) => void): void;
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
}
interface LifecycleEvent {
  waitUntil(work: Promise<unknown>): void;
  addRoutes?(routes: readonly unknown[]): Promise<void>;
}
interface FetchEvent extends LifecycleEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

const worker = self as unknown as WorkerScope;
const CACHE = 'nearframe-assets-1';
const INDEX = '/';
/** Old releases' assets are dropped past this many entries, oldest first. */
const MAX_ENTRIES = 120;

worker.addEventListener('install', (event) => {
  event.waitUntil(
    (async () => {
      // Where the browser can route by itself, these requests never wake the worker.
      await event.addRoutes?.(STATIC_ROUTES).catch(() => undefined);
      await worker.skipWaiting();
    })(),
  );
});

worker.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      const names = await caches.keys();
      await Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
      // Deliberately without navigation preload: it would ask for a one-time link twice.
      await worker.clients.claim();
    })(),
  );
});

worker.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const plan = url.origin === location.origin ? routeOf(request.method, request.mode, url.pathname) : 'network';
  if (plan === 'cache-first') event.respondWith(cacheFirst(request));
  else if (plan === 'index') event.respondWith(networkFirstIndex(request));
});

async function cacheFirst(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request);
  if (kept) return kept;
  const fresh = await fetch(request);
  if (fresh.ok) {
    await cache.put(request, fresh.clone());
    await trim(cache);
  }
  return fresh;
}

async function trim(cache: Cache): Promise<void> {
  const keys = await cache.keys();
  const surplus = keys.slice(0, Math.max(0, keys.length - MAX_ENTRIES));
  await Promise.all(surplus.map((key) => cache.delete(key)));
}

async function networkFirstIndex(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  try {
    const fresh = await fetch(request);
    // Every page is the same document, so one copy serves them all.
    if (fresh.ok && !fresh.redirected) await cache.put(INDEX, fresh.clone());
    return fresh;
  } catch (error) {
    const kept = await cache.match(INDEX);
    if (kept) return kept;
    throw error;
  }
}
