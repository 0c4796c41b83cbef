/**
 * The title's pointer, drawn by the browser: it answers at once and costs the video nothing.
 *
 * What arrives is a title's and trusted in nothing: names come from CSS's own list, pictures must be
 * base64 within bounds, and only a `data:image/png` address is ever made of them.
 */

import { positionInside, type Picture } from '../input/geometry';
import type { Scope } from '../scope';
import type { Cursor } from '../wire/control';

/** `cursor` keywords of CSS Basic User Interface 4. */
const NAMES: ReadonlySet<string> = new Set(
  (
    'default context-menu help pointer progress wait cell crosshair text vertical-text alias copy move no-drop not-allowed ' +
    'grab grabbing e-resize n-resize ne-resize nw-resize s-resize se-resize sw-resize w-resize ew-resize ns-resize ' +
    'nesw-resize nwse-resize col-resize row-resize all-scroll zoom-in zoom-out none'
  ).split(' '),
);
/** Browsers show no cursor that is larger, in CSS px. */
const MAX_SHOWN_PX = 128;
/** Smaller is not found again on the screen, in CSS px. */
const MIN_SHOWN_PX = 12;
/** Larger pictures are not cursors. */
const MAX_PX = 512;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/**
 * The CSS value that shows `cursor` where one pixel of the title is `scale` CSS px. `layered` says
 * whether the browser takes `image-set()`, without which a picture keeps its own size.
 */
export function cursorCss(cursor: Cursor, scale: number, layered: boolean): string {
  switch (cursor.kind) {
    case 'hidden':
      return 'none';
    case 'named':
      return NAMES.has(cursor.name) ? cursor.name : 'default';
    case 'picture':
      return pictureCss(cursor, scale, layered);
  }
}

function pictureCss(cursor: Extract<Cursor, { kind: 'picture' }>, scale: number, layered: boolean): string {
  const { width, height, png } = cursor;
  const longest = Math.max(width, height);
  const sound = [width, height].every((side) => Number.isInteger(side) && side >= 1 && side <= MAX_PX);
  if (!sound || !BASE64.test(png)) return 'default';
  const address = `url("data:image/png;base64,${png}")`;
  const shown = layered ? Math.min(MAX_SHOWN_PX / longest, Math.max(MIN_SHOWN_PX / longest, scale)) : 1;
  if (!layered && longest > MAX_SHOWN_PX) return 'default';
  const hot = (at: number, side: number): number => Math.round(Math.max(0, Math.min(side - 1, at)) * shown);
  const source = layered ? `image-set(${address} ${(1 / shown).toFixed(4)}x)` : address;
  return `${source} ${hot(cursor.hot_x, width)} ${hot(cursor.hot_y, height)}, auto`;
}

export class CursorView {
  #cursor: Cursor = { kind: 'named', name: 'default' };
  #inside = false;
  readonly #layered = CSS.supports('cursor', 'image-set(url("a.png") 1x) 0 0, auto');

  constructor(
    scope: Scope,
    private readonly stage: HTMLElement,
    private readonly picture: () => Picture,
  ) {
    scope.listen<PointerEvent>(stage, 'pointermove', (event) => {
      if (event.pointerType !== 'mouse') return;
      const inside = positionInside(this.picture(), event.clientX, event.clientY);
      if (inside === this.#inside) return;
      this.#inside = inside;
      this.#show();
    });
    scope.listen(window, 'resize', () => this.#show());
  }

  set cursor(cursor: Cursor) {
    this.#cursor = cursor;
    this.#show();
  }

  /** The page's own pointer again. */
  reset(): void {
    this.cursor = { kind: 'named', name: 'default' };
  }

  #show(): void {
    const { width, shown_width } = this.picture();
    this.stage.style.cursor = this.#inside ? cursorCss(this.#cursor, shown_width / Math.max(1, width), this.#layered) : '';
  }
}
