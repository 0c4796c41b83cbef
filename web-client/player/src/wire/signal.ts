/** Signalling between page and matchmaker (`protocol/src/signal.rs`): one JSON object per text message. */

import type { Attestation } from './attest';
import { WireError } from './bytes';
import { number, object, optionalText, parseObject, text, type Json } from './json';
import { readIceServers, type VersionOffer } from './version';

export type SignalFromPage =
  | { readonly type: 'hello'; readonly versions: VersionOffer; readonly ticket: string }
  | { readonly type: 'offer'; readonly peer: string; readonly seat: number; readonly sdp: string; readonly nonce: string }
  | { readonly type: 'candidate'; readonly peer: string; readonly candidate: string; readonly sdp_mid: string | null }
  | { readonly type: 'leave' };

export type SignalToPage =
  | { readonly type: 'welcome'; readonly version: number; readonly ice_servers: RTCIceServer[] }
  | { readonly type: 'answer'; readonly peer: string; readonly sdp: string; readonly attestation: Attestation }
  | { readonly type: 'candidate'; readonly peer: string; readonly candidate: string; readonly sdp_mid: string | undefined }
  | { readonly type: 'state'; readonly state: string }
  | { readonly type: 'interruption'; readonly at_ms: number }
  | { readonly type: 'ended'; readonly reason: string; readonly message: string }
  | { readonly type: 'error'; readonly code: string; readonly message: string };

/** Reads one message; `undefined` for a type of a later release, a `WireError` for anything malformed. */
export function parseSignal(raw: string): SignalToPage | undefined {
  const json = parseObject(raw);
  switch (text(json, 'type')) {
    case 'welcome':
      return { type: 'welcome', version: number(json, 'version'), ice_servers: readIceServers(json, 'ice_servers') };
    case 'answer':
      return {
        type: 'answer',
        peer: text(json, 'peer'),
        sdp: text(json, 'sdp'),
        attestation: readAttestation(object(json, 'attestation')),
      };
    case 'candidate':
      return {
        type: 'candidate',
        peer: text(json, 'peer'),
        candidate: text(json, 'candidate'),
        sdp_mid: optionalText(json, 'sdp_mid'),
      };
    case 'state':
      return { type: 'state', state: text(json, 'state') };
    case 'interruption':
      return { type: 'interruption', at_ms: number(json, 'at_ms') };
    case 'ended':
      return { type: 'ended', reason: text(json, 'reason'), message: text(json, 'message') };
    case 'error':
      return { type: 'error', code: text(json, 'code'), message: text(json, 'message') };
    default:
      return undefined;
  }
}

function readAttestation(json: Json): Attestation {
  const expires_at_ms = number(json, 'expires_at_ms');
  if (!Number.isSafeInteger(expires_at_ms) || expires_at_ms < 0) throw new WireError('expires_at_ms is out of range');
  return {
    session: text(json, 'session'),
    fingerprint: text(json, 'fingerprint'),
    nonce: text(json, 'nonce'),
    expires_at_ms,
    signature: text(json, 'signature'),
  };
}
