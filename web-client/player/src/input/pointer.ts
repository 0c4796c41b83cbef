/** Mouse, pen and fingers on the picture → motion, position, button, wheel and touch events. */

import type { Scope } from '../scope';
import type { TouchPhase } from '../wire/input';
import type { InputSender } from './sender';
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
  /** Whether the title wants relative motion (pointer lock). */
  readonly relative: () => boolean;
  /** The picture's pixels, and the rectangle that shows them, in CSS px. */
  readonly picture: () => Picture;
  readonly used: (type: string) => void;
}

export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
  readonly shown_width: number;
  readonly shown_height: number;
}

/** The letterboxed rectangle of a `width` × `height` picture in a box. */
export function fitPicture(width: number, height: number, box: DOMRect): Picture {
  const scale = Math.min(box.width / width, box.height / height);
  const [shown_width, shown_height] = [width * scale, height * scale];
  return {
    width,
    height,
    left: box.left + (box.width - shown_width) / 2,
    top: box.top + (box.height - shown_height) / 2,
    shown_width,
    shown_height,
  };
}

/** Where a client position lies on the picture, 0..=65535 each, clamped to its edges. */
export function positionOn(picture: Picture, clientX: number, clientY: number): { x: number; y: number } {
  const part = (at: number, from: number, length: number): number =>
    Math.round(Math.max(0, Math.min(1, (at - from) / Math.max(1, length))) * 65_535);
  return {
    x: part(clientX, picture.left, picture.shown_width),
    y: part(clientY, picture.top, picture.shown_height),
  };
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
  scope.add(() => {
    // Truthiness, because phones have neither property nor function.
    if (document.pointerLockElement) document.exitPointerLock();
  });
}

class PointerCapture {
  /** Finger number by pointer id. */
  readonly #fingers = new Map<number, number>();
  #rest = { x: 0, y: 0 };
  /** Whether this browser's raw updates carry motion; then the slower moves are ignored. */
  #rawMotion = false;

  constructor(
    private readonly stage: HTMLElement,
    private readonly sender: Sender,
    private readonly options: PointerOptions,
  ) {}

  get #locked(): boolean {
    const root = this.stage.getRootNode();
    return root instanceof ShadowRoot ? root.pointerLockElement === this.stage : document.pointerLockElement === this.stage;
  }

  down(event: PointerEvent): void {
    event.preventDefault();
    this.options.used(event.pointerType);
    if (event.pointerType !== 'mouse') {
      this.#touch(event, 'begin');
      return;
    }
    if (this.options.relative() && !this.#locked) {
      this.#lock();
      return;
    }
    if (!this.#locked) this.#position(event);
    this.sender()?.button(mouseButton(event.button), true, eventTime(event));
  }

  up(event: PointerEvent, phase: TouchPhase): void {
    if (event.pointerType !== 'mouse') this.#touch(event, phase);
    else this.sender()?.button(mouseButton(event.button), false, eventTime(event));
  }

  move(event: PointerEvent): void {
    if (event.pointerType !== 'mouse') {
      this.#touch(event, 'move');
      return;
    }
    // A press or release beside a held button arrives as a move (Pointer Events, "chorded buttons").
    if (event.type === 'pointermove' && event.button >= 0) {
      const button = mouseButton(event.button);
      this.sender()?.button(button, ((event.buttons >> [0, 2, 1, 3, 4].indexOf(button)) & 1) === 1, eventTime(event));
    }
    if (this.#locked) this.#motion(event);
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

  /** 1/8 px of the picture; what rounding leaves over is kept for the next event. */
  #motion(event: PointerEvent): void {
    const moved = event.movementX !== 0 || event.movementY !== 0;
    if (event.type === 'pointerrawupdate' && moved) this.#rawMotion = true;
    if (!moved || (event.type === 'pointermove' && this.#rawMotion)) return;
    const picture = this.options.picture();
    const x = this.#rest.x + (event.movementX * 8 * picture.width) / Math.max(1, picture.shown_width);
    const y = this.#rest.y + (event.movementY * 8 * picture.height) / Math.max(1, picture.shown_height);
    const [dx, dy] = [Math.trunc(x), Math.trunc(y)].map((v) => Math.max(-MOTION_MAX, Math.min(MOTION_MAX, v))) as [number, number];
    this.#rest = { x: x - Math.trunc(x), y: y - Math.trunc(y) };
    if (dx !== 0 || dy !== 0) this.sender()?.push({ kind: 'motion', dx, dy }, eventTime(event));
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

  /** Raw motion where the system gives it, else the accelerated one; refused, the mouse stays absolute. */
  #lock(): void {
    const lock = async (): Promise<void> => {
      try {
        await this.stage.requestPointerLock({ unadjustedMovement: true });
      } catch {
        await this.stage.requestPointerLock();
      }
    };
    lock().catch(() => undefined);
  }
}

/** DOM and wire count buttons alike: 0 left, 1 middle, 2 right, 3 back, 4 forward. */
function mouseButton(button: number): number {
  return Math.max(0, Math.min(4, button));
}
