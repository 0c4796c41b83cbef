/**
 * Draws authored layouts of on-screen controls and gives each finger its own control. A finger that came down
 * on a button may slide on to others; one on a stick, a d-pad or a look area keeps it until it is lifted.
 *
 * Places are percent of the picture. Held upright, where the picture is a strip at the top, the same places are
 * taken in the space below it.
 */

import type { Picture } from '../input/geometry';
import { click, MotionScale, Tap } from '../input/pointer';
import type { InputSender } from '../input/sender';
import { TouchHands } from '../input/touch-hands';
import { directionsHeld, placeLayouts, type PlacedControl, type PlacedLayout, type TouchLayout } from '../input/touch-layouts';
import { Scope } from '../scope';
import { el } from './dom';

/** Smaller is missed by thumbs, CSS px. */
const MIN_CONTROL_PX = 48;
/** A finger may stray this far beyond a button's rim and still hold it, CSS px. */
const RIM_PX = 8;
const DPAD_DEAD = 0.28;
const STICK_DEAD = 0.22;
/** Felt, and over before the next press. */
const HAPTIC_MS = 8;
/** Held upright: controls are measured by a strip of this shape across the screen's width. */
const UPRIGHT_SHAPE = 0.62;

/** The rectangle that places are percent of, and the height that sizes are percent of; CSS px in the element. */
export interface PlayArea {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly unit: number;
}

/** Where controls go around a picture in a box of `width` × `height` at `x`, `y`. */
export function playArea(picture: Picture, box: DOMRect): PlayArea {
  const top = picture.top - box.top;
  const below = box.height - (top + picture.shown_height);
  if (box.height <= box.width || below < picture.shown_height * 0.6) {
    const { shown_width: width, shown_height: height } = picture;
    return { left: picture.left - box.left, top, width, height, unit: height };
  }
  const height = Math.min(below, box.width * 1.1);
  return { left: 0, top: box.height - height, width: box.width, height, unit: Math.min(height, box.width * UPRIGHT_SHAPE) };
}

interface Drawn {
  readonly control: PlacedControl;
  readonly element: HTMLElement;
  readonly knob: HTMLElement | undefined;
  /** Fingers on it; a toggle counts as one while it is down. */
  fingers: number;
  latched: boolean;
}

type Finger =
  | { readonly kind: 'buttons'; at: Drawn | undefined }
  | { readonly kind: 'lever'; readonly drawn: Drawn; readonly x: number; readonly y: number; readonly reach: number }
  | { readonly kind: 'look'; readonly drawn: Drawn; readonly gain: number; readonly scale: MotionScale; readonly tap: Tap; x: number; y: number };

export interface TouchLayoutOptions {
  readonly picture: () => Picture;
  /** A finger is on the controls: they are the device in the player's hands. */
  readonly used: () => void;
}

export class TouchLayoutView {
  readonly element = el('div', { class: 'layout', hidden: true });
  readonly #surface = el('div', { class: 'surface' });
  readonly #switch = el('div', { class: 'switch', role: 'radiogroup', 'aria-label': 'Controls on the screen' });
  readonly #hands = new TouchHands();
  readonly #fingers = new Map<number, Finger>();
  #layouts: readonly PlacedLayout[] = [];
  #chosen = 0;
  #drawn: Drawn[] = [];
  #wanted = false;
  #hidden = false;

