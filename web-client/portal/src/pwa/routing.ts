/** What the service worker does with a request: decided by its method, mode and path alone. */

/** `cache-first`: named by its content. `index`: the page. `network`: not the worker's business. */
export type Plan = 'cache-first' | 'index' | 'network';

/** Paths that the browser sends straight to the network without waking the worker. */
export const STATIC_ROUTES = [
  { condition: { urlPattern: '/v1/*' }, source: 'network' },
  { condition: { urlPattern: '/play/*' }, source: 'network' },
  { condition: { urlPattern: '/operator*' }, source: 'network' },
] as const;

const HASHED = /^\/assets\/[^/]+-[\w-]{8}\.\w+$/;
/** Pages that the shell can show without the server; the operator's one-time link must always reach it. */
const PAGES = /^\/(?:index\.html|about|nodes|sessions\/[\w-]+)?$/;

/** Decides for a same-origin request. */
export function routeOf(method: string, mode: string, path: string): Plan {
  if (method !== 'GET') return 'network';
  if (HASHED.test(path)) return 'cache-first';
  return mode === 'navigate' && PAGES.test(path) ? 'index' : 'network';
}
