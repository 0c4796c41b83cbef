import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { captureKeyboard } from '../src/input/keyboard';
import { capturePointer } from '../src/input/pointer';
import { PointerLock } from '../src/input/pointer-lock';
import { GamepadPoller } from '../src/input/gamepad';
import { InputSender } from '../src/input/sender';
import { Scope } from '../src/scope';
import { parseInput, type InputEvent } from '../src/wire/input';

let scope: Scope;
let sender: InputSender;
let events: InputEvent[];
let wanted: boolean;
let now_ms: number;

beforeEach(() => {
  scope = new Scope();
  events = [];
  wanted = true;
  now_ms = 0;
  sender = new InputSender({
    send: (bytes) => {
      const packet = parseInput(bytes);
      events.push(...packet.events.map(({ event }) => event));
      sender.acknowledge(packet.first_serial + packet.events.length - 1);
    },
    now_ms: () => (now_ms += 100),
  });
});
afterEach(() => {
  scope.close();
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

function press(type: 'keydown' | 'keyup', code: string, more: KeyboardEventInit = {}): KeyboardEvent {
  const event = new KeyboardEvent(type, { code, cancelable: true, bubbles: true, ...more });
  window.dispatchEvent(event);
  return event;
}

describe('the keyboard', () => {
  const used = vi.fn();
  beforeEach(() => {
    captureKeyboard(scope, {
      sender: () => sender,
      wanted: () => wanted,
      shortcut: (event) => event.code === 'F3',
      becomesText: (event) => event.isComposing,
      pastes: () => false,
      settle: () => undefined,
      used,
    });
  });

  it('gives the title physical positions, once per press, and keeps them from the page', () => {
    expect(press('keydown', 'KeyW').defaultPrevented).toBe(true);
    press('keydown', 'KeyW', { repeat: true });
    press('keyup', 'KeyW');
    expect(events).toEqual([
      { kind: 'key', key: 26, down: true },
      { kind: 'key', key: 26, down: false },
    ]);
    expect(used).toHaveBeenCalledOnce();
  });

  it('leaves to page and browser what is theirs', () => {
    expect(press('keydown', 'F11').defaultPrevented).toBe(false);
    expect(press('keydown', 'KeyR', { metaKey: true }).defaultPrevented).toBe(false);
    expect(press('keydown', 'LaunchMail').defaultPrevented).toBe(false);
    wanted = false;
    expect(press('keydown', 'Space').defaultPrevented).toBe(false);
    expect(events).toEqual([]);
  });

  it('keeps the player’s own shortcuts from the title', () => {
    expect(press('keydown', 'F3').defaultPrevented).toBe(true);
    expect(events).toEqual([]);
  });

  it('leaves to the input method what it composes', () => {
    expect(press('keydown', 'KeyA', { isComposing: true }).defaultPrevented).toBe(false);
    expect(press('keyup', 'KeyA').defaultPrevented).toBe(true);
    expect(events).toEqual([]);
  });

  it('lets go of a key even after the title stopped wanting keys', () => {
    press('keydown', 'KeyW');
    wanted = false;
    press('keyup', 'KeyW');
    expect(events.at(-1)).toEqual({ kind: 'key', key: 26, down: false });
  });
});

describe('pointers', () => {
  const picture = { width: 1280, height: 720, left: 0, top: 0, shown_width: 640, shown_height: 360 };
  let stage: HTMLElement;
  let touches: 'direct' | 'mouse';
  let lock: PointerLock;
  const point = (type: string, init: PointerEventInit): void => {
    stage.dispatchEvent(new PointerEvent(type, { bubbles: true, cancelable: true, ...init }));
  };
  beforeEach(() => {
    stage = document.createElement('div');
    document.body.append(stage);
    touches = 'direct';
    lock = new PointerLock(scope, stage, () => undefined);
    const used = (): void => undefined;
    capturePointer(scope, stage, () => sender, { wanted: () => wanted, lock, touches: () => touches, picture: () => picture, used });
  });

  it('of a mouse are positions on the picture and buttons', () => {
    point('pointerdown', { pointerType: 'mouse', clientX: 320, clientY: 180, button: 2 });
    point('pointerup', { pointerType: 'mouse', button: 2 });
    expect(events).toEqual([
      { kind: 'position', x: 32_768, y: 32_768 },
      { kind: 'button', button: 2, down: true },
      { kind: 'button', button: 2, down: false },
    ]);
  });

  it('of fingers are touches, each with the smallest free number', () => {
    point('pointerdown', { pointerType: 'touch', pointerId: 70, clientX: 0, clientY: 0 });
    point('pointerdown', { pointerType: 'touch', pointerId: 71, clientX: 640, clientY: 360 });
    point('pointerup', { pointerType: 'touch', pointerId: 70, clientX: 0, clientY: 0 });
    point('pointerdown', { pointerType: 'touch', pointerId: 72, clientX: 0, clientY: 0 });
    point('pointercancel', { pointerType: 'touch', pointerId: 71, clientX: 640, clientY: 360 });
    point('pointermove', { pointerType: 'touch', pointerId: 99, clientX: 1, clientY: 1 });
    expect(events.map((event) => (event.kind === 'touch' ? [event.id, event.phase] : []))).toEqual([
      [0, 'begin'],
      [1, 'begin'],
      [0, 'end'],
      [0, 'begin'],
      [1, 'cancel'],
    ]);
  });

  it('of one finger are the mouse of a title with controls of its own on the screen', () => {
    touches = 'mouse';
    point('pointerdown', { pointerType: 'touch', pointerId: 5, clientX: 320, clientY: 180 });
    point('pointerdown', { pointerType: 'touch', pointerId: 6, clientX: 0, clientY: 0 });
    point('pointermove', { pointerType: 'touch', pointerId: 5, clientX: 640, clientY: 360 });
    point('pointerup', { pointerType: 'touch', pointerId: 6 });
    point('pointerup', { pointerType: 'touch', pointerId: 5, clientX: 640, clientY: 360 });
    expect(events).toEqual([
      { kind: 'position', x: 32_768, y: 32_768 },
      { kind: 'button', button: 0, down: true },
      { kind: 'position', x: 65_535, y: 65_535 },
      { kind: 'button', button: 0, down: false },
    ]);
  });

  it('of one finger drag and tap where the title wants relative motion', () => {
    vi.useFakeTimers();
    touches = 'mouse';
    lock.wanted = true;
    point('pointerdown', { pointerType: 'touch', pointerId: 5, clientX: 10, clientY: 10 });
    point('pointermove', { pointerType: 'touch', pointerId: 5, clientX: 40, clientY: 5 });
    point('pointerup', { pointerType: 'touch', pointerId: 5, clientX: 40, clientY: 5 });
    expect(events).toEqual([{ kind: 'motion', dx: 480, dy: -80 }]);
    point('pointerdown', { pointerType: 'touch', pointerId: 7, clientX: 10, clientY: 10 });
    point('pointerup', { pointerType: 'touch', pointerId: 7, clientX: 12, clientY: 10 });
    vi.advanceTimersByTime(60);
    vi.useRealTimers();
    expect(events.slice(1)).toEqual([
      { kind: 'button', button: 0, down: true },
      { kind: 'button', button: 0, down: false },
    ]);
  });

  it('turn the wheel in 1/120 notches, whatever unit the browser counts in', () => {
    for (const [deltaMode, deltaY] of [[0, 100], [1, 3], [2, 1]] as const) {
      stage.dispatchEvent(new WheelEvent('wheel', { deltaMode, deltaY, cancelable: true }));
    }
    expect(events).toEqual(Array.from({ length: 3 }, () => ({ kind: 'wheel', dx: 0, dy: 120 })));
  });

  it('are ignored while nothing is played', () => {
    wanted = false;
    point('pointerdown', { pointerType: 'mouse', clientX: 1, clientY: 1, button: 0 });
    expect(events).toEqual([]);
  });
});

describe('gamepads', () => {
  const pad = (index: number, x: number) => ({ index, connected: true, axes: [x, 0, 0, 0], buttons: [] });
  it('keep their number at the seat while others come and go', () => {
    const pads: (ReturnType<typeof pad> | null)[] = [pad(0, 0.1), pad(1, 0.2)];
    vi.stubGlobal('navigator', { getGamepads: () => pads });
    const used = vi.fn();
    const poller = new GamepadPoller(sender, used);
    poller.poll();
    poller.poll();
    expect(used).not.toHaveBeenCalled();
    pads[0] = null;
    pads[1] = pad(1, 0.9);
    poller.poll();
    expect(used).toHaveBeenCalledOnce();
    pads[2] = pad(2, 0.3);
    poller.poll();
    expect(events.map((event) => (event.kind === 'pad' || event.kind === 'pad_gone' ? [event.kind, event.pad] : []))).toEqual([
      ['pad', 0],
      ['pad', 1],
      ['pad_gone', 0],
      ['pad', 1],
      ['pad', 0],
    ]);
  });
});
