/**
 * The signalling socket: opens, says hello with the ticket, reconnects while its scope lives.
 *
 * Messages about the newest peer are kept until its answer is here and are sent again on a new
 * socket, so that an offer lost with a dying network is not lost for good. Nothing else is queued.
 */

import type { Scope } from '../scope';
import { WireError } from '../wire/bytes';
import { parseSignal, type SignalFromPage, type SignalToPage } from '../wire/signal';
import { CURRENT } from '../wire/version';

/** One offer and its candidates; a browser finds far fewer, and what exceeds it is a lesser path. */
const OUTBOX_MAX = 64;
/**
 * A connect attempt that hangs is replaced after this: a lost first packet would be repeated by the system after a
 * second only. Each attempt gets twice as long as the one before…
 */
const CONNECT_LIMIT_MIN_MS = 600;
/** …up to this, for networks that take long to answer. */
const CONNECT_LIMIT_MAX_MS = 4_000;
const BACKOFF_MIN_MS = 250;
/** Slow enough for a server that is down, fast enough for one that restarts. */
const BACKOFF_MAX_MS = 4_000;
/** A socket that said something this recently is alive. */
const SILENCE_MS = 1_500;
/** Errors after which the same ticket may be shown again; all others are final. */
const PASSING_ERRORS: ReadonlySet<string> = new Set([
  'node_unreachable',
  'unavailable',
  'draining',
  'too_slow',
  'too_fast',
  'too_many_pages',
]);

type PeerMessage = Extract<SignalFromPage, { type: 'offer' | 'candidate' }>;

export interface SignalOptions {
  /** `ws://` or `wss://`. */
  readonly url: URL;
  readonly ticket: string;
  readonly onMessage: (message: SignalToPage) => void;
  /** For tests. */
  readonly connect?: (url: URL) => WebSocket;
}

export class SignalSocket {
  readonly #scope: Scope;
  readonly #options: SignalOptions;
  #outbox: PeerMessage[] = [];
  #socket: WebSocket | undefined;
  #attempt: Scope;
  #backoff_ms = BACKOFF_MIN_MS;
  #limit_ms = CONNECT_LIMIT_MIN_MS;
  /** When the server last said anything, or a connection was begun. */
  #heard_ms = 0;
  /** Peers whose offers went through this socket: the matchmaker takes candidates of no others. */
  #offered = new Set<string>();
  /** The server said that there is nothing more to say. */
  #over = false;

  constructor(scope: Scope, options: SignalOptions) {
    this.#scope = scope;
    this.#options = options;
    this.#attempt = scope.child();
    this.#connect();
  }

  /** Sends now or with the next connection. A message about a newer peer drops those about older ones. */
  sendPeer(message: PeerMessage): void {
    if (message.type === 'offer') this.#outbox = [];
    const unanswered = message.type === 'offer' || this.#outbox[0]?.peer === message.peer;
    if (unanswered && this.#outbox.length < OUTBOX_MAX) this.#outbox.push(message);
    this.#transmitPeer(message);
  }

  /** The page leaves; sent only if a socket is open. */
  leave(): void {
    this.#transmit({ type: 'leave' });
  }

  /** Opens a new socket unless this one proved alive, or was begun, a moment ago. */
  renew(now_ms: number): void {
    if (now_ms - this.#heard_ms <= SILENCE_MS) return;
    this.#limit_ms = CONNECT_LIMIT_MIN_MS;
    this.#reconnect(0);
  }

  #transmitPeer(message: PeerMessage): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    if (message.type === 'offer') this.#offered.add(message.peer);
    if (this.#offered.has(message.peer)) this.#transmit(message);
  }

  #transmit(message: SignalFromPage): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #reconnect(delay_ms: number): void {
    this.#attempt.close();
    this.#attempt = this.#scope.child();
    if (delay_ms === 0) this.#connect();
    else this.#attempt.timeout(delay_ms, () => this.#connect());
  }

  #connect(): void {
    if (this.#scope.closed || this.#over) return;
    this.#offered = new Set();
    const attempt = this.#attempt;
    const socket = this.#options.connect?.(this.#options.url) ?? new WebSocket(this.#options.url);
    this.#socket = socket;
    this.#heard_ms = performance.now();
    attempt.add(() => socket.close());
    const stopLimit = attempt.timeout(this.#limit_ms, () => this.#reconnect(0));
    this.#limit_ms = Math.min(CONNECT_LIMIT_MAX_MS, this.#limit_ms * 2);
    attempt.listen(socket, 'open', () => {
      stopLimit();
      this.#transmit({ type: 'hello', versions: CURRENT, ticket: this.#options.ticket });
      for (const message of this.#outbox) this.#transmitPeer(message);
    });
    attempt.listen<MessageEvent<unknown>>(socket, 'message', (event) => this.#receive(event.data));
    attempt.listen(socket, 'close', () => {
      const delay_ms = this.#backoff_ms;
      this.#backoff_ms = Math.min(BACKOFF_MAX_MS, delay_ms * 2);
      this.#reconnect(delay_ms);
    });
  }

  #receive(data: unknown): void {
    if (typeof data !== 'string') return;
    this.#heard_ms = performance.now();
    let message: SignalToPage | undefined;
    try {
      message = parseSignal(data);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      return;
    }
    if (message === undefined) return;
    this.#over = message.type === 'ended' || (message.type === 'error' && !PASSING_ERRORS.has(message.code));
    if (message.type === 'error' && !this.#over) return;
    if (message.type === 'welcome') {
      this.#backoff_ms = BACKOFF_MIN_MS;
      this.#limit_ms = CONNECT_LIMIT_MIN_MS;
    }
    if (message.type === 'answer' && this.#outbox[0]?.peer === message.peer) this.#outbox = [];
    this.#options.onMessage(message);
  }
}
