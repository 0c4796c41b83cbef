/**
 * The portal's addresses: a pure reading of paths, and one subscription to the History API.
 *
 * Deliberately without nesting, loaders or guards: eleven pages need none. The matchmaker serves the same
 * `index.html` for every path here, so a reload or a shared link opens the same page.
 */

/** Where the visitor is. */
export type Route =
  | { readonly page: 'catalogue' }
  /** `session` goes on with one that waits in this browser. */
  | { readonly page: 'play'; readonly title: string; readonly start: boolean; readonly session?: string }
  | { readonly page: 'session'; readonly session: string }
  | { readonly page: 'saves' }
  | { readonly page: 'nodes' }
  | { readonly page: 'operator' }
  | { readonly page: 'fleet' }
  | { readonly page: 'account' }
  | { readonly page: 'earnings' }
  | { readonly page: 'costs' }
  | { readonly page: 'about' }
  | { readonly page: 'not-found'; readonly path: string };

const TITLE_ID = /^[a-z0-9-]{1,64}$/;
const SESSION_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Reads a path and its query; what is no address of ours is `not-found`. */
export function parse(url: URL): Route {
  const path = url.pathname.replace(/\/+$/, '') || '/';
  const [, head = '', tail, ...rest] = path.split('/');
  if (rest.length > 0) return { page: 'not-found', path };
  if (tail === undefined) return parseSingle(head, path);
  if (head === 'play' && TITLE_ID.test(tail)) {
    const session = url.searchParams.get('session') ?? '';
    const start = url.searchParams.get('start') === '1';
    return { page: 'play', title: tail, start, ...(SESSION_ID.test(session) && { session: session.toLowerCase() }) };
  }
  if (head === 'sessions' && SESSION_ID.test(tail)) {
    return { page: 'session', session: tail.toLowerCase() };
  }
  return { page: 'not-found', path };
}

function parseSingle(head: string, path: string): Route {
  switch (head) {
    case '':
    case 'index.html':
      return { page: 'catalogue' };
    case 'saves':
    case 'nodes':
    case 'operator':
    case 'fleet':
    case 'account':
    case 'earnings':
    case 'costs':
    case 'about':
      return { page: head };
    default:
      return { page: 'not-found', path };
  }
}

/** The address of a route: what `parse` reads back. */
export function href(route: Exclude<Route, { page: 'not-found' }>): string {
  switch (route.page) {
    case 'catalogue':
      return '/';
    case 'play':
      if (route.session !== undefined) return `/play/${route.title}?session=${route.session}`;
      return `/play/${route.title}${route.start ? '?start=1' : ''}`;
    case 'session':
      return `/sessions/${route.session}`;
    default:
      return `/${route.page}`;
  }
}

/** True for a click that the page itself should follow: plain, same origin, same tab. */
export function isOwnClick(event: MouseEvent, anchor: HTMLAnchorElement): boolean {
  const modified = event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (event.defaultPrevented || modified || anchor.target !== '' || anchor.hasAttribute('download')) return false;
  return anchor.origin === location.origin && !anchor.pathname.startsWith('/v1/');
}

/** Goes to `path` without a reload. */
export function navigate(path: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, '', path);
  else history.pushState(null, '', path);
  dispatchEvent(new PopStateEvent('popstate'));
}

/** Calls `onRoute` for every later change of address, and follows own links; returns how to stop. */
export function watch(onRoute: (route: Route) => void): () => void {
  const scope = new AbortController();
  const { signal } = scope;
  addEventListener('popstate', () => onRoute(parse(new URL(location.href))), { signal });
  document.addEventListener(
    'click',
    (event) => {
      const anchor = event.target instanceof Element ? event.target.closest('a') : null;
      if (!anchor || !isOwnClick(event, anchor)) return;
      const onlyHash = anchor.hash !== '' && anchor.pathname === location.pathname;
      if (onlyHash) return;
      event.preventDefault();
      navigate(anchor.pathname + anchor.search + anchor.hash);
    },
    { signal },
  );
  return () => scope.abort();
}
