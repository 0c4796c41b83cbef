// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { followFocus, setFocusNav } from './focus-nav';

/** A button of 100 × 100 at a place; happy-dom has no layout of its own. */
function place(label: string, left: number, top: number): HTMLButtonElement {
  const button = document.createElement('button');
  button.textContent = label;
  button.getBoundingClientRect = () => new DOMRect(left, top, 100, 100);
  button.checkVisibility = () => true;
  return button;
}

function press(key: string, target: EventTarget = document.activeElement ?? document.body): KeyboardEvent {
  const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true });
  target.dispatchEvent(event);
  return event;
}

const focused = (): string | null | undefined => document.activeElement?.textContent;

describe('arrow keys', () => {
  const back = vi.fn();
  let stop: () => void;

  beforeEach(() => {
    const main = document.createElement('main');
    main.append(place('a', 0, 100), place('b', 120, 100), place('below', 0, 220), place('far', 0, 5000));
    document.body.replaceChildren(place('logo', 0, 0), main);
    back.mockClear();
    setFocusNav(true);
    stop = followFocus(back);
  });
  afterEach(() => {
    stop();
    document.body.replaceChildren();
  });

  it('enter the page at its main content, then move by place', () => {
    press('ArrowDown');
    expect(focused()).toBe('a');
    press('ArrowRight');
    expect(focused()).toBe('b');
    press('ArrowLeft');
    press('ArrowDown');
    expect(focused()).toBe('below');
    press('ArrowUp');
    press('ArrowUp');
    expect(focused()).toBe('logo');
  });

  it('scroll where nothing is near', () => {
    press('ArrowDown');
    press('ArrowDown');
    expect(press('ArrowDown').defaultPrevented).toBe(false);
    expect(focused()).toBe('below');
    expect(press('ArrowRight').defaultPrevented).toBe(true);
  });

  it('stay inside an open dialog', () => {
    const dialog = document.createElement('dialog');
    dialog.setAttribute('open', '');
    dialog.append(place('close', 500, 0));
    document.body.append(dialog);
    press('ArrowDown');
    expect(focused()).toBe('close');
  });

  it('belong to a field or the player while it has the focus', () => {
    const input = document.createElement('input');
    document.body.append(input);
    expect(press('ArrowDown', input).defaultPrevented).toBe(false);
  });

  it('belong to the game while it is played', () => {
    setFocusNav(false);
    expect(press('ArrowDown').defaultPrevented).toBe(false);
    press('Escape');
    expect(back).not.toHaveBeenCalled();
  });

  it('and Escape goes back, once, until told to stop', () => {
    press('Escape');
    expect(back).toHaveBeenCalledOnce();
    stop();
    press('Escape');
    expect(back).toHaveBeenCalledOnce();
  });
});
