/**
 * Ed25519 (RFC 8032): WebCrypto where the browser has it, else `@noble/ed25519`, loaded only then.
 * Private keys made by WebCrypto cannot be exported from the page.
 */

import { toHex } from '../wire/bytes';

export type Verify = (
  publicKey: Uint8Array<ArrayBuffer>,
  message: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
) => Promise<boolean>;

/** A key made for one session; signs receipts. */
export interface SessionKey {
  readonly publicKey: Uint8Array<ArrayBuffer>;
  /** What the browser may keep of it between pages: it signs, and cannot be read. Absent from the fall-back. */
  readonly privateKey?: CryptoKey;
  sign(message: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

const ALGORITHM = { name: 'Ed25519' } as const;

/**
 * The y coordinates of points of small order, canonical or not, sign bit cleared: under such a key
 * anyone can sign, and WebCrypto does not refuse it everywhere.
 */
const WEAK_KEYS: ReadonlySet<string> = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
]);

function isWeak(publicKey: Uint8Array): boolean {
  return WEAK_KEYS.has(toHex(publicKey.map((byte, i) => (i === 31 ? byte & 0x7f : byte))));
}

/** Whether `error` says that this browser's WebCrypto does not know Ed25519. */
function isUnsupported(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'NotSupportedError';
}

export async function newSessionKey(): Promise<SessionKey> {
  try {
    const pair = await crypto.subtle.generateKey(ALGORITHM, false, ['sign', 'verify']);
    if (!('privateKey' in pair)) return await newFallbackKey();
    const publicKey = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey));
    return sessionKey(publicKey, pair.privateKey);
  } catch (error) {
    if (!isUnsupported(error)) throw error;
    return newFallbackKey();
  }
}

/** The key of a session that an earlier page began. */
export function sessionKey(publicKey: Uint8Array<ArrayBuffer>, privateKey: CryptoKey): SessionKey {
  const sign = async (message: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> =>
    new Uint8Array(await crypto.subtle.sign(ALGORITHM, privateKey, message));
  return { publicKey, privateKey, sign };
}

export const verifyEd25519: Verify = async (publicKey, message, signature) => {
  if (isWeak(publicKey)) return false;
  try {
    const key = await crypto.subtle.importKey('raw', publicKey, ALGORITHM, false, ['verify']);
    return await crypto.subtle.verify(ALGORITHM, key, signature, message);
  } catch (error) {
    if (!isUnsupported(error)) return false;
    return verifyFallback(publicKey, message, signature);
  }
};

/** The key that browsers without WebCrypto Ed25519 get. */
export async function newFallbackKey(): Promise<SessionKey> {
  const noble = await import('@noble/ed25519');
  const { secretKey, publicKey } = await noble.keygenAsync();
  return {
    publicKey: Uint8Array.from(publicKey),
    sign: async (message) => Uint8Array.from(await noble.signAsync(message, secretKey)),
  };
}

/** Verification without WebCrypto Ed25519; strict as RFC 8032 (`zip215: false`). */
export const verifyFallback: Verify = async (publicKey, message, signature) => {
  if (isWeak(publicKey)) return false;
  const noble = await import('@noble/ed25519');
  try {
    return await noble.verifyAsync(signature, message, publicKey, { zip215: false });
  } catch {
    return false;
  }
};
