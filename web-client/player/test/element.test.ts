import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import '../src/index';
import type { NearFrame } from '../src/index';
import { announcement, renderCard } from '../src/element/cards';
import { deflection } from '../src/element/touch-pad';
import { fitPicture, positionOn } from '../src/input/geometry';
import { padChanged, padState } from '../src/input/gamepad';
import { PAD_AT_REST } from '../src/wire/input';
import type { View } from '../src/session/view';

/** What happy-dom lacks and the element asks for when it is put into a page. */
beforeEach(() => {
  vi.stubGlobal('fetch', vi.fn(() => Promise.resolve(Response.json({ title: 'No machine is free', detail: 'Wait a minute.', code: 'no_capacity' }, { status: 503 }))));
});
afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

function add(attributes: Record<string, string> = {}): NearFrame {
  const element = document.createElement('near-frame');
  for (const [name, value] of Object.entries({ 'title-id': 'meteor', 'title-name': 'Meteor', ...attributes })) {
    element.setAttribute(name, value);
  }
  document.body.append(element);
  return element;
}

const inside = (element: NearFrame, selector: string): HTMLElement | null =>
  element.shadowRoot?.querySelector<HTMLElement>(selector) ?? null;

describe('<near-frame>', () => {
  it('shows a big play button and waits', () => {
    const element = add();
    expect(element.view).toEqual({ kind: 'idle' });
    expect(inside(element, '.big')?.getAttribute('aria-label')).toBe('Play Meteor');
    expect(fetch).not.toHaveBeenCalled();
  });

  it('tells the player what to do in a browser that cannot play', async () => {
    const element = add();
    const seen: string[] = [];
    element.addEventListener('nearframe-state', (event) => seen.push(event.detail.kind));
    inside(element, '.big')?.click();
    await vi.waitFor(() => expect(element.view.kind).toBe('failed'));
    expect(seen).toEqual(['starting', 'failed']);
    expect(inside(element, '.card h2')?.textContent).toBe('This browser cannot play');
    expect(inside(element, '[aria-live]')?.textContent).toContain('Use a current Chrome');
  });

  it('starts by itself once, where asked to', () => {
    const element = add({ start: '' });
    expect(element.view.kind).not.toBe('idle');
  });

  it('measures nothing before it plays, and says so', () => {
    const { stats } = add();
    expect(stats.frame_age_ms).toBeUndefined();
    expect(stats.matched).toBeUndefined();
    expect(add().debug().first_frame_ms).toBeUndefined();
  });

  it('can be removed and put back', () => {
    const element = add();
    element.remove();
    document.body.append(element);
    expect(inside(element, '.big')).not.toBeNull();
  });
});

describe('the menu', () => {
  it('names every button, and says which are on', () => {
    const bar = inside(add(), '.bar');
    const buttons = [...(bar?.querySelectorAll('button') ?? [])];
    expect(buttons.length).toBeGreaterThan(7);
    for (const button of buttons) expect(button.getAttribute('aria-label'), button.outerHTML).toBeTruthy();
    expect(bar?.querySelector('[aria-label="Turn the microphone on"]')?.getAttribute('aria-pressed')).toBe('false');
  });

  it('opens the settings, keeps what is chosen there, and closes them', async () => {
    localStorage.clear();
    const element = add({ start: '' });
    await vi.waitFor(() => expect(inside(element, '.settings')).not.toBeNull());
    element.touch = { stick: false, buttons: [], layouts: [{ name: 'Play', controls: [{ kind: 'dpad', x: 10, y: 80, size: 30 }] }] };
    inside(element, '[aria-label="Settings"]')?.click();
    const settings = inside(element, '.settings');
    expect(settings?.hidden).toBe(false);
    for (const control of settings?.querySelectorAll('select, input') ?? []) {
      expect(settings?.querySelector(`label[for="${control.id}"]`)?.textContent).toBeTruthy();
    }
    const layout = settings?.querySelector('select');
    if (!layout) throw new Error('the settings have a choice of layouts');
    layout.value = 'us:dvorak';
    layout.dispatchEvent(new Event('change'));
    expect(JSON.parse(localStorage.getItem('nearframe-player') ?? '')).toMatchObject({ layout: 'us:dvorak' });
    inside(element, '[aria-label="Close settings"]')?.click();
    expect(settings?.hidden).toBe(true);
    localStorage.clear();
  });

  it('goes on with nothing that this browser does not know', async () => {
    expect(await add().continue('6f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11')).toBe(false);
  });
});

