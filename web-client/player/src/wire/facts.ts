/**
 * Frame facts, byte for byte as `protocol/src/facts.rs`: data channel 1, unordered, no retransmission.
 * The page cannot read RTP header extensions, so the node says here what it knows of each frame.
 */

import { Reader, WireError, Writer } from './bytes';

export const FACTS_VERSION = 1;

/** What the node knows of one frame; the µs fields except `captured_us` count from `captured_us`. */
export interface FrameFacts {
  readonly kind: 'frame';
  readonly keyframe: boolean;
  /** 90 kHz, as in the frame's RTP packets. */
  readonly rtp_timestamp: number;
  /** Node's monotonic clock when drawing began. */
  readonly captured_us: bigint;
  /** Newest input event that the title had seen when it drew. */
  readonly input_serial: number;
  readonly frame: number;
  readonly target_kbps: number;
  readonly size_bytes: number;
  readonly drawn_us: number;
  readonly converted_us: number;
  readonly encoded_us: number;
  readonly sent_us: number;
}

export interface Ping {
  readonly kind: 'ping';
  /** The page's clock, µs. */
  readonly t: bigint;
}

export interface Pong {
  readonly kind: 'pong';
  readonly t: bigint;
  readonly node_us: bigint;
}

export interface Shown {
  readonly kind: 'shown';
  readonly rtp_timestamp: number;
  /** Display callback − decoded. */
  readonly wait_us: number;
  /** From reception of the last packet until decoded. */
  readonly decode_us: number;
}

export type FactsMessage = FrameFacts | Ping | Pong | Shown;

const I32_MAX = 0x7fff_ffff;
const U32_MAX = 0xffff_ffff;

export function writeFacts(message: FactsMessage): Uint8Array<ArrayBuffer> {
  const out = new Writer(48).u8(FACTS_VERSION);
  switch (message.kind) {
    case 'frame':
      out.u8(1).u16(message.keyframe ? 1 : 0).u32(message.rtp_timestamp).u64(message.captured_us);
      out.u32(message.input_serial).u32(message.frame).u32(message.target_kbps).u32(message.size_bytes);
      out.u32(message.drawn_us).u32(message.converted_us).u32(message.encoded_us).u32(message.sent_us);
      break;
    case 'ping':
      out.u8(2).u64(message.t);
      break;
    case 'pong':
      out.u8(3).u64(message.t).u64(message.node_us);
      break;
    case 'shown':
      out.u8(4).u32(message.rtp_timestamp);
      out.i32(Math.max(-I32_MAX, Math.min(I32_MAX, Math.round(message.wait_us))));
      out.u32(Math.max(0, Math.min(U32_MAX, Math.round(message.decode_us))));
      break;
  }
  return out.finish();
}

/** Reads one message; throws `WireError` on anything else. */
export function parseFacts(bytes: Uint8Array<ArrayBuffer>): FactsMessage {
  const r = new Reader(bytes);
  const version = r.u8();
  if (version !== FACTS_VERSION) throw new WireError(`version ${version} of this message is not spoken here`);
  const message = readBody(r, r.u8());
  r.end();
  return message;
}

function readBody(r: Reader, kind: number): FactsMessage {
  switch (kind) {
    case 1:
      return readFrame(r);
    case 2:
      return { kind: 'ping', t: r.u64() };
    case 3:
      return { kind: 'pong', t: r.u64(), node_us: r.u64() };
    case 4:
      return { kind: 'shown', rtp_timestamp: r.u32(), wait_us: r.i32(), decode_us: r.u32() };
    default:
      throw new WireError('the field kind is out of range');
  }
}

function readFrame(r: Reader): FrameFacts {
  const flags = r.u16();
  if (flags > 1) throw new WireError('the field flags is out of range');
  return {
    kind: 'frame',
    keyframe: flags === 1,
    rtp_timestamp: r.u32(),
    captured_us: r.u64(),
    input_serial: r.u32(),
    frame: r.u32(),
    target_kbps: r.u32(),
    size_bytes: r.u32(),
    drawn_us: r.u32(),
    converted_us: r.u32(),
    encoded_us: r.u32(),
    sent_us: r.u32(),
  };
}
