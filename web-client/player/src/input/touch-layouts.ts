/**
 * Authored layouts of on-screen controls, as a title's catalogue entry carries them (`protocol/src/title.rs`).
 * A title wrote them: whatever is out of bounds, or names what does not exist, is left out here.
 */

import { KEY_CODES } from '../wire/keys';
import type { Hold } from './touch-hands';

/** As the catalogue tells it. Places are percent of the picture: centre from the left and from the top, size of its height. */
export interface TouchControl {
  readonly kind: 'button' | 'stick' | 'dpad' | 'look';
  readonly label?: string | null;
  readonly x: number;
  readonly y: number;
  readonly size: number;
  /** Held by a button, by `KeyboardEvent.code`. */
  readonly keys?: readonly string[];
  /** Mouse button held by a button, or clicked by a tap on a look area. */
  readonly button?: number | null;
  /** Gamepad button held by a button (W3C standard mapping). */
  readonly pad?: number | null;
  /** One notch of the wheel by each press: −1 up, 1 down. */
  readonly wheel?: number | null;
  /** Keys of a stick or d-pad: up, left, down, right. */
  readonly directions?: readonly string[];
  readonly pad_stick?: 'left' | 'right' | null;
  /** Of a look area: mouse motion for the finger's motion, percent. */
  readonly sensitivity?: number | null;
  /** Stays down until it is touched again. */
  readonly toggle?: boolean;
}

export interface TouchLayout {
  readonly name: string;
  readonly controls: readonly TouchControl[];
}

/** More do not fit a screen. */
const LAYOUTS_MAX = 8;
const CONTROLS_MAX = 32;
const LABEL_MAX = 12;
const NAME_MAX = 16;
/** Buttons of the W3C standard mapping for up, left, down, right. */
const PAD_DIRECTIONS = [12, 14, 13, 15] as const;

/** A control that can be drawn, with everything it names looked up. */
export interface PlacedControl {
  readonly label: string;
  readonly x: number;
  readonly y: number;
  readonly size: number;
  readonly act: ControlAct;
}

export type ControlAct =
  | { readonly kind: 'button'; readonly holds: readonly Hold[]; readonly wheel: number; readonly toggle: boolean }
  /** Directions as holds: up, left, down, right. */
  | { readonly kind: 'directions'; readonly cross: boolean; readonly holds: readonly [Hold, Hold, Hold, Hold] }
  | { readonly kind: 'stick'; readonly stick: 'left' | 'right' }
  | { readonly kind: 'look'; readonly button: number | undefined; readonly gain: number };

export interface PlacedLayout {
  readonly name: string;
  readonly controls: readonly PlacedControl[];
}

export function placeLayouts(layouts: readonly TouchLayout[]): PlacedLayout[] {
  return layouts
    .slice(0, LAYOUTS_MAX)
    .map(({ name, controls }, i) => ({
      name: name.slice(0, NAME_MAX) || `Layout ${i + 1}`,
      controls: controls.slice(0, CONTROLS_MAX).flatMap((control) => placed(control) ?? []),
    }))
    .filter(({ controls }) => controls.length > 0);
}

function placed(control: TouchControl): PlacedControl | undefined {
  const act = actOf(control);
  if (act === undefined || ![control.x, control.y, control.size].every(Number.isFinite)) return undefined;
  const percent = (value: number, min: number): number => Math.max(min, Math.min(100, value));
  const label = (control.label ?? '').slice(0, LABEL_MAX);
  return { label, x: percent(control.x, 0), y: percent(control.y, 0), size: percent(control.size, 4), act };
}

function actOf(control: TouchControl): ControlAct | undefined {
  switch (control.kind) {
    case 'button': {
      const holds = holdsOf(control);
      const wheel = Math.sign(control.wheel ?? 0);
      return holds.length === 0 && wheel === 0 ? undefined : { kind: 'button', holds, wheel, toggle: control.toggle === true };
    }
    case 'stick':
    case 'dpad': {
      const cross = control.kind === 'dpad';
      const holds = directionsOf(control);
      if (holds !== undefined) return { kind: 'directions', cross, holds };
      return { kind: 'stick', stick: control.pad_stick ?? 'left' };
    }
    case 'look': {
      const gain = Math.max(10, Math.min(1_000, control.sensitivity ?? 100)) / 100;
      return { kind: 'look', button: mouseButton(control.button), gain };
    }
  }
}

function holdsOf({ keys = [], button, pad }: TouchControl): Hold[] {
  const holds: Hold[] = keys.flatMap((code) => keyOf(code) ?? []);
  const mouse = mouseButton(button);
  if (mouse !== undefined) holds.push({ kind: 'button', button: mouse });
  const index = indexBelow(pad, 32);
  if (index !== undefined) holds.push({ kind: 'pad', button: index });
  return holds;
}

function directionsOf({ kind, directions = [], pad_stick }: TouchControl): [Hold, Hold, Hold, Hold] | undefined {
  const [up, left, down, right] = directions.map(keyOf);
  if (up && left && down && right) return [up, left, down, right];
  if (kind !== 'dpad' || (pad_stick ?? undefined) !== undefined) return undefined;
  const [padUp, padLeft, padDown, padRight] = PAD_DIRECTIONS;
  const pad = (button: number): Hold => ({ kind: 'pad', button });
  return [pad(padUp), pad(padLeft), pad(padDown), pad(padRight)];
}

function keyOf(code: string): Hold | undefined {
  const key = KEY_CODES.get(code);
  return key === undefined ? undefined : { kind: 'key', key };
}

function mouseButton(button: number | null | undefined): number | undefined {
  return indexBelow(button, 5);
}

function indexBelow(value: number | null | undefined, limit: number): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < limit ? value : undefined;
}

/** The half-width of a direction's sector: between two of them both are held. */
const SECTOR = Math.cos((67.5 * Math.PI) / 180);

/** Which of up, left, down, right a deflection of −1..1 per axis holds. */
export function directionsHeld(x: number, y: number, dead: number): readonly [boolean, boolean, boolean, boolean] {
  const length = Math.hypot(x, y);
  if (length < dead) return [false, false, false, false];
  const [across, along] = [x / length, y / length];
  return [along < -SECTOR, across < -SECTOR, along > SECTOR, across > SECTOR];
}
