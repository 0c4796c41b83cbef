import { describe, expect, it } from 'vitest';
import { SESSION } from '../../dev/fixtures';
import { routeOf } from './routing';

describe('the service worker', () => {
  it.each([
    ['GET', 'cors', '/v1/titles'],
    ['POST', 'cors', '/v1/sessions'],
    ['GET', 'navigate', '/play/meteor'],
    ['GET', 'navigate', '/operator'],
    ['GET', 'navigate', '/v1/titles/meteor/cover'],
    ['GET', 'no-cors', '/sw.js'],
    ['GET', 'cors', '/manifest.webmanifest'],
    ['HEAD', 'cors', '/assets/main-AbCd1234.js'],
    ['GET', 'cors', '/assets/main.js'],
  ])('leaves %s (%s) %s to the network', (method, mode, path) => {
    expect(routeOf(method, mode, path)).toBe('network');
  });

  it('keeps only what is named by its content', () => {
    expect(routeOf('GET', 'cors', '/assets/main-AbCd_-34.js')).toBe('cache-first');
  });

  it('asks the network first for pages', () => {
    for (const path of ['/', '/index.html', '/about', '/nodes', `/sessions/${SESSION}`]) {
      expect(routeOf('GET', 'navigate', path), path).toBe('index');
    }
  });
});
