/**
 * One node's round trip, by ICE connectivity checks.
 *
 * The answer is made here from what the matchmaker told of the node; its reflector answers checks and speaks nothing
 * else, so that no connection ever comes about. Browsers repeat the first checks of a pair every 48 ms and tell their
 * number and the sum of their round trips; the difference between two looks is a sample.
 */

import { Scope } from '../scope';

export interface Candidate {
  readonly node: string;
  /** `address:port` each. */
  readonly addresses: readonly string[];
  readonly ufrag: string;
  readonly password: string;
  readonly behind_nat: boolean;
}

/** Samples after the first that make a minimum: as many as browsers send in quick succession. */
const ENOUGH = 2;
/** Addresses of a node that are tried. */
const ADDRESSES_MAX = 8;
/** No DTLS is spoken: any fingerprint will do, and none is ever compared. */
const FINGERPRINT = Array.from({ length: 32 }, () => '00').join(':');

interface Seen {
  count: number;
  total_ms: number;
}

export class Probe {
  readonly #pc: RTCPeerConnection;
  readonly #seen = new Map<string, Seen>();
  readonly #samples: number[] = [];
  /** Of a pair whose first checks could not be told apart, their mean. */
  #coarse_ms: number | undefined;

  constructor(
    scope: Scope,
    readonly candidate: Candidate,
    configuration: RTCConfiguration,
    private readonly onOutside: (address: string) => void,
  ) {
    this.#pc = new RTCPeerConnection(configuration);
    scope.add(() => this.#pc.close());
    this.#pc.createDataChannel('');
    if (candidate.behind_nat) {
      scope.listen<RTCPeerConnectionIceEvent>(this.#pc, 'icecandidate', ({ candidate: found }) => {
        if (found?.type === 'srflx' && found.address !== null && found.port !== null) {
          this.onOutside(socketAddress(found.address, found.port));
        }
      });
    }
  }

  async start(): Promise<void> {
    const offer = await this.#pc.createOffer();
    if (this.#pc.signalingState === 'closed') return;
    await this.#pc.setLocalDescription(offer);
    const mid = /^a=mid:(.+?)\r?$/m.exec(offer.sdp ?? '')?.[1] ?? '0';
    await this.#pc.setRemoteDescription({ type: 'answer', sdp: answerOf(this.candidate, mid) });
  }

  /** Takes in what the browser counted since the last look. */
  async look(): Promise<void> {
    if (this.#pc.signalingState === 'closed') return;
    const report = await this.#pc.getStats();
    for (const row of report.values() as Iterable<Readonly<Record<string, unknown>>>) {
      const { id, type, responsesReceived: count, totalRoundTripTime: total_s } = row;
      if (type === 'candidate-pair' && typeof count === 'number' && typeof total_s === 'number') {
        this.#take(String(id), { count, total_ms: total_s * 1000 });
      }
    }
  }

  #take(pair: string, now: Seen): void {
    const before = this.#seen.get(pair) ?? { count: 0, total_ms: 0 };
    const checks = now.count - before.count;
    if (checks <= 0) return;
    this.#seen.set(pair, now);
    const mean_ms = (now.total_ms - before.total_ms) / checks;
    // The first check of a pair pays for what is opened on the way; where it cannot be told apart, all of them do.
    if (before.count > 0) this.#samples.push(mean_ms);
    else if (checks > 1) this.#coarse_ms = Math.min(this.#coarse_ms ?? Infinity, mean_ms);
  }

  get answered(): boolean {
    return this.#seen.size > 0;
  }

  get done(): boolean {
    return this.#samples.length >= ENOUGH;
  }

  /** The lowest round trip, ms; none where nothing but a first answer came. */
  get rtt_ms(): number | undefined {
    return this.#samples.length > 0 ? Math.min(...this.#samples) : this.#coarse_ms;
  }
}

function socketAddress(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The answer of a lite agent (RFC 8445) that waits to be the DTLS client, and never is. */
export function answerOf(candidate: Candidate, mid: string): string {
  const lines = [
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    'a=ice-lite',
    `a=group:BUNDLE ${mid}`,
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'c=IN IP4 0.0.0.0',
    `a=mid:${mid}`,
    `a=ice-ufrag:${candidate.ufrag}`,
    `a=ice-pwd:${candidate.password}`,
    `a=fingerprint:sha-256 ${FINGERPRINT}`,
    'a=setup:active',
    'a=sctp-port:5000',
    'a=max-message-size:262144',
    ...candidateLines(candidate.addresses),
    'a=end-of-candidates',
  ];
  return `${lines.join('\r\n')}\r\n`;
}

function candidateLines(addresses: readonly string[]): string[] {
  return addresses.slice(0, ADDRESSES_MAX).flatMap((text, at) => {
    const found = /^\[?(.+?)\]?:(\d{1,5})$/.exec(text);
    // Host candidates in the order of the list (RFC 8445, section 5.1.2).
    const priority = 126 * 2 ** 24 + (65_535 - at) * 2 ** 8 + 255;
    return found === null ? [] : [`a=candidate:${at + 1} 1 udp ${priority} ${found[1]} ${found[2]} typ host`];
  });
}
