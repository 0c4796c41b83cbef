/**
 * One WebRTC connection: what media and messages travel in.
 *
 * The offer is made ahead of the session and held until the ICE servers are known. Data channels are
 * negotiated (0 input, 1 facts, 2 control), because those opened in-band lose their reliability
 * settings at the node. Answers are applied only after the caller has verified them.
 */

import { Scope } from '../scope';
import { toHex } from '../wire/bytes';
import {
  negotiatesExtensions,
  preferH264,
  renewJitterBuffer,
  shortenJitterBuffer,
  wishForExtensions,
  withReportsOnRequest,
  withStereo,
} from './sdp';

/** Candidates that come ahead of the answer; a node has a handful of addresses. */
const EARLY_CANDIDATES_MAX = 32;
/** Unsent input older than this is stale; the next packet repeats what matters. */
const INPUT_BUFFER_MAX_BYTES = 32 * 1024;

export interface Offer {
  readonly sdp: string;
  /** Fresh for every offer; the node signs it. */
  readonly nonce: string;
}

export interface PeerEvents {
  candidate(candidate: string, sdp_mid: string | null): void;
  track(track: MediaStreamTrack): void;
  connected(): void;
  failed(): void;
  facts(bytes: Uint8Array<ArrayBuffer>): void;
  control(message: string): void;
  controlOpen(): void;
}

export class Peer {
  readonly id = crypto.randomUUID();
  readonly #scope = new Scope();
  readonly #pc: RTCPeerConnection;
  readonly #input: RTCDataChannel;
  readonly #facts: RTCDataChannel;
  readonly #control: RTCDataChannel;
  readonly #microphone: RTCRtpSender;
  readonly #prepared: Promise<RTCSessionDescriptionInit>;
  #early: RTCIceCandidateInit[] = [];
  /** Of every offer made, newest last. */
  readonly #nonces: string[] = [];

