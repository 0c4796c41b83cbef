import { describe, expect, it } from 'vitest';
import { newSessionKey, verifyEd25519, type SessionKey } from '../src/crypto/ed25519';
import { ReceiptChain } from '../src/receipts';
import { fromHex, WireError } from '../src/wire/bytes';
import { parseReceipt, receiptHash, receiptSignedBytes } from '../src/wire/receipt';
import { bytesOf, plain, vectors, type Vector } from './vectors';

const all = vectors('receipt.json');
const good = all.filter((vector) => !('error' in vector));
const [first, second, largest] = good as [Vector, Vector, Vector];
const SESSION = (first['value'] as { session: string }).session;

const base64 = (vector: Vector): string => Buffer.from(bytesOf(vector)).toString('base64');

describe('a receipt', () => {
  it.each(good)('is read, hashed and signed as the node does: $name', async (vector) => {
    const canonical = bytesOf(vector);
    expect(plain(parseReceipt(canonical))).toEqual(vector['value']);
    expect(await receiptHash(canonical)).toBe(vector['hash']);
    expect(receiptSignedBytes(canonical)).toEqual(bytesOf(vector, 'signed_hex'));
    const signature = bytesOf(vector, 'player_signature');
    expect(await verifyEd25519(bytesOf(vector, 'player_key'), receiptSignedBytes(canonical), signature)).toBe(true);
  });
  it.each(all.filter((vector) => 'error' in vector))('is refused: $name', (vector) => {
    expect(() => parseReceipt(bytesOf(vector))).toThrow(WireError);
  });
});

describe('a chain of receipts', () => {
  const chainAt = async (): Promise<{ chain: ReceiptChain; key: SessionKey }> => {
    const key = await newSessionKey();
    return { chain: new ReceiptChain(SESSION, key, 1_000), key };
  };

  it('is countersigned as it grows', async () => {
    const { chain, key } = await chainAt();
    for (const [vector, now_ms] of [[first, 11_000], [second, 21_000]] as const) {
      const verdict = await chain.check(base64(vector), now_ms);
      if (verdict.kind !== 'signed') throw new Error(verdict.why);
      const signed = receiptSignedBytes(bytesOf(vector));
      expect(await verifyEd25519(key.publicKey, signed, fromHex(verdict.signature, 64))).toBe(true);
    }
  });

  it('is signed again when a receipt is repeated after a reconnection', async () => {
    const { chain } = await chainAt();
    await chain.check(base64(first), 11_000);
    expect((await chain.check(base64(first), 11_500)).kind).toBe('signed');
    expect((await chain.check(base64(second), 21_000)).kind).toBe('signed');
  });

  it('is not signed where it claims more time than has passed', async () => {
    const { chain } = await chainAt();
    expect((await chain.check(base64(first), 8_900)).kind).toBe('refused');
    expect((await chain.check(base64(first), 9_100)).kind).toBe('signed');
    expect((await chain.check(base64(second), 18_000)).kind).toBe('refused');
  });

  it('is not signed where a receipt is of another session', async () => {
    const chain = new ReceiptChain('00000000-0000-4000-8000-000000000000', await newSessionKey(), 0);
    expect((await chain.check(base64(first), 60_000)).kind).toBe('refused');
  });

  it('is not signed where the second receipt follows another first one', async () => {
    const { chain } = await chainAt();
    const forged = bytesOf(first);
    forged[76] = 1; // frames
    const text = Buffer.from(forged).toString('base64');
    expect((await chain.check(text, 11_000)).kind).toBe('signed');
    expect((await chain.check(base64(second), 21_000)).kind).toBe('refused');
    expect((await chain.check(base64(first), 21_000)).kind).toBe('refused');
  });

  it('is not signed for rubbish or absurd claims', async () => {
    const { chain } = await chainAt();
    for (const text of ['', '%%%', 'AAAA', base64(largest)]) {
      expect((await chain.check(text, 60_000)).kind).toBe('refused');
    }
  });
});
