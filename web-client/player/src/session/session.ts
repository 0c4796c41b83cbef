/**
 * Carries out the reducer's effects: makes the session, opens signalling and connections, verifies
 * the node before connecting to it, and feeds input and statistics. One `Play` is one start.
 *
 * Invariant: no answer is applied whose attestation was not verified against the key that came with
 * the ticket.
 */

import { ApiError, createSession, leaveQueue, leaveSession, reportPath, tellCount, type CreatedSession } from '../api';
import { newSessionKey, sessionKey, verifyEd25519, type SessionKey } from '../crypto/ed25519';
import { Decoders } from '../decoders';
import { InputSender } from '../input/sender';
import { measure } from '../measure/measure';
import { Picture, type ShownFrame } from '../picture';
import { ReceiptChain } from '../receipts';
import { Scope } from '../scope';
import type { Row } from '../stats/rtc';
import { Statistics } from '../stats/snapshot';
import { isStalled, isSuspect } from '../stats/stall';
import { Witness, type PageCount } from '../stats/witness';
import { watchNetwork } from '../network';
import { SignalSocket } from '../transport/signal';
import type { Offer, Peer } from '../transport/peer';
import { answersByUdp, byUdp } from '../transport/relay';
import { refuseAttestation } from '../wire/attest';
import { MAX_CLIPBOARD_BYTES, type Rumble, type TitleWish } from '../wire/control';
import type { SignalToPage } from '../wire/signal';
import { Cover } from './cover';
import { Dialogue } from './dialogue';
import { forgetSession, keepSession, type KeptSession } from './kept';
import { Peers } from './peers';
import { UNREACHABLE, UNSUPPORTED, untrusted, type Problem } from './problem';
import { IDLE, reduce } from './reducer';
import type { Effect, Event, State } from './state';
import { sameView, viewOf, type View } from './view';

/** Timeouts of the reducer are met to within this. */
const TICK_MS = 200;
/** The stall detector looks this often. */
const STALL_CHECK_MS = 50;
/** Gamepads are polled and merged input is flushed this often: browsers allow no shorter timer. */
const FAST_MS = 4;
const STATS_MS = 1_000;
/** How far the node is is told after this, and again after so long. */
const PATH_MS = { first: 10_000, then: 60_000 };
/** Counts are told with one receipt in so many, and the last one at the end. */
const TOLD_COUNTS = 6;

export interface PlayOptions {
  /** Origin of the matchmaker. */
  readonly server: string;
  readonly title: string;
  /** To be placed with the other members of a group. */
  readonly group?: string;
  /** A session that an earlier page began and left waiting; a new one without it. */
  readonly kept?: KeptSession;
  readonly video: HTMLVideoElement;
  readonly audio: HTMLAudioElement;
  readonly onView: (view: View) => void;
  /** Once a second. */
  readonly onStats: () => void;
  readonly onSoundBlocked: (blocked: boolean) => void;
  readonly onRumble: (rumble: Rumble) => void;
  /** Polls what has no events of its own, before input is sent. */
  readonly onFastTick: () => void;
  /** A node began to listen: tell it about display, keyboard and microphone. */
  readonly onGreeted: () => void;
  /** The title wants something of the page. */
  readonly onWish: (wish: TitleWish) => void;
}

export class Play {
  readonly stats = new Statistics();
  readonly input: InputSender;
  readonly #scope = new Scope();
  readonly #picture: Picture;
  readonly #peers: Peers;
  #state: State = IDLE;
  readonly #queue: Event[] = [];
  #dispatching = false;
  #created: CreatedSession | undefined;
  #created_ms = 0;
  /** The server keeps a place in the queue. */
  #waits = false;
  /** How to come back to this session from another page; none for titles that are not worth it. */
  #kept: KeptSession | undefined;
  #signal: SignalSocket | undefined;
  #dialogue: Dialogue | undefined;
  #cover = new Cover(false);
  #iceServers: RTCIceServer[] = [];
  #last_frame_ms = 0;
  #online_ms: number | undefined;
  /** Lowest round trip since the path was told last. */
  #lowest_rtt_ms = Infinity;
  #path_ms = PATH_MS.first;
  /** None where an earlier page saw a part of the session. */
  #witness: Witness | undefined;
  /** What was counted last and not told. */
  #untold: PageCount | undefined;
  /** When the server last greeted this page on a new socket. */
  #greeted_ms: number | undefined;

