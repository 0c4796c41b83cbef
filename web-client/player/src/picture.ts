/**
 * The video and audio elements: attaches streams, reports each frame that the display takes.
 *
 * Audio and video live in separate streams, because lip-sync between them adds up to 100 ms to the
 * picture. Video is always muted, so that it may start without a gesture.
 */

import { Scope } from './scope';

/** A frame that the display took; times by `performance.now()`. */
export interface ShownFrame {
  readonly at_ms: number;
  /** Undefined where the browser does not tell. */
  readonly rtp_timestamp: number | undefined;
  /** How long it lay decoded; undefined where the browser does not tell. */
  readonly wait_us: number | undefined;
  readonly decode_us: number | undefined;
}

export class Picture {
  readonly #scope = new Scope();
  #stream: MediaStream | undefined;

  constructor(
    scope: Scope,
    private readonly video: HTMLVideoElement,
    private readonly audio: HTMLAudioElement,
    private readonly onFrame: (frame: ShownFrame) => void,
    /** Whether sound is kept back until the player touches the page. */
    private readonly onSoundBlocked: (blocked: boolean) => void,
  ) {
    scope.add(() => this.#scope.close());
    this.#scope.add(() => this.#clear());
    this.#watch();
  }

  attach(tracks: readonly MediaStreamTrack[]): void {
    const video = tracks.filter((track) => track.kind === 'video');
    const audio = tracks.filter((track) => track.kind === 'audio');
    if (video.length > 0) {
      this.#stream = new MediaStream(video);
      this.video.srcObject = this.#stream;
      this.video.play().catch(() => undefined);
    }
    if (audio.length > 0) {
      this.audio.srcObject = new MediaStream(audio);
      this.playSound();
    }
  }

  /** Call again from a gesture where the browser blocked it. */
  playSound(): void {
    if (this.audio.srcObject === null) return;
    this.audio
      .play()
      .then(() => this.onSoundBlocked(false))
      .catch((error: unknown) => {
        if (error instanceof DOMException && error.name === 'NotAllowedError') this.onSoundBlocked(true);
      });
  }

  /** iOS shows black after the page was hidden until the stream is set again. */
  refresh(): void {
    if (this.#stream === undefined) return;
    this.video.srcObject = this.#stream;
    this.video.play().catch(() => undefined);
  }

  /** Fresh streams of the same tracks: whatever has queued up before the outputs goes. */
  reattach(): void {
    const { srcObject } = this.audio;
    const sound = srcObject instanceof MediaStream ? srcObject.getTracks() : [];
    this.attach([...(this.#stream?.getTracks() ?? []), ...sound]);
  }

  #watch(): void {
    const next = (now_ms: number, meta: VideoFrameCallbackMetadata): void => {
      if (this.#scope.closed) return;
      const at_ms = performance.now();
      this.video.requestVideoFrameCallback(next);
      this.onFrame({ at_ms, ...timing(now_ms, meta) });
    };
    // Absent in browsers that cannot play at all; the session refuses those.
    if ('requestVideoFrameCallback' in this.video) this.video.requestVideoFrameCallback(next);
  }

  #clear(): void {
    this.video.srcObject = null;
    this.audio.srcObject = null;
  }
}

/** Wait and decode time of a frame, as the node's frame clock wants them. */
function timing(now_ms: number, meta: VideoFrameCallbackMetadata): Omit<ShownFrame, 'at_ms'> {
  const { receiveTime, processingDuration, rtpTimestamp } = meta;
  if (receiveTime === undefined) return { rtp_timestamp: rtpTimestamp, wait_us: undefined, decode_us: undefined };
  const decode_ms = (processingDuration ?? 0) * 1000;
  return {
    rtp_timestamp: rtpTimestamp,
    wait_us: (now_ms - (receiveTime + decode_ms)) * 1000,
    decode_us: decode_ms * 1000,
  };
}
