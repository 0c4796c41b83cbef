// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SESSION } from '../dev/fixtures';
import { href, navigate, parse, watch, type Route } from './router';

const read = (path: string): Route => parse(new URL(path, 'http://localhost'));

describe('addresses', () => {
  it.each([
    ['/', { page: 'catalogue' }],
    ['/index.html', { page: 'catalogue' }],
    ['/play/meteor', { page: 'play', title: 'meteor', start: false }],
    ['/play/meteor?start=1', { page: 'play', title: 'meteor', start: true }],
    ['/play/meteor/', { page: 'play', title: 'meteor', start: false }],
    [`/sessions/${SESSION.toUpperCase()}`, { page: 'session', session: SESSION }],
    [`/play/meteor?session=${SESSION.toUpperCase()}`, { page: 'play', title: 'meteor', start: false, session: SESSION }],
    ['/play/meteor?session=nonsense', { page: 'play', title: 'meteor', start: false }],
    ['/saves', { page: 'saves' }],
    ['/nodes', { page: 'nodes' }],
    ['/operator', { page: 'operator' }],
    ['/fleet', { page: 'fleet' }],
    ['/account', { page: 'account' }],
    ['/earnings', { page: 'earnings' }],
    ['/costs', { page: 'costs' }],
    ['/about', { page: 'about' }],
  ])('%s is read', (path, route) => {
    expect(read(path)).toEqual(route);
  });

  it.each(['/nope', '/play', '/play/', '/play/Meteor', '/play/a/b', '/sessions/1', '/sessions', `/play/${'a'.repeat(65)}`])(
    '%s is nothing of ours',
    (path) => {
      expect(read(path).page).toBe('not-found');
    },
  );

  it('are written as they are read', () => {
    const routes = [
      { page: 'catalogue' },
      { page: 'play', title: 'meteor', start: true },
      { page: 'play', title: 'meteor', start: false },
      { page: 'play', title: 'meteor', start: false, session: SESSION },
      { page: 'session', session: SESSION },
      { page: 'saves' },
      { page: 'nodes' },
      { page: 'operator' },
      { page: 'account' },
      { page: 'earnings' },
      { page: 'costs' },
      { page: 'about' },
    ] as const;
    for (const route of routes) expect(read(href(route))).toEqual(route);
  });
});

describe('following', () => {
  const seen: Route[] = [];
  let stop: () => void;

  beforeEach(() => {
    history.replaceState(null, '', '/');
    seen.length = 0;
    stop = watch((route) => seen.push(route));
  });
  afterEach(() => {
    stop();
    document.body.replaceChildren();
  });

  function click(html: string, init: MouseEventInit = {}): MouseEvent {
    document.body.innerHTML = html;
    const event = new MouseEvent('click', { bubbles: true, cancelable: true, ...init });
    document.body.querySelector('a, b')?.dispatchEvent(event);
    return event;
  }

  it('takes an own link without a reload, wherever in it the click falls', () => {
    document.body.innerHTML = '<a href="/nodes"><b>Machines</b></a>';
    const event = new MouseEvent('click', { bubbles: true, cancelable: true });
    document.querySelector('b')?.dispatchEvent(event);
    expect(event.defaultPrevented).toBe(true);
    expect(seen).toEqual([{ page: 'nodes' }]);
    expect(location.pathname).toBe('/nodes');
  });

  it.each([
    ['another tab', '<a href="/nodes" target="_blank">x</a>', {}],
    ['a modified click', '<a href="/nodes">x</a>', { ctrlKey: true }],
    ['another site', '<a href="https://example.org/">x</a>', {}],
    ['the API', '<a href="/v1/openapi.json">x</a>', {}],
    ['a place on this page', '<a href="/#main">x</a>', {}],
  ])('leaves %s to the browser', (_, html, init) => {
    expect(click(html, init).defaultPrevented).toBe(false);
    expect(seen).toEqual([]);
  });

  it('stops when told', () => {
    stop();
    navigate('/about');
    expect(seen).toEqual([]);
  });
});
