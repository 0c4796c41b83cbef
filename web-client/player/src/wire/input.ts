/**
 * Input packets, byte for byte as `protocol/src/input.rs`: data channel 0, unordered, no
 * retransmission. Every packet repeats all unacknowledged events and ends with the full held state.
 */

import { Reader, WireError, Writer } from './bytes';

export const INPUT_VERSION = 1;
/** No packet carries more events. */
export const MAX_EVENTS = 64;
/** Gamepads per seat. */
export const MAX_PADS = 4;
/** Longest text of one event, in bytes of UTF-8. */
export const MAX_TEXT = 64;

/** Longest possible packet: header, 64 text events, held state with four pads. */
const MAX_PACKET_BYTES = 16 + MAX_EVENTS * (4 + MAX_TEXT) + 34 + MAX_PADS * 17;

/** State of one gamepad in the W3C standard mapping. */
export interface PadState {
  /** Bit *i* is button *i*. */
  readonly buttons: number;
  /** Left x, left y, right x, right y; −32767..=32767, right and down positive. */
  readonly axes: readonly [number, number, number, number];
  /** Left and right trigger, 0..=65535. */
  readonly triggers: readonly [number, number];
}

export const PAD_AT_REST: PadState = { buttons: 0, axes: [0, 0, 0, 0], triggers: [0, 0] };

export const TOUCH_PHASES = ['begin', 'move', 'end', 'cancel'] as const;
export type TouchPhase = (typeof TOUCH_PHASES)[number];

/** One thing the player did. Positions are 0..=65535 over the picture. */
export type InputEvent =
  | { readonly kind: 'key'; readonly key: number; readonly down: boolean }
  | { readonly kind: 'motion'; readonly dx: number; readonly dy: number }
  | { readonly kind: 'position'; readonly x: number; readonly y: number }
  | { readonly kind: 'button'; readonly button: number; readonly down: boolean }
  | { readonly kind: 'wheel'; readonly dx: number; readonly dy: number }
  | { readonly kind: 'touch'; readonly id: number; readonly phase: TouchPhase; readonly x: number; readonly y: number }
  | { readonly kind: 'pad'; readonly pad: number; readonly state: PadState }
  | { readonly kind: 'pad_gone'; readonly pad: number }
  | { readonly kind: 'text'; readonly text: string };

export interface TimedEvent {
  /** Age when the packet was sent, in 0.1 ms, saturating at 65535. */
  readonly age: number;
  readonly event: InputEvent;
}

/** Everything that is held down right now. */
export interface HeldState {
  /** 32 bytes; bit *c* is set while the key with code *c* is down. */
  readonly keys: Uint8Array<ArrayBuffer>;
  readonly buttons: number;
  readonly pads: readonly (readonly [number, PadState])[];
}

export interface InputPacket {
  readonly seat: number;
  readonly focused: boolean;
  /** Serial of the first event; of the next event to come when there is none. */
  readonly first_serial: number;
  /** The page's clock when it was sent. */
  readonly sent_us: bigint;
  readonly events: readonly TimedEvent[];
  readonly held: HeldState;
}

export function writeInput(packet: InputPacket): Uint8Array<ArrayBuffer> {
  if (packet.events.length > MAX_EVENTS || packet.held.pads.length > MAX_PADS) {
    throw new WireError('input packet too large');
  }
  const out = new Writer(MAX_PACKET_BYTES);
  out.u8(INPUT_VERSION).u8(packet.seat).u8(packet.focused ? 1 : 0).u8(packet.events.length);
  out.u32(packet.first_serial).u64(packet.sent_us);
  for (const timed of packet.events) writeEvent(out, timed);
  out.bytes(packet.held.keys).u8(packet.held.buttons).u8(packet.held.pads.length);
  for (const [pad, state] of packet.held.pads) writePad(out.u8(pad), state);
  return out.finish();
}