  constructor(private readonly options: PlayOptions) {
    const { video, audio, onSoundBlocked } = options;
    this.input = new InputSender({
      send: (bytes) => this.#peers.sendInput(bytes),
      now_ms: () => performance.now(),
      onEvent: (serial, at_ms) => this.stats.frames.input(serial, at_ms),
      continued: options.kept !== undefined,
    });
    this.#picture = new Picture(this.#scope, video, audio, (frame) => this.#shown(frame), onSoundBlocked);
    this.#peers = new Peers(this.#scope, this.#picture, {
      candidate: (peer, candidate, sdp_mid) =>
        this.#signal?.sendPeer({ type: 'candidate', peer: peer.id, candidate, sdp_mid }),
      connected: (peer) => this.#dispatch({ type: 'connected', peer }),
      failed: (peer) => this.#dispatch({ type: 'peer_failed', peer, at_ms: performance.now() }),
      facts: (bytes) => this.#dialogue?.facts(bytes, performance.now()),
      control: (message) => this.#dialogue?.control(message, performance.now()),
      controlOpen: () => {
        this.stats.newPeer();
        this.#dialogue?.greet(() => document.hidden, performance.now());
      },
    });
    this.#watch();
  }

  get view(): View {
    return viewOf(this.#state);
  }

  start(): void {
    this.#dispatch({ type: 'start', at_ms: performance.now() });
  }

  leave(): void {
    this.#dispatch({ type: 'leave' });
  }

  /** Tells the node the size and rate of the picture on screen. */
  display(width: number, height: number, refresh_hz: number): void {
    this.#peers.sendControl({ type: 'display', width, height, refresh_hz });
  }

  /** Tells the node the player's keyboard layout, by its names in xkb. */
  keyboard(layout: string, variant: string): void {
    this.#peers.sendControl({ type: 'keyboard', layout, variant });
  }

  /** Puts text on the title's clipboard; false where it is too long to travel. */
  clipboard(text: string): boolean {
    if (new TextEncoder().encode(text).length > MAX_CLIPBOARD_BYTES) return false;
    this.#peers.sendControl({ type: 'clipboard', text });
    return true;
  }

  /** The track that the title hears; none while the microphone is off. Stays on across connections. */
  microphone(track: MediaStreamTrack | undefined): void {
    this.#peers.setMicrophone(track);
    this.#peers.sendControl({ type: 'microphone', on: track !== undefined });
  }

  /** The most that video may take, kbit/s; `null` for no limit. */
  dataCap(kbps: number | null): void {
    this.#peers.sendControl({ type: 'data_cap', kbps });
  }

  /** Asks for the shortest buffers again, where a browser let them grow. */
  renewBuffers(): void {
    this.#peers.shownPeer?.renewBuffers();
  }

  /** Gives picture and sound fresh outputs: whatever has queued up before them goes. Shows for an instant. */
  reattach(): void {
    this.#picture.reattach();
  }

  /** From a gesture, where the browser held sound back. */
  playSound(): void {
    this.#picture.playSound();
  }

  #watch(): void {
    const scope = this.#scope;
    scope.interval(TICK_MS, () => {
      if (!document.hidden) this.#dispatch({ type: 'tick', at_ms: performance.now() });
    });
    scope.interval(STALL_CHECK_MS, () => this.#checkStall());
    scope.interval(FAST_MS, () => {
      const now_ms = performance.now();
      this.options.onFastTick();
      this.input.tick(now_ms);
      this.#dialogue?.tick(now_ms);
    });
    scope.interval(STATS_MS, () => void this.#sampleEverySecond());
    scope.listen(window, 'online', () => this.#networkChanged());
    watchNetwork(scope, () => this.#networkChanged());
    scope.listen(document, 'visibilitychange', () => this.#visibility());
    scope.listen(window, 'pagehide', () => this.#dispatch({ type: this.#kept === undefined ? 'leave' : 'suspend' }));
  }

  #networkChanged(): void {
    this.#online_ms = performance.now();
    this.#dispatch({ type: 'online', at_ms: this.#online_ms });
  }

  #visibility(): void {
    const { hidden } = document;
    this.#peers.sendControl({ type: 'hidden', hidden });
    if (hidden) return;
    const now_ms = performance.now();
    this.#last_frame_ms = now_ms;
    if (this.#dialogue !== undefined) this.#dialogue.last_facts_ms = now_ms;
    this.#picture.refresh();
    this.#dispatch({ type: 'resumed', at_ms: now_ms });
  }

  #checkStall(): void {
    if (this.#state.kind !== 'playing' || document.hidden) return;
    const now_ms = performance.now();
    const signs = {
      now_ms,
      last_frame_ms: this.#last_frame_ms,
      last_facts_ms: this.#dialogue?.last_facts_ms ?? now_ms,
      online_ms: this.#online_ms,
      greeted_ms: this.#greeted_ms,
      path_lost: this.#peers.shownPeer?.pathLost ?? true,
    };
    if (isStalled(signs)) this.#dispatch({ type: 'stalled', at_ms: now_ms, last_frame_ms: this.#last_frame_ms });
    else if (isSuspect(signs)) this.#signal?.renew(now_ms);
  }

  async #sampleEverySecond(): Promise<void> {
    const report = await this.#sample();
    if (report === undefined) return;
    this.stats.sample(report.values() as Iterable<Row>, performance.now());
    this.options.onStats();
    if (this.stats.relayedByTcp) this.#dispatch({ type: 'relayed_by_tcp' });
    this.#tellPath();
  }

  async #sample(): Promise<RTCStatsReport | undefined> {
    const peer = this.#peers.shownPeer;
    const report = await peer?.stats();
    if (peer === undefined || report === undefined || this.#scope.closed) return undefined;
    this.#witness?.sample(peer.id, report.values() as Iterable<Row>);
    return report;
  }

  #tellPath(): void {
    this.#lowest_rtt_ms = Math.min(this.#lowest_rtt_ms, this.stats.rtt_ms ?? Infinity);
    const first_ms = this.stats.first_frame_ms;
    if (first_ms === undefined || this.#created === undefined || !Number.isFinite(this.#lowest_rtt_ms)) return;
    if (performance.now() - first_ms < this.#path_ms) return;
    this.#path_ms += PATH_MS.then;
    reportPath(this.options.server, this.#created, this.#lowest_rtt_ms);
    this.#lowest_rtt_ms = Infinity;
  }

  async #count(sequence: number): Promise<void> {
    await this.#sample();
    const [witness, created] = [this.#witness, this.#created];
    if (witness === undefined || created === undefined || this.#scope.closed) return;
    this.#untold = witness.count(sequence, performance.now());
    if ((sequence + 1) % TOLD_COUNTS === 0) this.#tellCount(created);
  }

  #tellCount(created: CreatedSession): void {
    if (this.#untold !== undefined) tellCount(this.options.server, created, this.#untold);
    this.#untold = undefined;
  }

  #shown(frame: ShownFrame): void {
    const peer = this.#peers.attached;
    if (peer === undefined) return;
    this.#last_frame_ms = frame.at_ms;
    if (this.#cover.hides(frame)) {
      this.#dialogue?.shown(frame);
      return;
    }
    this.stats.first_frame_ms ??= frame.at_ms;
    this.stats.frames.shown(frame.rtp_timestamp, frame.at_ms);
    if (frame.wait_us !== undefined && frame.decode_us !== undefined) {
      this.stats.frames.queued_ms.push((frame.wait_us + frame.decode_us) / 1000);
    }
    this.#dialogue?.shown(frame);
    if (this.#state.kind === 'connecting' || this.#state.kind === 'reconnecting') {
      this.#dispatch({ type: 'picture', peer });
    }
  }

  /** One event at a time: those that effects cause wait for their turn. */
  #dispatch(event: Event): void {
    this.#queue.push(event);
    if (this.#dispatching) return;
    this.#dispatching = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#step(next);
    } finally {
      this.#dispatching = false;
    }
  }

  #step(event: Event): void {
    const before = viewOf(this.#state);
    const [state, effects] = reduce(this.#state, event);
    if (this.#state.kind === 'reconnecting' && state.kind === 'playing') this.stats.reconnections += 1;
    this.#state = state;
    const over = state.kind === 'failed' || (state.kind === 'ended' && state.reason !== 'suspended');
    if (over && this.#created !== undefined && event.type !== 'start') void forgetSession(this.#created.id);
    for (const effect of effects) this.#perform(effect);
    const after = viewOf(state);
    if (!sameView(before, after)) this.options.onView(after);
  }

  #perform(effect: Effect): void {
    switch (effect.do) {
      case 'create_session':
        void this.#create();
        break;
      case 'open_signal':
        this.#openSignal();
        break;
      case 'renew_signal':
        this.#signal?.renew(performance.now());
        break;
      case 'open_peer':
        this.#openPeer(effect.peer);
        break;
      case 'restart_ice':
        this.#sendOffer(this.#peers.get(effect.peer), (peer) => peer.restartIce(this.#iceServers));
        break;
      case 'seek_udp':
        void answersByUdp(this.#scope, this.#iceServers).then((answers) => {
          if (answers) this.#dispatch({ type: 'udp_answers', peer: effect.peer });
        });
        break;
      case 'move_to_udp':
        this.#sendOffer(this.#peers.get(effect.peer), (peer) => peer.restartIce(byUdp(this.#iceServers)));
        break;
      case 'settle_ice':
        if (this.#peers.get(effect.peer)?.unanswered === true) this.#perform({ do: 'restart_ice', peer: effect.peer });
        break;
      case 'keep_peers':
        this.#peers.keep(effect.peers);
        break;
      case 'tell_leave':
        this.#signal?.leave();
        if (this.#created !== undefined) {
          this.#tellCount(this.#created);
          leaveSession(this.options.server, this.#created);
        } else if (this.#waits) leaveQueue(this.options.server, this.options.title);
        break;
      case 'release':
        this.#scope.close();
        break;
    }
  }

  async #create(): Promise<void> {
    const { kept } = this.options;
    if (kept !== undefined && isSupported()) {
      this.#kept = kept;
      const since_ms = performance.now() - (Date.now() - kept.created_ms);
      this.#begin(kept.session, sessionKey(kept.publicKey, kept.privateKey), since_ms);
      return;
    }
    const abort = new AbortController();
    this.#scope.add(() => abort.abort());
    const { server, title, group } = this.options;
    if (!isSupported()) {
      this.#refuse(UNSUPPORTED);
      return;
    }
    try {
      const [key, measured] = await Promise.all([newSessionKey(), measure(server)]);
      abort.signal.throwIfAborted();
      const wish = { server, title, playerKey: key.publicKey, measured, group };
      const created = await createSession(wish, abort.signal, (waiting) => {
        this.#waits = true;
        this.#dispatch({ type: 'waiting', at_ms: performance.now(), waiting });
      });
      this.#waits = false;
      if (this.#scope.closed) leaveSession(server, created);
      else {
        this.#cover = new Cover(created.challenged);
        this.#begin(created, key, performance.now());
      }
    } catch (error) {
      this.#refuse(error instanceof ApiError ? error.problem : UNREACHABLE);
    }
  }

  #refuse(problem: Problem): void {
    this.#dispatch({ type: 'refused', problem });
  }

  /** `since_ms`: when the session was made, by this page's clock. */
  #begin(created: CreatedSession, key: SessionKey, since_ms: number): void {
    const at_ms = performance.now();
    this.#created = created;
    this.#created_ms = since_ms;
    this.#iceServers = created.ice_servers;
    this.stats.node = created.node_name;
    if (this.options.kept === undefined) this.#witness = new Witness(since_ms);
    const decoders = new Decoders(this.#scope, (message) => this.#peers.sendControl(message));
    this.#dialogue = new Dialogue(this.stats, this.input, new ReceiptChain(created.id, key, at_ms), {
      sendFacts: (bytes) => this.#peers.sendFacts(bytes),
      sendControl: (message) => this.#peers.sendControl(message),
      onEnded: (reason, message) => this.#dispatch({ type: 'ended', reason, message }),
      onRefused: (problem) => this.#refuse(problem),
      onRumble: this.options.onRumble,
      onSigned: (sequence) => void this.#count(sequence),
      onGreeted: this.options.onGreeted,
      onBegins: (rtp_timestamp) => this.#cover.begins(rtp_timestamp),
      onSession: (facts) => {
        decoders.plays(facts);
        if (facts.kind === 'app') this.#keep(created, key);
      },
      onWish: this.options.onWish,
    });
    const session = { id: created.id, node: created.node, node_name: created.node_name };
    this.#dispatch({ type: 'created', at_ms, session });
  }

  /** From now on another page of this browser can go on with the session. */
  #keep(session: CreatedSession, { publicKey, privateKey }: SessionKey): void {
    if (privateKey === undefined || this.#kept !== undefined) return;
    const created_ms = Date.now() - (performance.now() - this.#created_ms);
    this.#kept = { session, title: this.options.title, created_ms, publicKey, privateKey };
    keepSession(this.#kept).catch(() => {
      this.#kept = undefined;
    });
  }

  #openSignal(): void {
    const created = this.#created;
    if (created === undefined) return;
    const url = new URL(created.signal_path, this.options.server);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const onMessage = (message: SignalToPage): void => this.#signalled(message, created);
    this.#signal = new SignalSocket(this.#scope, { url, ticket: created.ticket, onMessage });
    this.#sendOffer(this.#peers.get(1), (peer) => peer.offer(this.#iceServers));
  }

  /** The first peer is opened ahead of its session and makes its offer when that is there. */
  #openPeer(n: number): void {
    try {
      const peer = this.#peers.open(n);
      if (this.#created !== undefined) this.#sendOffer(peer, () => peer.offer(this.#iceServers));
    } catch {
      this.#refuse(UNSUPPORTED);
    }
  }

  #sendOffer(peer: Peer | undefined, make: (peer: Peer) => Promise<Offer | undefined>): void {
    if (peer === undefined) return;
    const { seat } = this.input;
    make(peer)
      .then((offer) => {
        if (offer !== undefined) this.#signal?.sendPeer({ type: 'offer', peer: peer.id, seat, ...offer });
      })
      // A connection that can make no offer shows no picture; the reducer's timeout replaces it.
      .catch(() => undefined);
  }

  #signalled(message: SignalToPage, created: CreatedSession): void {
    switch (message.type) {
      case 'welcome':
        this.#iceServers = message.ice_servers;
        this.#greeted_ms = performance.now();
        this.#checkStall();
        break;
      case 'answer':
        void this.#answered(message, created);
        break;
      case 'candidate':
        this.#peers.find(message.peer)?.addCandidate(message.candidate, message.sdp_mid);
        break;
      case 'state':
        break;
      case 'interruption':
        this.options.onWish({ type: 'warning', text: 'This session ends in a few seconds: its machine is needed for a player. Save now.' });
        break;
      case 'ended':
        this.#dispatch({ type: 'ended', reason: message.reason, message: message.message });
        break;
      case 'error':
        // Final, but a running picture needs no signalling; its end is told on the control channel too.
        if (this.#state.kind === 'playing') break;
        this.#refuse({ code: message.code, title: 'The server ended the connection', detail: message.message });
        break;
    }
  }

  async #answered(answer: Extract<SignalToPage, { type: 'answer' }>, created: CreatedSession): Promise<void> {
    const peer = this.#peers.find(answer.peer);
    const { nonce } = answer.attestation;
    if (peer?.wantsAnswer(nonce) !== true) return;
    const expected = {
      session: created.id,
      node_key: created.node_key,
      nonce: peer.nonce,
      now_ms: created.now_ms + (performance.now() - this.#created_ms),
      sdp: answer.sdp,
    };
    const why = await refuseAttestation(answer.attestation, expected, verifyEd25519);
    if (this.#scope.closed || !peer.wantsAnswer(nonce)) return;
    if (why !== undefined) this.#refuse(untrusted(why));
    else await peer.accept(answer.sdp).catch(() => this.#peers.fail(peer));
  }
}

/** WebCrypto is there on secure pages only; frame callbacks and WebRTC in every current browser. */
function isSupported(): boolean {
  const secure = typeof crypto.subtle === 'object';
  return secure && 'requestVideoFrameCallback' in HTMLVideoElement.prototype && typeof RTCPeerConnection === 'function';
}
