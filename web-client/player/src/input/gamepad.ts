/** Gamepads, polled: raw values without dead zones, sent when they change; rumble back. */

import type { Rumble } from '../wire/control';
import { MAX_PADS, type PadState } from '../wire/input';
import type { InputSender } from './sender';

/** Changes of a resting stick's noise, in i16 steps; below this nothing is sent. */
const AXIS_NOISE = 96;
const TRIGGER_NOISE = 192;
/** A stick beyond this half of its way counts as used by a hand. */
const USED_AXIS = 16_384;
/** Longest rumble that one message may ask for. */
const RUMBLE_MAX_MS = 5_000;

/** The pad in the wire's units, in the W3C standard mapping. */
export function padState(pad: Gamepad): PadState {
  const axis = (i: number): number => Math.round(Math.max(-1, Math.min(1, pad.axes[i] ?? 0)) * 32_767);
  const trigger = (i: number): number => Math.round(Math.max(0, Math.min(1, pad.buttons[i]?.value ?? 0)) * 65_535);
  let buttons = 0;
  pad.buttons.slice(0, 32).forEach((button, i) => {
    if (button.pressed) buttons |= 1 << i;
  });
  return { buttons: buttons >>> 0, axes: [axis(0), axis(1), axis(2), axis(3)], triggers: [trigger(6), trigger(7)] };
}

/** Whether the difference is more than a resting stick's noise; coming to rest exactly always counts. */
export function padChanged(old: PadState, now: PadState): boolean {
  const differs = (a: number, b: number, noise: number): boolean => Math.abs(a - b) > noise || (b === 0 && a !== 0);
  return (
    old.buttons !== now.buttons ||
    old.axes.some((axis, i) => differs(axis, now.axes[i] ?? 0, AXIS_NOISE)) ||
    old.triggers.some((trigger, i) => differs(trigger, now.triggers[i] ?? 0, TRIGGER_NOISE))
  );
}

/** Connected pads in the order of their slots. */
export function connectedPads(): Gamepad[] {
  if (!('getGamepads' in navigator)) return []; // Not on pages that are not secure.
  return [...navigator.getGamepads()].filter((pad): pad is Gamepad => pad?.connected === true).slice(0, MAX_PADS);
}

export class GamepadPoller {
  /** Number at the seat and last sent state, by the browser's pad index. */
  readonly #last = new Map<number, { number: number; state: PadState }>();

  constructor(
    private readonly sender: InputSender,
    /** A hand is on a real pad. */
    private readonly used: () => void,
  ) {}

  poll(): void {
    const pads = connectedPads();
    for (const [index, { number }] of this.#last) {
      if (pads.some((pad) => pad.index === index)) continue;
      this.#last.delete(index);
      this.sender.padGone(number);
    }
    for (const pad of pads) this.#pollPad(pad);
  }

  #pollPad(pad: Gamepad): void {
    const state = padState(pad);
    const known = this.#last.get(pad.index);
    if (known !== undefined && !padChanged(known.state, state)) return;
    if (state.buttons !== 0 || state.axes.some((axis) => Math.abs(axis) > USED_AXIS)) this.used();
    const number = known?.number ?? this.#freeNumber();
    if (number === undefined) return;
    this.#last.set(pad.index, { number, state });
    this.sender.pad(number, state);
  }

  #freeNumber(): number | undefined {
    const taken = new Set([...this.#last.values()].map(({ number }) => number));
    return Array.from({ length: MAX_PADS }, (_, i) => i).find((i) => !taken.has(i));
  }

  /** Shakes the pad, or the phone where the pad is the one on screen. */
  rumble(rumble: Rumble): void {
    const duration = Math.max(0, Math.min(RUMBLE_MAX_MS, rumble.duration_ms));
    const index = [...this.#last].find(([, { number }]) => number === rumble.pad)?.[0];
    const pad = connectedPads().find((candidate) => candidate.index === index);
    if (pad === undefined) {
      if ('vibrate' in navigator) navigator.vibrate(duration);
      return;
    }
    actuatorOf(pad)
      ?.playEffect('dual-rumble', {
        duration,
        strongMagnitude: Math.min(1, rumble.strong / 65_535),
        weakMagnitude: Math.min(1, rumble.weak / 65_535),
      })
      .catch(() => undefined);
  }
}

/** Absent on iOS and in Firefox, whatever the types say. */
function actuatorOf(pad: { readonly vibrationActuator?: GamepadHapticActuator | null }): GamepadHapticActuator | undefined {
  return pad.vibrationActuator ?? undefined;
}
