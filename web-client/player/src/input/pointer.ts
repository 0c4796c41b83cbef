/** Mouse, pen and fingers on the picture → motion, position, button, wheel and touch events. */

import type { Scope } from '../scope';
import type { TouchPhase } from '../wire/input';
import type { PointerLock } from './pointer-lock';
import type { InputSender } from './sender';
import { positionOn, type Picture } from './geometry';
import { eventTime } from './time';

/** Pixels that one notch of a common wheel scrolls. */
const WHEEL_NOTCH_PX = 100;
/** Lines that one notch scrolls where a browser counts in lines. */
const WHEEL_NOTCH_LINES = 3;
const MOTION_MAX = 32_767;
/** Fingers followed at once. */
const TOUCHES_MAX = 10;

export interface PointerOptions {
  readonly wanted: () => boolean;
  readonly lock: PointerLock;
  /** Whether fingers are the title's own touches, or one of them is its mouse. */
  readonly touches: () => 'direct' | 'mouse';
  /** The picture's pixels, and the rectangle that shows them, in CSS px. */
  readonly picture: () => Picture;
  readonly used: (type: string) => void;
}

/** Motion in CSS px as 1/8 px of the picture; what rounding leaves over is kept for the next motion. */
export class MotionScale {
  #rest = { x: 0, y: 0 };

  take(picture: Picture, x_px: number, y_px: number): { readonly dx: number; readonly dy: number } {
    const whole = (value: number): number => Math.max(-MOTION_MAX, Math.min(MOTION_MAX, Math.trunc(value)));
    const x = this.#rest.x + (x_px * 8 * picture.width) / Math.max(1, picture.shown_width);
    const y = this.#rest.y + (y_px * 8 * picture.height) / Math.max(1, picture.shown_height);
    this.#rest = { x: x - Math.trunc(x), y: y - Math.trunc(y) };
    return { dx: whole(x), dy: whole(y) };
  }
}

/** Where events go; none while nothing is played. */
type Sender = () => InputSender | undefined;

export function capturePointer(scope: Scope, stage: HTMLElement, sender: Sender, options: PointerOptions): void {
  const pointer = new PointerCapture(stage, sender, options);
  const listen = (type: string, act: (event: PointerEvent) => void): void =>
    scope.listen<PointerEvent>(stage, type, (event) => {
      if (options.wanted()) act(event);
    });
  listen('pointerdown', (event) => pointer.down(event));
  listen('pointermove', (event) => pointer.move(event));
  listen('pointerrawupdate', (event) => pointer.move(event));
  scope.listen<PointerEvent>(window, 'pointerup', (event) => pointer.up(event, 'end'));
  scope.listen<PointerEvent>(window, 'pointercancel', (event) => pointer.up(event, 'cancel'));
  scope.listen<WheelEvent>(
    stage,
    'wheel',
    (event) => {
      if (!options.wanted()) return;
      event.preventDefault();
      pointer.wheel(event);
    },
    { passive: false },
  );
  scope.listen(stage, 'contextmenu', (event) => event.preventDefault());
}

class PointerCapture {
  /** Finger number by pointer id. */
  readonly #fingers = new Map<number, number>();
  readonly #scale = new MotionScale();
  /** The finger that is the title's mouse, and where and when it came down. */
  #mouse: FingerMouse | undefined;
  /** Whether this browser's raw updates carry motion; then the slower moves are ignored. */
  #rawMotion = false;

  constructor(
    private readonly stage: HTMLElement,
    private readonly sender: Sender,
    private readonly options: PointerOptions,
  ) {}

  down(event: PointerEvent): void {
    event.preventDefault();
    this.options.used(event.pointerType);
    if (event.pointerType !== 'mouse') {
      this.#finger(event, 'begin');
      return;
    }
    if (this.options.lock.press()) return;
    if (!this.options.lock.locked) this.#position(event);
    this.sender()?.button(mouseButton(event.button), true, eventTime(event));
  }

  up(event: PointerEvent, phase: TouchPhase): void {
    if (event.pointerType !== 'mouse') this.#finger(event, phase);
    else this.sender()?.button(mouseButton(event.button), false, eventTime(event));
  }

  move(event: PointerEvent): void {
    if (event.pointerType !== 'mouse') {
      this.#finger(event, 'move');
      return;
    }
    // A press or release beside a held button arrives as a move (Pointer Events, "chorded buttons").
    if (event.type === 'pointermove' && event.button >= 0) {
      const button = mouseButton(event.button);
      this.sender()?.button(button, ((event.buttons >> [0, 2, 1, 3, 4].indexOf(button)) & 1) === 1, eventTime(event));
    }
    if (this.options.lock.locked) this.#motion(event);
    else this.#position(event);
  }