  constructor(scope: Scope, events: PeerEvents) {
    scope.add(() => this.#scope.close());
    this.#pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.#scope.add(() => this.#pc.close());
    const video = this.#pc.addTransceiver('video', { direction: 'recvonly' });
    const audio = this.#pc.addTransceiver('audio', { direction: 'recvonly' });
    // Its own m-line from the first offer on, silent until a track is put there: nothing is renegotiated later.
    this.#microphone = this.#pc.addTransceiver('audio', { direction: 'sendonly' }).sender;
    wishForExtensions(video);
    wishForExtensions(audio);
    preferH264(video);
    const lossy = { negotiated: true, ordered: false, maxRetransmits: 0 };
    this.#input = this.#pc.createDataChannel('input', { ...lossy, id: 0 });
    this.#facts = this.#pc.createDataChannel('facts', { ...lossy, id: 1 });
    this.#control = this.#pc.createDataChannel('control', { negotiated: true, ordered: true, id: 2 });
    this.#input.binaryType = 'arraybuffer';
    this.#facts.binaryType = 'arraybuffer';
    this.#listen(events);
    this.#prepared = this.#pc.createOffer();
    this.#prepared.catch(() => events.failed());
  }

  #listen(events: PeerEvents): void {
    const scope = this.#scope;
    scope.listen<RTCPeerConnectionIceEvent>(this.#pc, 'icecandidate', ({ candidate }) => {
      events.candidate(candidate?.candidate ?? '', candidate?.sdpMid ?? null);
    });
    scope.listen<RTCTrackEvent>(this.#pc, 'track', ({ track, receiver }) => {
      shortenJitterBuffer(receiver, track.kind);
      events.track(track);
    });
    scope.listen(this.#pc, 'connectionstatechange', () => {
      if (this.#pc.connectionState === 'connected') events.connected();
      if (this.#pc.connectionState === 'failed') events.failed();
    });
    scope.listen<MessageEvent<unknown>>(this.#facts, 'message', ({ data }) => {
      if (data instanceof ArrayBuffer) events.facts(new Uint8Array(data));
    });
    scope.listen<MessageEvent<unknown>>(this.#control, 'message', ({ data }) => {
      if (typeof data === 'string') events.control(data);
    });
    scope.listen(this.#control, 'open', () => events.controlOpen());
    // The node closed the connection, which no ICE state tells.
    scope.listen(this.#control, 'close', () => events.failed());
  }

  /** Sets the held offer and starts gathering; send it at once, candidates follow. */
  async offer(iceServers: RTCIceServer[]): Promise<Offer | undefined> {
    const offer = await this.#prepared;
    if (this.#pc.signalingState === 'closed') return undefined;
    if (iceServers.length > 0) this.#pc.setConfiguration({ bundlePolicy: 'max-bundle', iceServers });
    return this.#apply(offer);
  }

  /**
   * A new offer on the same connection with new ICE credentials; takes an unanswered one back first.
   * `undefined` where the connection is closed.
   */
  async restartIce(iceServers: RTCIceServer[]): Promise<Offer | undefined> {
    if (this.#pc.signalingState === 'closed') return undefined;
    if (this.unanswered) await this.#pc.setLocalDescription({ type: 'rollback' });
    this.#pc.setConfiguration({ bundlePolicy: 'max-bundle', iceServers });
    return this.#apply(await this.#pc.createOffer({ iceRestart: true }));
  }

  async #apply(offer: RTCSessionDescriptionInit): Promise<Offer | undefined> {
    if (this.#pc.signalingState === 'closed') return undefined;
    const nonce = toHex(crypto.getRandomValues(new Uint8Array(32)));
    this.#nonces.push(nonce);
    await this.#describe(withStereo(offer.sdp ?? ''));
    const sdp = this.#pc.localDescription?.sdp;
    return sdp === undefined ? undefined : { sdp, nonce };
  }

  /** Only browsers that let a page choose header extensions take one more from the description. */
  async #describe(sdp: string): Promise<void> {
    const more = this.#pc.getTransceivers().some(negotiatesExtensions) ? withReportsOnRequest(sdp, this.#pc.currentLocalDescription?.sdp) : sdp;
    try {
      await this.#pc.setLocalDescription({ type: 'offer', sdp: more });
    } catch (error) {
      if (more === sdp) throw error;
      await this.#pc.setLocalDescription({ type: 'offer', sdp });
    }
  }

  /** The nonce of the newest offer. */
  get nonce(): string {
    return this.#nonces.at(-1) ?? '';
  }

  /** An offer was made that nobody has answered. */
  get unanswered(): boolean {
    return this.#pc.signalingState === 'have-local-offer';
  }

  /** Whether an answer with this nonce would be of use now; late ones to older offers are not. */
  wantsAnswer(nonce: string): boolean {
    return this.unanswered && !this.#nonces.slice(0, -1).includes(nonce);
  }

  /** ICE has lost the path, for now or for good. */
  get pathLost(): boolean {
    return this.#pc.iceConnectionState === 'disconnected' || this.#pc.iceConnectionState === 'failed';
  }

  /** Applies an answer that the caller has verified. */
  async accept(sdp: string): Promise<void> {
    await this.#pc.setRemoteDescription({ type: 'answer', sdp });
    const early = this.#early;
    this.#early = [];
    for (const candidate of early) this.addCandidate(candidate.candidate ?? '', candidate.sdpMid ?? undefined);
  }

  /** A candidate of the node; one that the browser cannot use is a path less, not an error. */
  addCandidate(candidate: string, sdp_mid: string | undefined): void {
    const init: RTCIceCandidateInit = { candidate, sdpMid: sdp_mid ?? '0' };
    if (this.#pc.remoteDescription === null) {
      if (this.#early.length < EARLY_CANDIDATES_MAX) this.#early.push(init);
      return;
    }
    if (candidate !== '') this.#pc.addIceCandidate(init).catch(() => undefined);
  }

  sendInput(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#input.readyState === 'open' && this.#input.bufferedAmount < INPUT_BUFFER_MAX_BYTES) this.#input.send(bytes);
  }

  sendFacts(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#facts.readyState === 'open') this.#facts.send(bytes);
  }

  sendControl(message: object): void {
    if (this.#control.readyState === 'open') this.#control.send(JSON.stringify(message));
  }

  /** What the node may hear; nothing is sent without a track. */
  setMicrophone(track: MediaStreamTrack | undefined): void {
    // A connection that is closing takes no track any more, and needs none.
    this.#microphone.replaceTrack(track ?? null).catch(() => undefined);
  }

  /** Wishes for the shortest buffers once more. */
  renewBuffers(): void {
    for (const receiver of this.#pc.getReceivers()) renewJitterBuffer(receiver, receiver.track.kind);
  }

  stats(): Promise<RTCStatsReport> {
    return this.#pc.getStats();
  }

  close(): void {
    this.#scope.close();
  }
}
