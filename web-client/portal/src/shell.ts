/** Mounts the shell around the first page; a chunk of its own beside the page's. */
import { mount } from 'svelte';
import App from './App.svelte';
import type { Page } from './pages';
import type { Route } from './router';

/** Shows the first page. */
export function mountShell(target: HTMLElement, route: Route, page: Page): void {
  mount(App, { target, props: { firstRoute: route, firstPage: page } });
}
