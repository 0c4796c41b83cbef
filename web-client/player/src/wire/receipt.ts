/** Receipts in canonical form (`protocol/src/receipt.rs`): 148 bytes, chained by SHA-256. */

import { ascii, concat, equal, Reader, toHex, uuidText, WireError } from './bytes';

export const RECEIPT_LEN = 148;
const MAGIC = ascii('NFRCPT01');
const DOMAIN = ascii('nearframe/receipt/v1\0');

/** What was used between the previous receipt and this one. */
export interface Receipt {
  readonly session: string;
  readonly generation: number;
  /** 0, 1, 2, … without gaps. */
  readonly sequence: number;
  /** SHA-256 of the receipt before, hex; zeros for the first. */
  readonly previous: string;
  readonly duration_us: bigint;
  readonly frames: number;
  readonly bytes: bigint;
  readonly encoder_us: bigint;
  readonly width: number;
  readonly height: number;
  readonly rtt_us: number;
  readonly packets_sent: number;
  readonly packets_lost: number;
}

/** Reads canonical bytes; throws `WireError` on any other form. */
export function parseReceipt(bytes: Uint8Array<ArrayBuffer>): Receipt {
  const r = new Reader(bytes);
  if (!equal(r.bytes(8), MAGIC)) throw new WireError('not a receipt');
  const receipt: Receipt = {
    session: uuidText(r.bytes(16)),
    generation: r.u32(),
    sequence: r.u32(),
    previous: toHex(r.bytes(32)),
    duration_us: r.u64(),
    frames: r.u32(),
    bytes: r.u64(),
    encoder_us: r.u64(),
    width: r.u16(),
    height: r.u16(),
    rtt_us: r.u32(),
    packets_sent: r.u32(),
    packets_lost: r.u32(),
  };
  if (r.bytes(RECEIPT_LEN - 108).some((byte) => byte !== 0)) throw new WireError('reserved bytes are not zero');
  r.end();
  return receipt;
}

/** What node and player sign. */
export function receiptSignedBytes(canonical: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat(DOMAIN, canonical);
}

/** What the next receipt names as `previous`, hex. */
export async function receiptHash(canonical: Uint8Array<ArrayBuffer>): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', canonical)));
}
