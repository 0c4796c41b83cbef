/** Stick and buttons on a touch screen. They act as the seat's pad 0; each finger holds its own control. */

import type { Scope } from '../scope';
import type { InputSender } from '../input/sender';
import { eventTime } from '../input/time';
import type { TouchLayout } from '../input/touch-layouts';
import type { PadState } from '../wire/input';
import { el } from './dom';

/** What a title's `[touch]` asks for (`protocol/src/title.rs`). */
export interface TouchControls {
  readonly stick: boolean;
  /** Nearest to the thumb first; `button` is an index in the W3C standard mapping. */
  readonly buttons: readonly { readonly label: string; readonly button: number }[];
  /** Authored arrangements, which take the place of stick and buttons. */
  readonly layouts?: readonly TouchLayout[];
}

/** From the ring's centre to full deflection, px: the reach of a resting thumb. */
const STICK_REACH_PX = 52;
/** The ring at rest, from the lower left corner, px. */
const REST_PX = 104;
/** Buttons sit on a quarter circle around the right thumb: offsets from the lower right corner, px. */
const PLACES = [
  [78, 96],
  [166, 72],
  [88, 188],
  [176, 164],
  [254, 84],
  [98, 280],
] as const;
const PAD_NUMBER = 0;

/** Deflection −1..1 per axis of a finger `dx`, `dy` px from the ring's centre, inside the unit circle. */
export function deflection(dx: number, dy: number): { x: number; y: number } {
  const length = Math.hypot(dx, dy);
  const scale = 1 / Math.max(STICK_REACH_PX, length);
  return { x: dx * scale, y: dy * scale };
}

export class TouchPad {
  readonly element = el('div', { class: 'pad', hidden: true });
  #sender: InputSender | undefined;
  #stick = { x: 0, y: 0 };
  #down = 0;
  #wanted = false;
  #hidden = false;
  #config: TouchControls = { stick: false, buttons: [] };
  /** Owns the listeners of the controls drawn now. */
  #controls: Scope;

  constructor(private readonly scope: Scope) {
    this.#controls = scope.child();
  }

  /** Whether the title has anything to draw. */
  get available(): boolean {
    return this.#config.stick || this.#config.buttons.length > 0;
  }

  configure(config: TouchControls): void {
    this.#release();
    this.#config = config;
    this.#controls.close();
    this.#controls = this.scope.child();
    this.element.replaceChildren();
    if (config.stick) this.#addStick();
    config.buttons.slice(0, PLACES.length).forEach((button, i) => this.#addButton(button.label, button.button, i));
    this.#refresh();
  }

  /** The play that the controls work on; none while nothing is played. */
  connect(sender: InputSender | undefined): void {
    this.#sender = sender;
    this.#refresh();
  }

  /** Hidden while another device is in the player's hands. */
  set wanted(wanted: boolean) {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    if (!wanted) this.#release();
    this.#refresh();
  }

  /** Hidden because the player wants the picture alone. */
  set hidden(hidden: boolean) {
    this.#hidden = hidden;
    if (hidden) this.#release();
    this.#refresh();
  }

  set opacity(opacity: number) {
    this.element.style.setProperty('--_touch-opacity', String(opacity));
  }

  #refresh(): void {
    this.element.hidden = !(this.#wanted && !this.#hidden && this.available && this.#sender !== undefined);
  }

  #release(): void {
    if (this.#down === 0 && this.#stick.x === 0 && this.#stick.y === 0) return;
    this.#stick = { x: 0, y: 0 };
    this.#down = 0;
    this.#send(performance.now());
  }

  #send(at_ms: number): void {
    const axis = (value: number): number => Math.round(value * 32_767);
    const trigger = (button: number): number => ((this.#down >> button) & 1) * 65_535;
    const state: PadState = {
      buttons: this.#down >>> 0,
      axes: [axis(this.#stick.x), axis(this.#stick.y), 0, 0],
      triggers: [trigger(6), trigger(7)],
    };
    this.#sender?.pad(PAD_NUMBER, state, at_ms);
  }

  /** A stick that centres itself where the thumb comes down. */
  #addStick(): void {
    const knob = el('div', { class: 'knob' });
    const ring = el('div', { class: 'ring' }, knob);
    const zone = el('div', { class: 'zone', role: 'img', 'aria-label': 'Stick' }, ring);
    let centre: { x: number; y: number } | undefined;
    const rest = (): void => {
      centre = undefined;
      ring.style.left = `calc(${REST_PX}px + env(safe-area-inset-left, 0px))`;
      ring.style.top = `calc(100% - ${REST_PX}px - env(safe-area-inset-bottom, 0px))`;
      knob.style.transform = '';
    };
    const follow = (event: PointerEvent): void => {
      if (centre === undefined) return;
      this.#stick = deflection(event.clientX - centre.x, event.clientY - centre.y);
      knob.style.transform = `translate(${this.#stick.x * STICK_REACH_PX}px, ${this.#stick.y * STICK_REACH_PX}px)`;
      this.#send(eventTime(event));
    };
    holdPointer(this.#controls, zone, {
      down: (event) => {
        const box = zone.getBoundingClientRect();
        centre = { x: event.clientX, y: event.clientY };
        ring.style.left = `${event.clientX - box.left}px`;
        ring.style.top = `${event.clientY - box.top}px`;
        follow(event);
      },
      move: follow,
      up: (event) => {
        rest();
        this.#stick = { x: 0, y: 0 };
        this.#send(eventTime(event));
      },
    });
    rest();
    this.element.append(zone);
  }

  #addButton(label: string, button: number, place: number): void {
    const [right, bottom] = PLACES[place] ?? PLACES[0];
    const key = el('button', { class: 'key', tabindex: '-1' }, label);
    key.style.left = `calc(100% - ${right}px - env(safe-area-inset-right, 0px))`;
    key.style.top = `calc(100% - ${bottom}px - env(safe-area-inset-bottom, 0px))`;
    const press = (down: boolean, event: PointerEvent): void => {
      this.#down = down ? this.#down | (1 << button) : this.#down & ~(1 << button);
      key.toggleAttribute('data-down', down);
      this.#send(eventTime(event));
    };
    holdPointer(this.#controls, key, {
      down: (event) => press(true, event),
      move: () => undefined,
      up: (event) => press(false, event),
    });
    this.element.append(key);
  }
}

interface Hold {
  down(event: PointerEvent): void;
  move(event: PointerEvent): void;
  up(event: PointerEvent): void;
}

/** Gives one control to the first finger on it, until that finger goes. */
function holdPointer(scope: Scope, target: HTMLElement, hold: Hold): void {
  let holder: number | undefined;
  const listen = (type: string, act: (event: PointerEvent) => void): void =>
    scope.listen<PointerEvent>(target, type, (event) => {
      event.preventDefault();
      event.stopPropagation();
      act(event);
    });
  const release = (event: PointerEvent): void => {
    if (event.pointerId !== holder) return;
    holder = undefined;
    hold.up(event);
  };
  listen('pointerdown', (event) => {
    if (holder !== undefined) return;
    holder = event.pointerId;
    if (event.isTrusted) target.setPointerCapture(event.pointerId);
    hold.down(event);
  });
  listen('pointermove', (event) => {
    if (event.pointerId === holder) hold.move(event);
  });
  listen('pointerup', release);
  listen('pointercancel', release);
  scope.listen(target, 'contextmenu', (event) => event.preventDefault());
}