  constructor(
    scope: Scope,
    private readonly options: TouchLayoutOptions,
  ) {
    this.element.append(this.#surface, this.#switch);
    const listen = (type: string, act: (event: PointerEvent) => void): void =>
      scope.listen<PointerEvent>(this.#surface, type, (event) => {
        event.preventDefault();
        event.stopPropagation();
        act(event);
      });
    listen('pointerdown', (event) => this.#down(event));
    listen('pointermove', (event) => this.#move(event));
    listen('pointerup', (event) => this.#up(event, true));
    listen('pointercancel', (event) => this.#up(event, false));
    scope.listen(this.#surface, 'contextmenu', (event) => event.preventDefault());
    scope.listen(window, 'blur', () => this.releaseAll());
    scope.listen(window, 'resize', () => this.place());
    scope.add(() => this.releaseAll());
  }

  get available(): boolean {
    return this.#layouts.length > 0;
  }

  get shown(): boolean {
    return !this.element.hidden;
  }

  configure(layouts: readonly TouchLayout[]): void {
    this.#layouts = placeLayouts(layouts);
    this.#choose(0);
  }

  /** The play that the controls work on; none while nothing is played. */
  connect(sender: InputSender | undefined): void {
    this.#hands.connect(sender);
    this.#refresh();
  }

  /** Hidden while another device is in the player's hands. */
  set wanted(wanted: boolean) {
    this.#wanted = wanted;
    this.#refresh();
  }

  /** Hidden because the player wants the picture alone. */
  set hidden(hidden: boolean) {
    this.#hidden = hidden;
    this.#refresh();
  }

  set opacity(opacity: number) {
    this.#surface.style.setProperty('--_touch-opacity', String(opacity));
  }

  /** Lets go of everything, toggles too. */
  releaseAll(): void {
    this.#fingers.clear();
    this.#hands.releaseAll();
    for (const drawn of this.#drawn) {
      drawn.fingers = 0;
      drawn.latched = false;
      this.#paint(drawn);
      if (drawn.knob) drawn.knob.style.transform = '';
    }
  }

  /** Puts the controls where the picture is now. */
  place(): void {
    if (!this.shown) return;
    const box = this.element.getBoundingClientRect();
    const area = playArea(this.options.picture(), box);
    for (const { control, element } of this.#drawn) {
      const size = Math.max(MIN_CONTROL_PX, (area.unit * control.size) / 100);
      element.style.setProperty('--_size', `${size}px`);
      element.style.setProperty('--_x', `${area.left + (area.width * control.x) / 100}px`);
      element.style.setProperty('--_y', `${area.top + (area.height * control.y) / 100}px`);
    }
  }

  #refresh(): void {
    const shown = this.#wanted && !this.#hidden && this.available && this.#hands.sender !== undefined;
    if (shown !== this.element.hidden) return;
    if (!shown) this.releaseAll();
    this.element.hidden = !shown;
    this.place();
  }

  #choose(index: number): void {
    this.releaseAll();
    this.#chosen = index;
    this.#drawn = (this.#layouts[index]?.controls ?? []).map(draw);
    // Look areas lie below: what is on them must still be reached.
    const looks = this.#drawn.filter(({ control }) => control.act.kind === 'look');
    const others = this.#drawn.filter(({ control }) => control.act.kind !== 'look');
    this.#surface.replaceChildren(...[...looks, ...others].map(({ element }) => element));
    this.#drawSwitch();
    this.#refresh();
    this.place();
  }

  #drawSwitch(): void {
    this.#switch.hidden = this.#layouts.length < 2;
    const option = ({ name }: PlacedLayout, i: number): HTMLElement =>
      el('button', { role: 'radio', 'aria-checked': String(i === this.#chosen), onclick: () => this.#choose(i) }, name);
    this.#switch.replaceChildren(...this.#layouts.map(option));
  }

  #down(event: PointerEvent): void {
    const drawn = this.#drawn.find(({ element }) => event.composedPath().includes(element));
    if (drawn === undefined || this.#fingers.has(event.pointerId)) return;
    this.options.used();
    if (event.isTrusted) this.#surface.setPointerCapture(event.pointerId);
    const { act } = drawn.control;
    if (act.kind === 'button') {
      this.#fingers.set(event.pointerId, { kind: 'buttons', at: undefined });
      if (act.toggle) this.#toggle(drawn);
      else this.#slide(event);
    } else if (act.kind === 'look') {
      const [x, y] = [event.clientX, event.clientY];
      this.#touch(drawn, 1);
      this.#fingers.set(event.pointerId, { kind: 'look', drawn, gain: act.gain, scale: new MotionScale(), tap: new Tap(event), x, y });
    } else if (drawn.fingers === 0) {
      const box = drawn.element.getBoundingClientRect();
      const lever = { kind: 'lever', drawn, x: box.left + box.width / 2, y: box.top + box.height / 2, reach: box.width / 2 } as const;
      this.#touch(drawn, 1);
      this.#fingers.set(event.pointerId, lever);
      this.#pull(lever, event);
    }
  }

  #move(event: PointerEvent): void {
    const finger = this.#fingers.get(event.pointerId);
    if (finger === undefined) return;
    if (finger.kind === 'lever') this.#pull(finger, event);
    else if (finger.kind === 'buttons') this.#slide(event);
    else {
      finger.tap.move(event);
      const [x, y] = [event.clientX - finger.x, event.clientY - finger.y];
      [finger.x, finger.y] = [event.clientX, event.clientY];
      const { dx, dy } = finger.scale.take(this.options.picture(), x * finger.gain, y * finger.gain);
      this.#hands.motion(dx, dy);
    }
  }

  #up(event: PointerEvent, lifted: boolean): void {
    const finger = this.#fingers.get(event.pointerId);
    if (finger === undefined) return;
    this.#fingers.delete(event.pointerId);
    if (finger.kind === 'buttons') {
      if (finger.at !== undefined) this.#let(finger.at);
      return;
    }
    const { act } = finger.drawn.control;
    if (finger.kind === 'lever') this.#rest(finger.drawn);
    this.#touch(finger.drawn, -1);
    if (lifted && finger.kind === 'look' && act.kind === 'look' && act.button !== undefined && finger.tap.is(event)) click(this.#hands.sender, act.button);
  }

  /** The button below the finger is the one that it holds. */
  #slide(event: PointerEvent): void {
    const finger = this.#fingers.get(event.pointerId);
    if (finger?.kind !== 'buttons') return;
    const now = this.#buttonAt(event.clientX, event.clientY);
    if (now === finger.at) return;
    if (finger.at !== undefined) this.#let(finger.at);
    finger.at = now;
    if (now !== undefined) this.#press(now);
  }

  #buttonAt(x: number, y: number): Drawn | undefined {
    let nearest: Drawn | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (const drawn of this.#drawn) {
      const { act } = drawn.control;
      if (act.kind !== 'button' || act.toggle) continue;
      const box = drawn.element.getBoundingClientRect();
      const distance = Math.hypot(x - (box.left + box.width / 2), y - (box.top + box.height / 2));
      if (distance > box.width / 2 + RIM_PX || distance >= least) continue;
      [nearest, least] = [drawn, distance];
    }
    return nearest;
  }

  #press(drawn: Drawn): void {
    this.#touch(drawn, 1);
    const { act } = drawn.control;
    if (act.kind !== 'button') return;
    for (const hold of act.holds) this.#hands.press(hold);
    if (act.wheel !== 0) this.#hands.wheel(act.wheel);
  }

  #let(drawn: Drawn): void {
    this.#touch(drawn, -1);
    const { act } = drawn.control;
    if (act.kind === 'button') for (const hold of act.holds) this.#hands.release(hold);
  }

