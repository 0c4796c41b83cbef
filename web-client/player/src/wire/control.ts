/** The control channel (`protocol/src/control.rs`): data channel 2, ordered and reliable, JSON. */

import { number, object, parseObject, text } from './json';
import { readVersions, type Versions } from './version';

/** Longest control message, in bytes. */
export const MAX_CONTROL_BYTES = 16 * 1024;

export type ControlFromPage =
  | { readonly type: 'hello'; readonly versions: Versions }
  | { readonly type: 'display'; readonly width: number; readonly height: number; readonly refresh_hz: number }
  | { readonly type: 'receipt_signature'; readonly sequence: number; readonly signature: string }
  | { readonly type: 'hidden'; readonly hidden: boolean }
  | { readonly type: 'leave' };

/** What runs, for the statistics. */
export interface SessionFacts {
  readonly type: 'session';
  readonly seat: number;
  readonly title: string;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly encoder: string;
  readonly adapter: string;
  readonly conversion: string;
}

export interface Rumble {
  readonly type: 'rumble';
  readonly pad: number;
  /** Low-frequency motor, 0..=65535. */
  readonly strong: number;
  /** High-frequency motor, 0..=65535. */
  readonly weak: number;
  readonly duration_ms: number;
}

export type ControlToPage =
  | { readonly type: 'hello'; readonly versions: Versions }
  | SessionFacts
  | { readonly type: 'receipt'; readonly bytes: string }
  | Rumble
  | { readonly type: 'ended'; readonly reason: string; readonly message: string };

/** Reads one message; `undefined` for a type of a later release, a `WireError` for anything malformed. */
export function parseControl(raw: string): ControlToPage | undefined {
  const json = parseObject(raw);
  switch (text(json, 'type')) {
    case 'hello':
      return { type: 'hello', versions: readVersions(object(json, 'versions')) };
    case 'session':
      return {
        type: 'session',
        seat: number(json, 'seat'),
        title: text(json, 'title'),
        width: number(json, 'width'),
        height: number(json, 'height'),
        fps: number(json, 'fps'),
        encoder: text(json, 'encoder'),
        adapter: text(json, 'adapter'),
        conversion: text(json, 'conversion'),
      };
    case 'receipt':
      return { type: 'receipt', bytes: text(json, 'bytes') };
    case 'rumble':
      return {
        type: 'rumble',
        pad: number(json, 'pad'),
        strong: number(json, 'strong'),
        weak: number(json, 'weak'),
        duration_ms: number(json, 'duration_ms'),
      };
    case 'ended':
      return { type: 'ended', reason: text(json, 'reason'), message: text(json, 'message') };
    default:
      return undefined;
  }
}
