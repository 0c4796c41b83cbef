import { describe, expect, it } from 'vitest';
import { newFallbackKey, newSessionKey, verifyEd25519, verifyFallback } from '../src/crypto/ed25519';
import { attestationBytes, refuseAttestation, type Attestation, type AttestationExpectation } from '../src/wire/attest';
import { bytesOf, vectors } from './vectors';

const all = vectors('attest.json');
const [first] = all;
if (first === undefined) throw new Error('no vectors');
const good = first['value'] as Attestation;

function expectationOf(a: Attestation, vector = first): AttestationExpectation {
  const sdp = `v=0\r\nt=0 0\r\n${String(vector?.['sdp_line'])}\r\na=setup:active\r\n`;
  const node_key = String(vector?.['node_key']);
  return { session: a.session, nonce: a.nonce, node_key, now_ms: a.expires_at_ms - 1, sdp };
}

describe.each([
  ['WebCrypto', verifyEd25519],
  ['the fallback', verifyFallback],
])('an attestation checked by %s', (_name, verify) => {
  it.each(all)('agrees with the node: $name', async (vector) => {
    const attestation = vector['value'] as Attestation;
    const why = await refuseAttestation(attestation, expectationOf(attestation, vector), verify);
    expect(why !== undefined).toBe('error' in vector);
  });
});

describe('an attestation', () => {
  it.each(all)('has the signed bytes of: $name', (vector) => {
    expect(attestationBytes(vector['value'] as Attestation)).toEqual(bytesOf(vector));
  });

  const other = 'a'.repeat(64);
  const line = String(first['sdp_line']);
  const otherLine = `a=fingerprint:sha-256 ${'AA:'.repeat(31)}AA`;
  it.each<[string, Partial<AttestationExpectation>]>([
    ['another session', { session: '00000000-0000-4000-8000-000000000000' }],
    ['another nonce', { nonce: other }],
    ['a time after its expiry', { now_ms: good.expires_at_ms + 1 }],
    ['an answer with another fingerprint', { sdp: otherLine }],
    ['an answer with a second, unsigned fingerprint', { sdp: `${line}\r\n${otherLine}\r\n` }],
    ['an answer with a weaker fingerprint beside the signed one', { sdp: `${line}\r\na=fingerprint:sha-1 AA:BB\r\n` }],
    ['an answer without a fingerprint', { sdp: 'v=0\r\n' }],
    ['a key that is none', { node_key: 'xyz' }],
  ])('is refused for %s', async (_name, change) => {
    const expected = { ...expectationOf(good), ...change };
    expect(await refuseAttestation(good, expected, verifyEd25519)).toBeTypeOf('string');
  });
});

describe('a session key', () => {
  it.each([
    ['WebCrypto', newSessionKey],
    ['the fallback', newFallbackKey],
  ])('of %s signs what both verify', async (_name, make) => {
    const key = await make();
    const message = Uint8Array.of(1, 2, 3);
    const signature = await key.sign(message);
    expect(await verifyEd25519(key.publicKey, message, signature)).toBe(true);
    expect(await verifyFallback(key.publicKey, message, signature)).toBe(true);
    expect(await verifyEd25519(key.publicKey, Uint8Array.of(1, 2, 4), signature)).toBe(false);
  });
});
