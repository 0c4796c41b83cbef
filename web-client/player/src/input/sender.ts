/**
 * Repeats input until the node has seen it: every packet holds all unacknowledged events and the full
 * held state, so that a lost packet costs nothing and no key stays down. Serials go on across peers.
 *
 * Sans timers: `tick` is called every few milliseconds by the owner.
 * Invariant: the events kept have consecutive serials, at most `MAX_EVENTS` of them.
 */

import { MAX_EVENTS, MAX_PADS, PAD_AT_REST, writeInput, type InputEvent, type PadState } from '../wire/input';

/** Fine motion is merged into packets at least this far apart: 250 a second is more than any title draws. */
export const MOTION_SPACING_MS = 4;
/** Unacknowledged events are repeated this often: once per frame at 60 Hz. */
export const REPEAT_MS = 16;
/** Without anything new the held state is repeated this often. */
export const KEEP_ALIVE_MS = 250;
/** What the node has not seen after this is repeated only with the keep-alive: it is paused or gone. */
const FAST_REPEAT_LIMIT_MS = 1_000;

interface Kept {
  readonly at_ms: number;
  event: InputEvent;
}

export interface InputSenderOptions {
  /** Hands a packet to whichever connection is open; it may be lost. */
  readonly send: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly now_ms: () => number;
  /** Told of each new event, for input→visible. */
  readonly onEvent?: (serial: number, at_ms: number) => void;
  /** The session was begun by an earlier page: serials go on where the node says that it stopped. */
  readonly continued?: boolean;
}

export class InputSender {
  seat = 0;
  readonly #options: InputSenderOptions;
  readonly #kept: Kept[] = [];
  #first = 1;
  /** Serial after the newest one that was in a packet: events from here on may still be merged into. */
  #unsent = 1;
  readonly #keys = new Uint8Array(32);
  #buttons = 0;
  readonly #pads = new Map<number, PadState>();
  readonly #touches = new Map<number, { x: number; y: number }>();
  #focused = true;
  /** An earlier page's serials are not known yet, and nothing may be sent before they are. */
  #waiting: boolean;
  #sent_ms = Number.NEGATIVE_INFINITY;

  constructor(options: InputSenderOptions) {
    this.#options = options;
    this.#waiting = options.continued === true;
  }

