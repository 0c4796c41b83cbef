/**
 * What is said on the facts and control channels of an open connection: versions, clock pings,
 * frame facts, receipts, rumble, the end. Knows no connection, only how to send on one.
 */

import type { InputSender } from '../input/sender';
import type { ReceiptChain } from '../receipts';
import type { ShownFrame } from '../picture';
import type { Statistics } from '../stats/snapshot';
import { WireError } from '../wire/bytes';
import { MAX_CONTROL_BYTES, parseControl, type ControlFromPage, type ControlToPage, type Rumble, type SessionFacts, type TitleWish } from '../wire/control';
import { parseFacts, writeFacts } from '../wire/facts';
import { CHALLENGE, CURRENT_VERSIONS, requireCommon } from '../wire/version';
import type { Problem } from './problem';

/** The clock is found within half a second of the first frame… */
const FIRST_PINGS = 10;
const FIRST_PING_MS = 50;
/** …and followed from then on. */
const PING_MS = 250;

/**
 * A node's end of the control channel can come to be after ours is open, and what it was told before is lost:
 * the greeting is repeated until it is answered, for at most ten seconds.
 */
const GREET_AGAIN_MS = 250;
const MAX_GREETINGS = 40;

export interface DialogueOptions {
  readonly sendFacts: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly sendControl: (message: ControlFromPage) => void;
  readonly onEnded: (reason: string, message: string) => void;
  readonly onRefused: (problem: Problem) => void;
  readonly onRumble: (rumble: Rumble) => void;
  /** A receipt was countersigned. */
  readonly onSigned: (sequence: number) => void;
  /** The node answered on a new connection: it is listening from now on. */
  readonly onGreeted: () => void;
  /** From which frame on the title is seen; `undefined`: the node hides nothing before it. */
  readonly onBegins: (rtp_timestamp: number | undefined) => void;
  readonly onSession: (session: SessionFacts) => void;
  /** The title wants something of the page. */
  readonly onWish: (wish: TitleWish) => void;
}

export class Dialogue {
  /** When the facts channel last said anything, by `performance.now()`. */
  last_facts_ms = 0;
  #pings = 0;
  #pinged_ms = Number.NEGATIVE_INFINITY;
  /** Greetings sent on this connection; none before its control channel is open, or once the node answered. */
  #greetings: number | undefined;
  #greeted_ms = 0;
  #hidden: () => boolean = () => false;
  /** Receipts are checked one at a time, in order. */
  #checking: Promise<void> = Promise.resolve();

  constructor(
    private readonly stats: Statistics,
    private readonly input: InputSender,
    private readonly receipts: ReceiptChain,
    private readonly options: DialogueOptions,
  ) {}

  /** A connection's control channel opened: the page speaks first. */
  greet(hidden: () => boolean, now_ms: number): void {
    this.#pings = 0;
    this.#greetings = 0;
    this.#hidden = hidden;
    this.#greet(now_ms);
  }

  #greet(now_ms: number): void {
    this.#greetings = (this.#greetings ?? 0) + 1;
    this.#greeted_ms = now_ms;
    this.options.sendControl({ type: 'hello', versions: CURRENT_VERSIONS });
    if (this.#hidden()) this.options.sendControl({ type: 'hidden', hidden: true });
  }

  facts(bytes: Uint8Array<ArrayBuffer>, now_ms: number): void {
    const message = readOr(undefined, () => parseFacts(bytes));
    if (message === undefined) return;
    this.last_facts_ms = now_ms;
    if (message.kind === 'frame') {
      this.input.acknowledge(message.input_serial);
      this.stats.frames.facts(message);
    } else if (message.kind === 'pong') this.stats.clock.pong(Number(message.t) / 1000, message.node_us, now_ms);
  }

  /** Greets and pings when that is due. */
  tick(now_ms: number): void {
    const waiting = this.#greetings !== undefined && this.#greetings < MAX_GREETINGS;
    if (waiting && now_ms - this.#greeted_ms >= GREET_AGAIN_MS) this.#greet(now_ms);
    if (now_ms - this.#pinged_ms < (this.#pings < FIRST_PINGS ? FIRST_PING_MS : PING_MS)) return;
    this.#pings += 1;
    this.#pinged_ms = now_ms;
    this.options.sendFacts(writeFacts({ kind: 'ping', t: BigInt(Math.round(now_ms * 1000)) }));
  }

  /** Tells the node's frame clock how long the frame lay ready. */
  shown({ rtp_timestamp, wait_us, decode_us }: ShownFrame): void {
    if (rtp_timestamp === undefined || wait_us === undefined || decode_us === undefined) return;
    this.options.sendFacts(writeFacts({ kind: 'shown', rtp_timestamp, wait_us, decode_us }));
  }

  control(raw: string, now_ms: number): void {
    if (raw.length > MAX_CONTROL_BYTES) return;
    const message = readOr(undefined, () => parseControl(raw));
    if (message !== undefined) this.#obey(message, now_ms);
  }

  #obey(message: ControlToPage, now_ms: number): void {
    switch (message.type) {
      case 'hello':
        try {
          requireCommon(message.versions);
          if (this.#greetings !== undefined) this.options.onGreeted();
          this.#greetings = undefined;
          if (!message.versions.control.features.includes(CHALLENGE)) this.options.onBegins(undefined);
        } catch (error) {
          if (!(error instanceof WireError)) throw error;
          this.options.onRefused({
            code: 'version_mismatch',
            title: 'Page and machine are of different releases',
            detail: 'Reload the page to get its newest version, then try again.',
          });
        }
        break;
      case 'session':
        this.stats.session = message;
        this.input.seat = message.seat;
        this.options.onSession(message);
        break;
      case 'begins':
        this.options.onBegins(message.rtp_timestamp);
        break;
      case 'quality':
        this.stats.quality = message;
        break;
      case 'receipt':
        this.#checking = this.#checking.then(() => this.#countersign(message.bytes, now_ms));
        break;
      case 'rumble':
        this.options.onRumble(message);
        break;
      case 'cursor':
      case 'pointer_locked':
      case 'text_input':
      case 'clipboard':
      case 'warning':
        this.options.onWish(message);
        break;
      case 'ended':
        this.options.onEnded(message.reason, message.message);
        break;
    }
  }

  async #countersign(bytes: string, now_ms: number): Promise<void> {
    const verdict = await this.receipts.check(bytes, now_ms);
    if (verdict.kind === 'refused') {
      this.stats.refused += 1;
      return;
    }
    this.stats.signed += 1;
    this.options.sendControl({ type: 'receipt_signature', sequence: verdict.sequence, signature: verdict.signature });
    this.options.onSigned(verdict.sequence);
  }
}

/** What was read, or `otherwise` where a message is malformed: it is dropped like a lost one. */
function readOr<T>(otherwise: T, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof WireError) return otherwise;
    throw error;
  }
}