describe('a card', () => {
  const context = { name: 'Meteor', cover: '/c.png', report: undefined, start: vi.fn(), leave: vi.fn() };
  const text = (view: View): string => renderCard(view, context).map((part) => part.textContent).join(' ');

  it('names the step that starting is in', () => {
    const [, card] = renderCard({ kind: 'starting', step: 'connecting', session: undefined }, context);
    expect([...(card?.querySelectorAll('li') ?? [])].map((item) => item.getAttribute('data-state'))).toEqual(['done', 'now', 'later']);
  });

  it('says why it ended or failed, and what to press', () => {
    expect(text({ kind: 'ended', session: 's', reason: 'node_lost', message: 'The machine went away.' })).toContain('The machine went away.');
    const problem = { code: 'no_capacity', title: 'No machine is free', detail: 'Try again in a minute.' };
    const failed: View = { kind: 'failed', session: undefined, problem };
    expect(text(failed)).toContain('Try again in a minute.');
    expect(announcement(failed, 'Meteor')).toContain('No machine is free');
    const [, card] = renderCard(failed, context);
    card?.querySelector('button')?.click();
    expect(context.start).toHaveBeenCalledOnce();
  });

  it('never covers a picture', () => {
    expect(renderCard({ kind: 'playing', session: 's' }, context)).toEqual([]);
    expect(renderCard({ kind: 'reconnecting', session: 's', since_ms: 0 }, context)).toEqual([]);
  });
});

describe('a position on the picture', () => {
  const wide = fitPicture(1280, 720, new DOMRect(0, 0, 1000, 1000));
  it('leaves out the letterbox', () => {
    expect(wide).toMatchObject({ left: 0, top: 218.75, shown_width: 1000, shown_height: 562.5 });
    expect(positionOn(wide, 500, 500)).toEqual({ x: 32_768, y: 32_768 });
  });
  it('is clamped to the edges', () => {
    expect(positionOn(wide, -5, 0)).toEqual({ x: 0, y: 0 });
    expect(positionOn(wide, 2_000, 999)).toEqual({ x: 65_535, y: 65_535 });
  });
});

describe('the stick on screen', () => {
  it('reaches full deflection at its rim and stays inside the circle beyond it', () => {
    expect(deflection(0, 0)).toEqual({ x: 0, y: 0 });
    expect(deflection(26, 0).x).toBeCloseTo(0.5);
    const far = deflection(300, -400);
    expect(Math.hypot(far.x, far.y)).toBeCloseTo(1);
    expect(far.y).toBeLessThan(0);
  });
});

describe('a gamepad', () => {
  const button = (value: number) => ({ pressed: value > 0.1, touched: false, value });
  const pad = (axes: number[], buttons: number[]): Gamepad =>
    ({ axes, buttons: buttons.map(button) }) as unknown as Gamepad;

  it('is read in the standard mapping, raw and clamped', () => {
    const state = padState(pad([-1, 1, 0.5, 9], [1, 0, 0, 0, 0, 0, 0.5, 1, ...Array.from({ length: 9 }, () => 0)]));
    expect(state.axes).toEqual([-32_767, 32_767, 16_384, 32_767]);
    expect(state.triggers).toEqual([32_768, 65_535]);
    expect(state.buttons).toBe((1 << 0) | (1 << 6) | (1 << 7));
  });

  it('with 32 buttons pressed stays unsigned', () => {
    expect(padState(pad([], Array.from({ length: 40 }, () => 1))).buttons).toBe(0xffff_ffff);
  });

  it('changes by more than noise, or when it comes to rest exactly', () => {
    const at = (x: number) => ({ ...PAD_AT_REST, axes: [x, 0, 0, 0] as const });
    expect(padChanged(PAD_AT_REST, at(50))).toBe(false);
    expect(padChanged(PAD_AT_REST, at(200))).toBe(true);
    expect(padChanged(at(50), PAD_AT_REST)).toBe(true);
    expect(padChanged(PAD_AT_REST, { ...PAD_AT_REST, buttons: 1 })).toBe(true);
  });
});
