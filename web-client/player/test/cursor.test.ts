import { describe, expect, it } from 'vitest';
import { cursorCss } from '../src/element/cursor';
import type { Cursor } from '../src/wire/control';

const picture = (more: object = {}): Cursor => ({ kind: 'picture', png: 'iVBORw0KGgo=', hot_x: 4, hot_y: 8, width: 32, height: 32, ...more });

describe('a title’s cursor', () => {
  it('has a name of CSS or none', () => {
    expect(cursorCss({ kind: 'named', name: 'nwse-resize' }, 1, true)).toBe('nwse-resize');
    expect(cursorCss({ kind: 'named', name: 'url(https://elsewhere/)' }, 1, true)).toBe('default');
    expect(cursorCss({ kind: 'hidden' }, 1, true)).toBe('none');
  });

  it('is as large on the screen as it would be in the picture, and clicks at the same point', () => {
    expect(cursorCss(picture(), 0.5, true)).toBe('image-set(url("data:image/png;base64,iVBORw0KGgo=") 2.0000x) 2 4, auto');
    expect(cursorCss(picture(), 2, true)).toContain(' 0.5000x) 8 16, auto');
  });

  it('stays within what browsers show and hands find', () => {
    expect(cursorCss(picture({ width: 256, height: 256, hot_x: 255 }), 3, true)).toContain(' 2.0000x) 128 ');
    expect(cursorCss(picture(), 0.01, true)).toContain(`${(32 / 12).toFixed(4)}x)`);
  });

  it('keeps its own size where the browser cannot scale it', () => {
    expect(cursorCss(picture(), 2, false)).toBe('url("data:image/png;base64,iVBORw0KGgo=") 4 8, auto');
    expect(cursorCss(picture({ width: 200 }), 2, false)).toBe('default');
  });

  it.each([{ png: 'a") 1 1, url("https://x' }, { png: '' }, { width: 0 }, { height: 9_000 }, { width: 1.5 }])('that is not one is the usual arrow: %o', (more) => {
    expect(cursorCss(picture(more), 1, true)).toBe('default');
  });

  it('clicks inside itself, whatever it claims', () => {
    expect(cursorCss(picture({ hot_x: -5, hot_y: 900 }), 1, true)).toContain(' 0 31, auto');
  });
});
