/** The connections of one play: at most the one that last showed a picture and the newest attempt. */

import { Scope } from '../scope';
import type { Picture } from '../picture';
import { Peer } from '../transport/peer';
import type { ControlFromPage } from '../wire/control';

export interface PeersEvents {
  candidate(peer: Peer, candidate: string, sdp_mid: string | null): void;
  connected(n: number): void;
  failed(n: number): void;
  facts(bytes: Uint8Array<ArrayBuffer>): void;
  control(message: string): void;
  controlOpen(): void;
}

interface Entry {
  readonly scope: Scope;
  readonly peer: Peer;
  readonly tracks: MediaStreamTrack[];
}

export class Peers {
  readonly #entries = new Map<number, Entry>();
  #attached: number | undefined;
  #microphone: MediaStreamTrack | undefined;

  constructor(
    private readonly scope: Scope,
    private readonly picture: Picture,
    private readonly events: PeersEvents,
  ) {}

  /** The peer whose picture the page shows. */
  get attached(): number | undefined {
    return this.#attached;
  }

  get(n: number): Peer | undefined {
    return this.#entries.get(n)?.peer;
  }

  find(id: string): Peer | undefined {
    return [...this.#entries.values()].find(({ peer }) => peer.id === id)?.peer;
  }

  /** An answer could not be used: as if the connection had failed. */
  fail(peer: Peer): void {
    const n = [...this.#entries].find(([, entry]) => entry.peer === peer)?.[0];
    if (n !== undefined) this.events.failed(n);
  }

  get shownPeer(): Peer | undefined {
    return this.#attached === undefined ? undefined : this.get(this.#attached);
  }

  open(n: number): Peer {
    const scope = this.scope.child();
    const tracks: MediaStreamTrack[] = [];
    const peer: Peer = new Peer(scope, {
      candidate: (candidate, sdp_mid) => this.events.candidate(peer, candidate, sdp_mid),
      track: (track) => {
        tracks.push(track);
        if (this.#attached === undefined || this.#attached === n) this.#attach(n, [track]);
      },
      connected: () => {
        if (this.#attached !== n && n === Math.max(...this.#entries.keys())) this.#attach(n, tracks);
        this.events.connected(n);
      },
      failed: () => this.events.failed(n),
      facts: (bytes) => this.events.facts(bytes),
      control: (message) => this.events.control(message),
      controlOpen: () => this.events.controlOpen(),
    });
    peer.setMicrophone(this.#microphone);
    this.#entries.set(n, { scope, peer, tracks });
    return peer;
  }

  /** What the node may hear, on this and every later connection. */
  setMicrophone(track: MediaStreamTrack | undefined): void {
    this.#microphone = track;
    for (const { peer } of this.#entries.values()) peer.setMicrophone(track);
  }

  /** Closes all others. */
  keep(peers: readonly number[]): void {
    for (const [n, { scope }] of this.#entries) {
      if (peers.includes(n)) continue;
      scope.close();
      this.#entries.delete(n);
      if (this.#attached === n) this.#attached = undefined;
    }
  }

  #attach(n: number, tracks: readonly MediaStreamTrack[]): void {
    this.#attached = n;
    this.picture.attach(tracks);
  }

  /** Input goes wherever it may arrive: while reconnecting, one of two connections is dead. */
  sendInput(bytes: Uint8Array<ArrayBuffer>): void {
    for (const { peer } of this.#entries.values()) peer.sendInput(bytes);
  }

  sendFacts(bytes: Uint8Array<ArrayBuffer>): void {
    for (const { peer } of this.#entries.values()) peer.sendFacts(bytes);
  }

  sendControl(message: ControlFromPage): void {
    for (const { peer } of this.#entries.values()) peer.sendControl(message);
  }
}
