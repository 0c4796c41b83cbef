/**
 * What authored on-screen controls hold: keys, mouse buttons and one gamepad, counted, so that two controls
 * may share a key and the first one let go does not release the other's.
 *
 * Invariant: after `releaseAll` nothing is held here and nothing of it at the title.
 */

import { PAD_AT_REST, type PadState } from '../wire/input';
import type { InputSender } from './sender';

/** The seat's first pad, which a screen shares with a real one: each hides the other. */
const PAD_NUMBER = 0;
/** W3C standard mapping. */
const LEFT_TRIGGER = 6;
const RIGHT_TRIGGER = 7;
const NOTCH = 120;

/** One thing that a control holds down. */
export type Hold =
  | { readonly kind: 'key'; readonly key: number }
  | { readonly kind: 'button'; readonly button: number }
  | { readonly kind: 'pad'; readonly button: number };

export class TouchHands {
  #sender: InputSender | undefined;
  readonly #held = new Map<string, { readonly hold: Hold; count: number }>();
  #axes: [number, number, number, number] = [0, 0, 0, 0];

  /** The play that hands work on; what is held on the old one is let go there. */
  connect(sender: InputSender | undefined): void {
    if (sender === this.#sender) return;
    this.releaseAll();
    this.#sender = sender;
  }

  press(hold: Hold): void {
    const name = nameOf(hold);
    const held = this.#held.get(name);
    if (held !== undefined) {
      held.count += 1;
      return;
    }
    this.#held.set(name, { hold, count: 1 });
    this.#send(hold, true);
  }

  release(hold: Hold): void {
    const name = nameOf(hold);
    const held = this.#held.get(name);
    if (held === undefined) return;
    held.count -= 1;
    if (held.count > 0) return;
    this.#held.delete(name);
    this.#send(hold, false);
  }

  /** −1..1 per axis of a pad's stick. */
  stick(which: 'left' | 'right', x: number, y: number): void {
    const at = which === 'left' ? 0 : 2;
    const axis = (value: number): number => Math.round(Math.max(-1, Math.min(1, value)) * 32_767);
    this.#axes[at] = axis(x);
    this.#axes[at + 1] = axis(y);
    this.#sendPad();
  }

  wheel(notches: number): void {
    this.#sender?.push({ kind: 'wheel', dx: 0, dy: notches * NOTCH });
  }

  motion(dx: number, dy: number): void {
    if (dx !== 0 || dy !== 0) this.#sender?.push({ kind: 'motion', dx, dy });
  }

  get sender(): InputSender | undefined {
    return this.#sender;
  }

  releaseAll(): void {
    const held = [...this.#held.values()];
    const moved = this.#axes.some((axis) => axis !== 0);
    this.#held.clear();
    this.#axes = [0, 0, 0, 0];
    for (const { hold } of held) this.#send(hold, false);
    if (moved) this.#sendPad();
  }

  #send(hold: Hold, down: boolean): void {
    if (hold.kind === 'key') this.#sender?.key(hold.key, down);
    else if (hold.kind === 'button') this.#sender?.button(hold.button, down);
    else this.#sendPad();
  }

  #sendPad(): void {
    let buttons = 0;
    for (const { hold } of this.#held.values()) if (hold.kind === 'pad') buttons |= 1 << hold.button;
    const trigger = (button: number): number => ((buttons >> button) & 1) * 65_535;
    const state: PadState = {
      ...PAD_AT_REST,
      buttons: buttons >>> 0,
      axes: [...this.#axes],
      triggers: [trigger(LEFT_TRIGGER), trigger(RIGHT_TRIGGER)],
    };
    this.#sender?.pad(PAD_NUMBER, state);
  }
}

function nameOf(hold: Hold): string {
  return hold.kind === 'key' ? `key ${hold.key}` : `${hold.kind} ${hold.button}`;
}