  /** Serial that the next event gets. */
  get nextSerial(): number {
    return (this.#first + this.#kept.length) >>> 0;
  }

  get unacknowledged(): number {
    return this.#kept.length;
  }

  /** An event that happened at `at_ms` of the page's clock: sent now, fine motion within a few ms. */
  push(event: InputEvent, at_ms: number = this.#options.now_ms()): void {
    if (this.#waiting) return;
    this.#hold(event);
    if (!this.#merge(event)) this.#append(event, at_ms);
    const now_ms = this.#options.now_ms();
    if (!isFineMotion(event) || now_ms - this.#sent_ms >= MOTION_SPACING_MS) this.#transmit(now_ms);
  }

  key(code: number, down: boolean, at_ms?: number): void {
    if (this.#isDown(code) !== down) this.push({ kind: 'key', key: code, down }, at_ms);
  }

  button(button: number, down: boolean, at_ms?: number): void {
    if ((((this.#buttons >> button) & 1) === 1) !== down) this.push({ kind: 'button', button, down }, at_ms);
  }

  /** A pad's new state; nothing is sent where it is the old one. */
  pad(pad: number, state: PadState, at_ms?: number): void {
    const old = this.#pads.get(pad);
    if (pad >= MAX_PADS || (old !== undefined && samePad(old, state))) return;
    this.push({ kind: 'pad', pad, state }, at_ms);
  }

  padGone(pad: number): void {
    if (this.#pads.has(pad)) this.push({ kind: 'pad_gone', pad });
  }

  /** Without focus everything is released, here and at the node. */
  setFocused(focused: boolean): void {
    if (focused === this.#focused) return;
    if (!focused) this.releaseAll();
    this.#focused = focused;
    this.#transmit(this.#options.now_ms());
  }

  /** Lets go of all keys, buttons, fingers and sticks. */
  releaseAll(): void {
    for (let code = 0; code < 256; code += 1) this.key(code, false);
    for (let button = 0; button < 5; button += 1) this.button(button, false);
    for (const [id, at] of [...this.#touches]) this.push({ kind: 'touch', id, phase: 'cancel', ...at });
    for (const pad of [...this.#pads.keys()]) this.pad(pad, PAD_AT_REST);
  }

  /** The node's title has seen everything up to `serial`. */
  acknowledge(serial: number): void {
    if (this.#waiting) this.#goOnFrom((serial + 1) >>> 0);
    const count = ((serial - this.#first) | 0) + 1;
    if (count <= 0 || count > this.#kept.length) return;
    this.#kept.splice(0, count);
    this.#first = (this.#first + count) >>> 0;
  }

  #goOnFrom(serial: number): void {
    this.#waiting = false;
    this.#first = serial;
    this.#unsent = serial;
  }

  /** Sends what is due: merged motion, repeats, the keep-alive. */
  tick(now_ms: number): void {
    const since_ms = now_ms - this.#sent_ms;
    const hasUnsent = this.#unsent !== this.nextSerial;
    const newest = this.#kept.at(-1);
    const fast = newest !== undefined && now_ms - newest.at_ms < FAST_REPEAT_LIMIT_MS;
    const due_ms = hasUnsent ? MOTION_SPACING_MS : fast ? REPEAT_MS : KEEP_ALIVE_MS;
    if (since_ms >= due_ms) this.#transmit(now_ms);
  }

  #append(event: InputEvent, at_ms: number): void {
    if (this.#kept.length === MAX_EVENTS) {
      this.#kept.shift();
      this.#first = (this.#first + 1) >>> 0;
    }
    this.#options.onEvent?.(this.nextSerial, at_ms);
    this.#kept.push({ at_ms, event });
  }

  /** Folds fine motion into the newest event where that one was not sent yet. */
  #merge(event: InputEvent): boolean {
    const last = this.#kept.at(-1);
    if (last === undefined || this.#unsent === this.nextSerial) return false;
    const merged = mergeEvents(last.event, event);
    if (merged === undefined) return false;
    last.event = merged;
    return true;
  }

  #isDown(code: number): boolean {
    return (((this.#keys[code >> 3] ?? 0) >> (code & 7)) & 1) === 1;
  }

  #hold(event: InputEvent): void {
    switch (event.kind) {
      case 'key': {
        const bit = 1 << (event.key & 7);
        const byte = this.#keys[event.key >> 3] ?? 0;
        this.#keys[event.key >> 3] = event.down ? byte | bit : byte & ~bit;
        break;
      }
      case 'button':
        this.#buttons = event.down ? this.#buttons | (1 << event.button) : this.#buttons & ~(1 << event.button);
        break;
      case 'pad':
        this.#pads.set(event.pad, event.state);
        break;
      case 'pad_gone':
        this.#pads.delete(event.pad);
        break;
      case 'touch':
        if (event.phase === 'begin' || event.phase === 'move') this.#touches.set(event.id, { x: event.x, y: event.y });
        else this.#touches.delete(event.id);
        break;
    }
  }

  #transmit(now_ms: number): void {
    if (this.#waiting) return;
    this.#sent_ms = now_ms;
    this.#unsent = this.nextSerial;
    this.#options.send(
      writeInput({
        seat: this.seat,
        focused: this.#focused,
        first_serial: this.#first,
        sent_us: BigInt(Math.max(0, Math.round(now_ms * 1000))),
        events: this.#kept.map(({ at_ms, event }) => ({ age: ageOf(now_ms - at_ms), event })),
        held: { keys: this.#keys, buttons: this.#buttons, pads: [...this.#pads] },
      }),
    );
  }
}

/** Age in 0.1 ms, saturating. */
function ageOf(age_ms: number): number {
  return Math.max(0, Math.min(0xffff, Math.round(age_ms * 10)));
}

/** What arrives faster than it is worth sending. */
function isFineMotion(event: InputEvent): boolean {
  return event.kind === 'motion' || event.kind === 'position' || (event.kind === 'touch' && event.phase === 'move');
}

/** Both events as one; `undefined` where that would lose something. */
function mergeEvents(last: InputEvent, event: InputEvent): InputEvent | undefined {
  if ((last.kind === 'motion' && event.kind === 'motion') || (last.kind === 'wheel' && event.kind === 'wheel')) {
    const [dx, dy] = [last.dx + event.dx, last.dy + event.dy];
    return fitsI16(dx) && fitsI16(dy) ? { ...event, dx, dy } : undefined;
  }
  if (last.kind === 'position' && event.kind === 'position') return event;
  if (last.kind !== 'touch' || event.kind !== 'touch' || last.id !== event.id) return undefined;
  return last.phase === 'move' && event.phase === 'move' ? event : undefined;
}

function fitsI16(value: number): boolean {
  return value >= -32768 && value <= 32767;
}

function samePad(a: PadState, b: PadState): boolean {
  return (
    a.buttons === b.buttons &&
    a.axes.every((axis, i) => axis === b.axes[i]) &&
    a.triggers.every((trigger, i) => trigger === b.triggers[i])
  );
}
