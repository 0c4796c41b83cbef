/** Which component shows a route. Each page is its own chunk. */
import type { Component } from 'svelte';
import type { Route } from './router';

/** A page's component; every page takes its route. */
export type Page = Component<{ route: Route }>;

/** A page that is the same at every address takes its route and does not look at it. */
export function fixed(page: Component): Page {
  return page;
}

/** Fetches the page of a route. */
export async function pageOf(route: Route): Promise<Page> {
  switch (route.page) {
    case 'catalogue':
      return fixed((await import('./routes/Catalogue.svelte')).default);
    case 'play':
      return (await import('./routes/Play.svelte')).default;
    case 'session':
      return (await import('./routes/Session.svelte')).default;
    case 'saves':
      return fixed((await import('./routes/Saves.svelte')).default);
    case 'nodes':
      return fixed((await import('./routes/Nodes.svelte')).default);
    case 'operator':
      return fixed((await import('./routes/Operator.svelte')).default);
    case 'fleet':
      return fixed((await import('./routes/Fleet.svelte')).default);
    case 'account':
      return fixed((await import('./routes/Account.svelte')).default);
    case 'earnings':
      return fixed((await import('./routes/Earnings.svelte')).default);
    case 'costs':
      return fixed((await import('./routes/Costs.svelte')).default);
    case 'about':
      return fixed((await import('./routes/About.svelte')).default);
    case 'not-found':
      return (await import('./routes/NotFound.svelte')).default;
  }
}