  wheel(event: WheelEvent): void {
    const unit = event.deltaMode === 0 ? 120 / WHEEL_NOTCH_PX : event.deltaMode === 1 ? 120 / WHEEL_NOTCH_LINES : 120;
    const clamp = (delta: number): number => Math.max(-MOTION_MAX, Math.min(MOTION_MAX, Math.round(delta * unit)));
    this.sender()?.push({ kind: 'wheel', dx: clamp(event.deltaX), dy: clamp(event.deltaY) }, eventTime(event));
  }

  #position(event: PointerEvent): void {
    this.sender()?.push(
      { kind: 'position', ...positionOn(this.options.picture(), event.clientX, event.clientY) },
      eventTime(event),
    );
  }

  #motion(event: PointerEvent): void {
    const moved = event.movementX !== 0 || event.movementY !== 0;
    if (event.type === 'pointerrawupdate' && moved) this.#rawMotion = true;
    if (!moved || (event.type === 'pointermove' && this.#rawMotion)) return;
    this.#move(event.movementX, event.movementY, event);
  }

  #move(x_px: number, y_px: number, event: PointerEvent): void {
    const { dx, dy } = this.#scale.take(this.options.picture(), x_px, y_px);
    if (dx !== 0 || dy !== 0) this.sender()?.push({ kind: 'motion', dx, dy }, eventTime(event));
  }

  #finger(event: PointerEvent, phase: TouchPhase): void {
    if (this.options.touches() === 'direct' || this.#fingers.has(event.pointerId)) this.#touch(event, phase);
    else this.#fingerAsMouse(event, phase);
  }

  /**
   * One finger as the mouse: it presses where it comes down, or, for a title that wants relative motion,
   * moves by dragging and clicks by a tap.
   */
  #fingerAsMouse(event: PointerEvent, phase: TouchPhase): void {
    if (phase === 'begin') {
      if (this.#mouse !== undefined) return;
      const relative = this.options.lock.state !== 'idle';
      this.#mouse = { pointer: event.pointerId, relative, x: event.clientX, y: event.clientY, tap: new Tap(event) };
      if (event.isTrusted) this.stage.setPointerCapture(event.pointerId);
      if (relative) return;
      this.#position(event);
      this.sender()?.button(0, true, eventTime(event));
      return;
    }
    const mouse = this.#mouse;
    if (mouse?.pointer !== event.pointerId) return;
    if (phase === 'move') {
      mouse.tap.move(event);
      if (mouse.relative) this.#move(event.clientX - mouse.x, event.clientY - mouse.y, event);
      else this.#position(event);
      [mouse.x, mouse.y] = [event.clientX, event.clientY];
      return;
    }
    this.#mouse = undefined;
    if (mouse.relative && phase === 'end' && mouse.tap.is(event)) click(this.sender(), 0);
    else if (!mouse.relative) this.sender()?.button(0, false, eventTime(event));
  }

  #touch(event: PointerEvent, phase: TouchPhase): void {
    const id = phase === 'begin' ? this.#newFinger(event.pointerId) : this.#fingers.get(event.pointerId);
    if (id === undefined) return;
    if (phase === 'begin' && event.isTrusted) this.stage.setPointerCapture(event.pointerId);
    if (phase === 'end' || phase === 'cancel') this.#fingers.delete(event.pointerId);
    this.sender()?.push(
      { kind: 'touch', id, phase, ...positionOn(this.options.picture(), event.clientX, event.clientY) },
      eventTime(event),
    );
  }

  #newFinger(pointerId: number): number | undefined {
    const taken = new Set(this.#fingers.values());
    const id = Array.from({ length: TOUCHES_MAX }, (_, i) => i).find((i) => !taken.has(i));
    if (id !== undefined) this.#fingers.set(pointerId, id);
    return id;
  }
}

interface FingerMouse {
  readonly pointer: number;
  readonly relative: boolean;
  x: number;
  y: number;
  readonly tap: Tap;
}

/** Long enough for a title that looks at buttons once a frame. */
const CLICK_MS = 50;
/** A finger that stayed this near… */
const TAP_PX = 10;
/** …for this short meant a tap. */
const TAP_MS = 250;

/** Whether a finger's way was a tap. */
export class Tap {
  readonly #x: number;
  readonly #y: number;
  readonly #at_ms: number;
  #strayed = false;

  constructor(event: PointerEvent) {
    [this.#x, this.#y, this.#at_ms] = [event.clientX, event.clientY, eventTime(event)];
  }

  move(event: PointerEvent): void {
    this.#strayed ||= Math.hypot(event.clientX - this.#x, event.clientY - this.#y) > TAP_PX;
  }

  is(event: PointerEvent): boolean {
    this.move(event);
    return !this.#strayed && eventTime(event) - this.#at_ms <= TAP_MS;
  }
}

/** Presses a mouse button for as long as a title needs to see it. */
export function click(sender: InputSender | undefined, button: number): void {
  sender?.button(button, true);
  setTimeout(() => sender?.button(button, false), CLICK_MS);
}

/** DOM and wire count buttons alike: 0 left, 1 middle, 2 right, 3 back, 4 forward. */
function mouseButton(button: number): number {
  return Math.max(0, Math.min(4, button));
}
