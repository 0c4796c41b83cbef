/**
 * The node's signature over its DTLS fingerprint (`protocol/src/attest.rs`). Checked before
 * `setRemoteDescription`, so that whoever sits in the signalling path cannot put itself in between.
 */

import { ascii, concat, equal, fromHex, uuidBytes, WireError, Writer } from './bytes';
import type { Verify } from '../crypto/ed25519';

const DOMAIN = ascii('nearframe/attest/v1\0');

export interface Attestation {
  readonly session: string;
  /** SHA-256 DTLS fingerprint, hex. */
  readonly fingerprint: string;
  readonly nonce: string;
  readonly expires_at_ms: number;
  readonly signature: string;
}

/** What the page knows by itself and the attestation must agree with. */
export interface AttestationExpectation {
  readonly session: string;
  readonly node_key: string;
  readonly nonce: string;
  /** The matchmaker's clock now, Unix ms. */
  readonly now_ms: number;
  /** The answer that the fingerprint must be in. */
  readonly sdp: string;
}

/** The 120 bytes that the node signs. */
export function attestationBytes(a: Omit<Attestation, 'signature'>): Uint8Array<ArrayBuffer> {
  const expiry = new Writer(20).u64(BigInt(a.expires_at_ms)).bytes(new Uint8Array(12)).finish();
  return concat(DOMAIN, uuidBytes(a.session), fromHex(a.fingerprint, 32), fromHex(a.nonce, 32), expiry);
}

/** Every `a=fingerprint` of an SDP; one that is not SHA-256 is an error. */
export function sdpFingerprints(sdp: string): Uint8Array[] {
  return sdp
    .split(/\r?\n/)
    .filter((line) => line.startsWith('a=fingerprint:'))
    .map((line) => {
      const match = /^a=fingerprint:sha-256 ([0-9a-f:]{95})\s*$/i.exec(line);
      if (match?.[1] === undefined) throw new WireError('the answer has a fingerprint that is not SHA-256');
      return fromHex(match[1].replaceAll(':', ''), 32);
    });
}

/** Why the answer must not be used, in words; `undefined` when it is the attested node's. */
export async function refuseAttestation(
  a: Attestation,
  expected: AttestationExpectation,
  verify: Verify,
): Promise<string | undefined> {
  try {
    if (a.session !== expected.session) return 'it names another session';
    if (a.nonce.toLowerCase() !== expected.nonce) return 'it answers another offer';
    if (a.expires_at_ms < expected.now_ms) return 'it has expired';
    const attested = fromHex(a.fingerprint, 32);
    const found = sdpFingerprints(expected.sdp);
    if (found.length === 0 || !found.every((fingerprint) => equal(fingerprint, attested))) {
      return 'the fingerprint in the answer is not the signed one';
    }
    const good = await verify(fromHex(expected.node_key, 32), attestationBytes(a), fromHex(a.signature, 64));
    return good ? undefined : 'the signature is not the node’s';
  } catch (error) {
    return error instanceof Error ? error.message : 'it cannot be read';
  }
}