function writeEvent(out: Writer, { age, event }: TimedEvent): void {
  switch (event.kind) {
    case 'key':
      out.u8(event.down ? 1 : 2).u16(age).u8(event.key);
      break;
    case 'motion':
      out.u8(3).u16(age).i16(event.dx).i16(event.dy);
      break;
    case 'position':
      out.u8(4).u16(age).u16(event.x).u16(event.y);
      break;
    case 'button':
      out.u8(event.down ? 5 : 6).u16(age).u8(event.button);
      break;
    case 'wheel':
      out.u8(7).u16(age).i16(event.dx).i16(event.dy);
      break;
    case 'touch':
      out.u8(8).u16(age).u8(event.id).u8(TOUCH_PHASES.indexOf(event.phase)).u16(event.x).u16(event.y);
      break;
    case 'pad':
      writePad(out.u8(9).u16(age).u8(event.pad), event.state);
      break;
    case 'pad_gone':
      out.u8(10).u16(age).u8(event.pad);
      break;
    case 'text': {
      const text = new TextEncoder().encode(event.text);
      if (text.length > MAX_TEXT) throw new WireError('text event too long');
      out.u8(11).u16(age).u8(text.length).bytes(text);
      break;
    }
  }
}

function writePad(out: Writer, state: PadState): void {
  out.u32(state.buttons);
  for (const axis of state.axes) out.i16(axis);
  for (const trigger of state.triggers) out.u16(trigger);
}

/** Reads one packet; throws `WireError` on anything that the node would refuse. */
export function parseInput(bytes: Uint8Array<ArrayBuffer>): InputPacket {
  const r = new Reader(bytes);
  const version = r.u8();
  if (version !== INPUT_VERSION) throw new WireError(`version ${version} of this message is not spoken here`);
  const seat = r.u8();
  const focused = inRange('flags', r.u8(), 1) === 1;
  const count = inRange('event count', r.u8(), MAX_EVENTS);
  const first_serial = r.u32();
  const sent_us = r.u64();
  const events = Array.from({ length: count }, () => readEvent(r));
  const keys = r.bytes(32);
  const buttons = r.u8();
  const padCount = inRange('pad count', r.u8(), MAX_PADS);
  const pads = Array.from({ length: padCount }, () => [readPadIndex(r), readPad(r)] as const);
  r.end();
  return { seat, focused, first_serial, sent_us, events, held: { keys, buttons, pads } };
}

function inRange(field: string, value: number, max: number): number {
  if (value > max) throw new WireError(`the field ${field} is out of range`);
  return value;
}

function readEvent(r: Reader): TimedEvent {
  const tag = r.u8();
  return { age: r.u16(), event: readBody(r, tag) };
}

function readBody(r: Reader, tag: number): InputEvent {
  switch (tag) {
    case 1:
    case 2:
      return { kind: 'key', key: r.u8(), down: tag === 1 };
    case 3:
      return { kind: 'motion', dx: r.i16(), dy: r.i16() };
    case 4:
      return { kind: 'position', x: r.u16(), y: r.u16() };
    case 5:
    case 6:
      return { kind: 'button', button: inRange('button', r.u8(), 4), down: tag === 5 };
    case 7:
      return { kind: 'wheel', dx: r.i16(), dy: r.i16() };
    case 8: {
      const id = r.u8();
      const phase = TOUCH_PHASES[r.u8()];
      if (phase === undefined) throw new WireError('the field touch phase is out of range');
      return { kind: 'touch', id, phase, x: r.u16(), y: r.u16() };
    }
    case 9:
      return { kind: 'pad', pad: readPadIndex(r), state: readPad(r) };
    case 10:
      return { kind: 'pad_gone', pad: readPadIndex(r) };
    case 11:
      return { kind: 'text', text: readText(r) };
    default:
      throw new WireError('the field event tag is out of range');
  }
}

function readPadIndex(r: Reader): number {
  return inRange('pad', r.u8(), MAX_PADS - 1);
}

function readPad(r: Reader): PadState {
  return {
    buttons: r.u32(),
    axes: [r.i16(), r.i16(), r.i16(), r.i16()],
    triggers: [r.u16(), r.u16()],
  };
}

function readText(r: Reader): string {
  const bytes = r.bytes(inRange('text length', r.u8(), MAX_TEXT));
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new WireError('the field text is out of range');
  }
}
