import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { playArea, TouchLayoutView } from '../src/element/touch-layout';
import { fitPicture } from '../src/input/geometry';
import { InputSender } from '../src/input/sender';
import { directionsHeld, placeLayouts, type TouchControl } from '../src/input/touch-layouts';
import { Scope } from '../src/scope';
import { KEY_CODES } from '../src/wire/keys';
import { parseInput, type InputEvent } from '../src/wire/input';

const CTRL = KEY_CODES.get('ControlLeft');
const SPACE = KEY_CODES.get('Space');
const W = KEY_CODES.get('KeyW');

const FIRE: TouchControl = { kind: 'button', label: 'Fire', x: 80, y: 80, size: 20, keys: ['ControlLeft'] };
const USE: TouchControl = { kind: 'button', label: 'Use', x: 60, y: 80, size: 20, keys: ['Space'] };
const RUN: TouchControl = { kind: 'button', label: 'Run', x: 40, y: 80, size: 20, keys: ['ControlLeft'], toggle: true };
const WALK: TouchControl = { kind: 'stick', x: 20, y: 70, size: 40, directions: ['KeyW', 'KeyA', 'KeyS', 'KeyD'] };
const AIM: TouchControl = { kind: 'stick', x: 50, y: 50, size: 30, pad_stick: 'right' };
const LOOK: TouchControl = { kind: 'look', x: 75, y: 30, size: 40, sensitivity: 200, button: 2 };

let scope: Scope;
let view: TouchLayoutView;
let events: InputEvent[];

beforeEach(() => {
  scope = new Scope();
  events = [];
  let now_ms = 0;
  const sender: InputSender = new InputSender({
    send: (bytes) => {
      const packet = parseInput(bytes);
      events.push(...packet.events.map(({ event }) => event));
      sender.acknowledge(packet.first_serial + packet.events.length - 1);
    },
    now_ms: () => (now_ms += 100),
  });
  const picture = fitPicture(1280, 720, new DOMRect(0, 0, 1280, 720));
  view = new TouchLayoutView(scope, { picture: () => picture, used: () => undefined });
  document.body.append(view.element);
  view.configure([
    { name: 'Play', controls: [FIRE, USE, RUN, WALK, AIM, LOOK] },
    { name: 'Menu', controls: [USE] },
  ]);
  view.wanted = true;
  view.connect(sender);
  // No layout engine here: each control gets the rectangle that its place and size stand for.
  const places: readonly [string, TouchControl][] = [['Fire', FIRE], ['Use', USE], ['Run', RUN], ['Stick', WALK], ['Look around', LOOK]];
  for (const [name, { x, y, size }] of places) {
    const side = (720 * size) / 100;
    const box = new DOMRect((1280 * x) / 100 - side / 2, (720 * y) / 100 - side / 2, side, side);
    control(name).getBoundingClientRect = () => box;
  }
});
afterEach(() => {
  scope.close();
  document.body.replaceChildren();
});

function control(name: string): HTMLElement {
  const found = view.element.querySelector<HTMLElement>(`[aria-label="${name}"]`);
  if (found === null) throw new Error(`no control is called ${name}`);
  return found;
}
function finger(type: string, on: string, x: number, y: number, pointerId = 1): void {
  control(on).dispatchEvent(
    new PointerEvent(type, { bubbles: true, composed: true, cancelable: true, pointerId, pointerType: 'touch', clientX: (1280 * x) / 100, clientY: (720 * y) / 100 }),
  );
}
const down = (key: number | undefined) => ({ kind: 'key', key, down: true });
const up = (key: number | undefined) => ({ kind: 'key', key, down: false });