  #toggle(drawn: Drawn): void {
    drawn.latched = !drawn.latched;
    if (drawn.latched) this.#press(drawn);
    else this.#let(drawn);
  }

  #pull({ drawn, x, y, reach }: Extract<Finger, { kind: 'lever' }>, event: PointerEvent): void {
    const [dx, dy] = [event.clientX - x, event.clientY - y];
    const scale = 1 / Math.max(reach, Math.hypot(dx, dy));
    const at = { x: dx * scale, y: dy * scale };
    if (drawn.knob) drawn.knob.style.transform = `translate(${at.x * reach * 0.6}px, ${at.y * reach * 0.6}px)`;
    const { act } = drawn.control;
    if (act.kind === 'stick') this.#hands.stick(act.stick, at.x, at.y);
    else if (act.kind === 'directions') this.#steer(drawn, directionsHeld(at.x, at.y, act.cross ? DPAD_DEAD : STICK_DEAD));
  }

  #rest(drawn: Drawn): void {
    if (drawn.knob) drawn.knob.style.transform = '';
    const { act } = drawn.control;
    if (act.kind === 'stick') this.#hands.stick(act.stick, 0, 0);
    else this.#steer(drawn, [false, false, false, false]);
  }

  /** Directions that changed are pressed or let go; which are held is written on the element for its looks. */
  #steer(drawn: Drawn, held: readonly boolean[]): void {
    const { act } = drawn.control;
    if (act.kind !== 'directions') return;
    const before = drawn.element.dataset['held'] ?? '';
    const names = ['u', 'l', 'd', 'r'] as const;
    names.forEach((name, i) => {
      const hold = act.holds[i];
      if (hold === undefined || held[i] === before.includes(name)) return;
      if (held[i] === true) this.#hands.press(hold);
      else this.#hands.release(hold);
    });
    const now = names.filter((_, i) => held[i]).join('');
    if (now !== before && now !== '') haptic();
    drawn.element.dataset['held'] = now;
  }

  #touch(drawn: Drawn, step: 1 | -1): void {
    drawn.fingers = Math.max(0, drawn.fingers + step);
    this.#paint(drawn);
    if (step === 1) haptic();
  }

  #paint(drawn: Drawn): void {
    drawn.element.toggleAttribute('data-down', drawn.fingers > 0);
    if (drawn.fingers === 0) delete drawn.element.dataset['held'];
  }
}

function haptic(): void {
  if ('vibrate' in navigator) navigator.vibrate(HAPTIC_MS);
}

/** Thumbs find these by place; screen readers, whose users have keys, are told their names. */
function draw(control: PlacedControl): Drawn {
  const { act, label } = control;
  const kind = act.kind === 'directions' ? (act.cross ? 'dpad' : 'stick') : act.kind;
  const name = label || { button: 'Button', stick: 'Stick', dpad: 'Directions', look: 'Look around' }[kind];
  const element = el('div', { class: `control ${kind}`, role: 'img', 'aria-label': name });
  const knob = kind === 'stick' ? el('div', { class: 'knob' }) : undefined;
  if (kind === 'dpad') element.append(...['u', 'l', 'd', 'r'].map((arm) => el('i', { 'data-arm': arm })));
  if (label !== '') element.append(el('span', { 'data-long': label.length > 4 }, label));
  if (knob) element.append(knob);
  return { control, element, knob, fingers: 0, latched: false };
}
