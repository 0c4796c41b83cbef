/**
 * The player's side of metering: checks each receipt against what this page knows by itself and
 * countersigns it. A receipt that claims too much stays unsigned.
 */

import type { SessionKey } from './crypto/ed25519';
import { fromBase64, toHex } from './wire/bytes';
import { parseReceipt, receiptHash, receiptSignedBytes, type Receipt } from './wire/receipt';

/** Clocks drift and messages take time: a claim may exceed what this page measured by this much. */
const SLACK_US = 2_000_000n;
const ZERO_HASH = '0'.repeat(64);

export type ReceiptVerdict =
  | { readonly kind: 'signed'; readonly sequence: number; readonly signature: string; readonly receipt: Receipt }
  | { readonly kind: 'refused'; readonly why: string };

interface Seen {
  readonly generation: number;
  readonly sequence: number;
  readonly hash: string;
}

/** Follows one session's chain. Call `check` one at a time, in the order of arrival. */
export class ReceiptChain {
  #last: Seen | undefined;
  #claimed_us = 0n;

  /** `started_ms`: page clock when the session was made. */
  constructor(
    private readonly session: string,
    private readonly key: SessionKey,
    private readonly started_ms: number,
  ) {}

  async check(base64: string, now_ms: number): Promise<ReceiptVerdict> {
    try {
      const canonical = fromBase64(base64);
      const receipt = parseReceipt(canonical);
      const hash = await receiptHash(canonical);
      const why = this.#refuse(receipt, hash, now_ms);
      if (why !== undefined) return { kind: 'refused', why };
      const signature = await this.key.sign(receiptSignedBytes(canonical));
      if (!this.#isLast(receipt, hash)) this.#claimed_us += receipt.duration_us;
      this.#last = { generation: receipt.generation, sequence: receipt.sequence, hash };
      return { kind: 'signed', sequence: receipt.sequence, signature: toHex(signature), receipt };
    } catch (error) {
      return { kind: 'refused', why: error instanceof Error ? error.message : 'it cannot be read' };
    }
  }

  /** The same receipt once more, as after a reconnection. */
  #isLast(receipt: Receipt, hash: string): boolean {
    const last = this.#last;
    return last?.generation === receipt.generation && last.sequence === receipt.sequence && last.hash === hash;
  }

  #refuse(receipt: Receipt, hash: string, now_ms: number): string | undefined {
    if (receipt.session !== this.session) return 'it is of another session';
    if (this.#isLast(receipt, hash)) return undefined;
    const chain = this.#refuseChain(receipt);
    if (chain !== undefined) return chain;
    const elapsed_us = BigInt(Math.round((now_ms - this.started_ms) * 1000));
    const claimed_us = this.#claimed_us + receipt.duration_us;
    return claimed_us > elapsed_us + SLACK_US ? 'it claims more time than has passed' : undefined;
  }

  /** Receipts lost with a connection leave a gap; what is adjacent must fit exactly. */
  #refuseChain(receipt: Receipt): string | undefined {
    const last = this.#last?.generation === receipt.generation ? this.#last : undefined;
    if (receipt.sequence === 0) {
      if (last !== undefined) return 'the chain begins a second time';
      return receipt.previous === ZERO_HASH ? undefined : 'the first receipt names a predecessor';
    }
    if (last === undefined) return undefined;
    if (receipt.sequence <= last.sequence) return 'it repeats a sequence number';
    const adjacent = receipt.sequence === last.sequence + 1;
    return adjacent && receipt.previous !== last.hash ? 'it does not follow the receipt before' : undefined;
  }
}