describe('buttons on the screen', () => {
  it('hold their keys while a finger is on them', () => {
    finger('pointerdown', 'Fire', 80, 80);
    expect(control('Fire').hasAttribute('data-down')).toBe(true);
    finger('pointerup', 'Fire', 80, 80);
    expect(events).toEqual([down(CTRL), up(CTRL)]);
    expect(control('Fire').hasAttribute('data-down')).toBe(false);
  });

  it('pass a sliding finger from one to the other, and out', () => {
    finger('pointerdown', 'Fire', 80, 80);
    finger('pointermove', 'Fire', 60, 80);
    finger('pointermove', 'Fire', 60, 10);
    expect(events).toEqual([down(CTRL), up(CTRL), down(SPACE), up(SPACE)]);
    finger('pointermove', 'Fire', 80, 80);
    expect(events.at(-1)).toEqual(down(CTRL));
  });

  it('share a key: the first one let go does not release it', () => {
    finger('pointerdown', 'Run', 40, 80, 1);
    finger('pointerup', 'Run', 40, 80, 1);
    finger('pointerdown', 'Fire', 80, 80, 2);
    finger('pointerup', 'Fire', 80, 80, 2);
    expect(events).toEqual([down(CTRL)]);
    finger('pointerdown', 'Run', 40, 80, 3);
    expect(events.at(-1)).toEqual(up(CTRL));
  });

  it('are let go when the finger is taken away, the page loses the focus, another layout comes or they hide', () => {
    const ways: (() => void)[] = [
      () => finger('pointercancel', 'Fire', 80, 80, 10),
      () => window.dispatchEvent(new Event('blur')),
      () => (view.hidden = true),
      () => view.element.querySelectorAll<HTMLElement>('[role=radio]')[1]?.click(),
    ];
    for (const [i, way] of ways.entries()) {
      view.hidden = false;
      events.length = 0;
      finger('pointerdown', 'Fire', 80, 80, 10 + i);
      way();
      expect(events).toEqual([down(CTRL), up(CTRL)]);
    }
    expect(view.element.querySelector('[aria-label="Fire"]')).toBeNull();
  });
});

describe('sticks, d-pads and look areas', () => {
  it('of keys hold one or two directions', () => {
    finger('pointerdown', 'Stick', 20, 60);
    expect(events).toEqual([down(W)]);
    finger('pointerup', 'Stick', 20, 60);
    expect(events.at(-1)).toEqual(up(W));
    expect(directionsHeld(0.6, -0.6, 0.2)).toEqual([true, false, false, true]);
    expect(directionsHeld(-0.9, 0.1, 0.2)).toEqual([false, true, false, false]);
    expect(directionsHeld(0.1, 0.1, 0.2)).toEqual([false, false, false, false]);
  });

  it('take no second finger', () => {
    finger('pointerdown', 'Stick', 20, 60, 1);
    finger('pointerdown', 'Stick', 20, 90, 2);
    finger('pointerup', 'Stick', 20, 90, 2);
    expect(events).toEqual([down(W)]);
  });

  it('move the mouse by dragging', () => {
    finger('pointerdown', 'Look around', 75, 30);
    finger('pointermove', 'Look around', 76, 30);
    finger('pointerup', 'Look around', 76, 30);
    const moved = events.filter((event) => event.kind === 'motion').reduce((sum, { dx }) => sum + dx, 0);
    expect(moved).toBe(Math.trunc(12.8 * 2 * 8));
    expect(events.every(({ kind }) => kind === 'motion')).toBe(true);
  });
});

describe('what a title’s layout may say', () => {
  it('is bounded, and what names nothing is left out', () => {
    const [layout] = placeLayouts([
      {
        name: 'A name that does not fit any switch at all',
        controls: [
          { kind: 'button', x: 900, y: -3, size: 1, keys: ['KeyW', 'Nonsense'], button: 9, label: 'A label far too long' },
          { kind: 'button', x: 1, y: 1, size: 10, keys: ['Nonsense'] },
          { kind: 'dpad', x: Number.NaN, y: 1, size: 10 },
          { kind: 'dpad', x: 1, y: 1, size: 10 },
        ],
      },
    ]);
    expect(layout?.name.length).toBeLessThanOrEqual(16);
    expect(layout?.controls).toHaveLength(2);
    expect(layout?.controls[0]).toMatchObject({ x: 100, y: 0, size: 4, label: 'A label far ', act: { holds: [{ kind: 'key', key: W }] } });
    expect(layout?.controls[1]?.act).toMatchObject({ kind: 'directions', holds: [{ kind: 'pad', button: 12 }, { button: 14 }, { button: 13 }, { button: 15 }] });
    expect(placeLayouts(Array.from({ length: 30 }, () => ({ name: '', controls: [FIRE] })))).toHaveLength(8);
    expect(placeLayouts([{ name: 'empty', controls: [] }])).toEqual([]);
  });
});

describe('the place of controls', () => {
  it('is the picture sideways, and the space below it upright', () => {
    const wide = new DOMRect(0, 0, 844, 390);
    const sideways = fitPicture(1280, 720, wide);
    expect(playArea(sideways, wide)).toMatchObject({ left: sideways.left, width: sideways.shown_width, unit: 390 });
    const tall = new DOMRect(0, 0, 390, 844);
    const strip = fitPicture(1280, 720, new DOMRect(0, 60, 390, 219));
    const area = playArea(strip, tall);
    expect(area.top).toBeGreaterThan(280);
    expect(area.top + area.height).toBe(844);
    expect(area.width).toBe(390);
  });
});
