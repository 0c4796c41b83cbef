/** The control channel (`protocol/src/control.rs`): data channel 2, ordered and reliable, JSON. */

import { WireError } from './bytes';
import { count, flag, number, object, optionalText, parseObject, text, type Json } from './json';
import { readVersions, type Versions } from './version';

/** Longest control message, in bytes. */
export const MAX_CONTROL_BYTES = 64 * 1024;
/** Longest text that travels from clipboard to clipboard, in bytes of UTF-8. */
export const MAX_CLIPBOARD_BYTES = 32 * 1024;

/** What the browser says of a decoder, for the title's picture. */
export interface DecoderFacts {
  readonly codec: 'h264' | 'hevc' | 'hevc10' | 'av1';
  readonly smooth: boolean;
  /** Hardware, or as sparing. */
  readonly efficient: boolean;
}

export type ControlFromPage =
  | { readonly type: 'hello'; readonly versions: Versions }
  | { readonly type: 'display'; readonly width: number; readonly height: number; readonly refresh_hz: number }
  | { readonly type: 'receipt_signature'; readonly sequence: number; readonly signature: string }
  | { readonly type: 'hidden'; readonly hidden: boolean }
  | { readonly type: 'leave' }
  /** By its names in xkb; keys themselves travel by position. */
  | { readonly type: 'keyboard'; readonly layout: string; readonly variant: string }
  | { readonly type: 'clipboard'; readonly text: string }
  | { readonly type: 'microphone'; readonly on: boolean }
  /** What the device decodes, whether it runs on its battery, and whether its display shows HDR10 that the browser takes. */
  | { readonly type: 'decoders'; readonly decoders: readonly DecoderFacts[]; readonly on_battery: boolean; readonly hdr: boolean }
  /** The most that the player wants video to take, kbit/s; `null` lifts it. */
  | { readonly type: 'data_cap'; readonly kbps: number | null };

const TITLE_KINDS = ['app', 'scene', 'builtin'] as const;
export type TitleKind = (typeof TITLE_KINDS)[number];

/** What runs, for the statistics. */
export interface SessionFacts {
  readonly type: 'session';
  readonly seat: number;
  readonly title: string;
  readonly kind: TitleKind;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly encoder: string;
  readonly adapter: string;
  readonly conversion: string;
}

const LIMITS = ['none', 'network', 'node', 'device', 'data_cap'] as const;
/** What keeps a picture from being the title's own; `data_cap` is the player's wish. */
export type Limit = (typeof LIMITS)[number];

/** How the node encodes the picture from the next keyframe on, and what keeps it from being better. */
export interface Quality {
  readonly type: 'quality';
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly limit: Limit;
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

/** How a pointer looks. The page draws it, never the picture, so that it answers at once. */
export type Cursor =
  | { readonly kind: 'hidden' }
  /** By its name in CSS. */
  | { readonly kind: 'named'; readonly name: string }
  | {
      readonly kind: 'picture';
      /** PNG, base64 (standard, padded). */
      readonly png: string;
      /** The point that clicks, from the left and upper edge, in pixels of the title's picture. */
      readonly hot_x: number;
      readonly hot_y: number;
      readonly width: number;
      readonly height: number;
    };

export type ControlToPage =
  | { readonly type: 'hello'; readonly versions: Versions }
  | SessionFacts
  | Quality
  /** Frames from this one on are the title's; those before answered the session's challenge. */
  | { readonly type: 'begins'; readonly rtp_timestamp: number }
  | { readonly type: 'receipt'; readonly bytes: string }
  | Rumble
  | { readonly type: 'cursor'; readonly cursor: Cursor }
  /** The title has locked the pointer (it wants relative motion), or lets it go. */
  | { readonly type: 'pointer_locked'; readonly locked: boolean }
  /** The title has a text field in focus, or has none any more. */
  | { readonly type: 'text_input'; readonly active: boolean }
  /** The title put text on the clipboard. */
  | { readonly type: 'clipboard'; readonly text: string }
  /** Something is wrong that the player should know of; the session goes on. */
  | { readonly type: 'warning'; readonly text: string }
  | { readonly type: 'ended'; readonly reason: string; readonly message: string };

/** What a title, or the node for it, asks of the page around its picture. */
export type TitleWish = Extract<ControlToPage, { type: 'cursor' | 'pointer_locked' | 'text_input' | 'clipboard' | 'warning' }>;

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
        kind: titleKind(json),
        width: number(json, 'width'),
        height: number(json, 'height'),
        fps: number(json, 'fps'),
        encoder: text(json, 'encoder'),
        adapter: text(json, 'adapter'),
        conversion: text(json, 'conversion'),
      };
    case 'quality':
      return { type: 'quality', width: count(json, 'width'), height: count(json, 'height'), fps: count(json, 'fps'), limit: readLimit(json) };
    case 'begins':
      return { type: 'begins', rtp_timestamp: count(json, 'rtp_timestamp') };
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
    case 'cursor':
      return { type: 'cursor', cursor: readCursor(object(json, 'cursor')) };
    case 'pointer_locked':
      return { type: 'pointer_locked', locked: flag(json, 'locked') };
    case 'text_input':
      return { type: 'text_input', active: flag(json, 'active') };
    case 'clipboard':
      return { type: 'clipboard', text: text(json, 'text') };
    case 'warning':
      return { type: 'warning', text: text(json, 'text') };
    case 'ended':
      return { type: 'ended', reason: text(json, 'reason'), message: text(json, 'message') };
    default:
      return undefined;
  }
}

/** Absent from a node of the release before, which runs no programs. */
function titleKind(json: Json): TitleKind {
  const kind = optionalText(json, 'kind') ?? 'builtin';
  const known = TITLE_KINDS.find((name) => name === kind);
  if (known === undefined) throw new WireError('kind is none of app, scene and builtin');
  return known;
}

function readLimit(json: Json): Limit {
  const limit = text(json, 'limit');
  const known = LIMITS.find((name) => name === limit);
  if (known === undefined) throw new WireError('limit is none of none, network, node, device and data_cap');
  return known;
}

function readCursor(json: Json): Cursor {
  switch (text(json, 'kind')) {
    case 'hidden':
      return { kind: 'hidden' };
    case 'named':
      return { kind: 'named', name: text(json, 'name') };
    case 'picture':
      return {
        kind: 'picture',
        png: text(json, 'png'),
        hot_x: number(json, 'hot_x'),
        hot_y: number(json, 'hot_y'),
        width: number(json, 'width'),
        height: number(json, 'height'),
      };
    default:
      throw new WireError('a cursor is hidden, named or a picture');
  }
}
