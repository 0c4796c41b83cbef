/** The player's microphone: off until asked for, with echo cancellation, and off again whenever it goes away. */

export type MicrophoneState =
  | { readonly kind: 'off' }
  | { readonly kind: 'asking' }
  | { readonly kind: 'live' }
  /** In words that tell the player what to do. */
  | { readonly kind: 'failed'; readonly why: string };

const CONSTRAINTS: MediaStreamConstraints = {
  audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
};

/** What `getUserMedia` refuses with, and what helps. */
const ADVICE: Readonly<Record<string, string>> = {
  NotAllowedError: 'The browser does not allow the microphone. Allow it beside the address, then press again.',
  NotFoundError: 'No microphone was found. Plug one in, then press again.',
  NotReadableError: 'Another program uses the microphone. Close it there, then press again.',
};

export class Microphone {
  #state: MicrophoneState = { kind: 'off' };
  #track: MediaStreamTrack | undefined;
  /** Counts presses, so that permission that comes too late turns nothing on. */
  #asked = 0;

  constructor(
    /** The track that may be heard; none while it is off. */
    private readonly onTrack: (track: MediaStreamTrack | undefined) => void,
    private readonly onState: (state: MicrophoneState) => void,
  ) {}

  get state(): MicrophoneState {
    return this.#state;
  }

  get track(): MediaStreamTrack | undefined {
    return this.#track;
  }

  toggle(): void {
    if (this.#state.kind === 'live' || this.#state.kind === 'asking') this.off();
    else void this.#on();
  }

  off(): void {
    this.#asked += 1;
    this.#release();
    if (this.#state.kind !== 'off') this.#become({ kind: 'off' });
  }

  async #on(): Promise<void> {
    const mine = ++this.#asked;
    this.#become({ kind: 'asking' });
    try {
      const [track] = (await openMicrophone()).getAudioTracks();
      if (mine !== this.#asked || track === undefined) {
        track?.stop();
        return;
      }
      track.addEventListener('ended', () => this.#gone(track));
      this.#track = track;
      this.onTrack(track);
      this.#become({ kind: 'live' });
    } catch (error) {
      if (mine !== this.#asked) return;
      const name = error instanceof DOMException ? error.name : '';
      this.#become({ kind: 'failed', why: ADVICE[name] ?? 'The microphone could not be opened. Open this page over HTTPS in a current browser.' });
    }
  }

  /** Unplugged, or taken back by the browser; `stop()` of our own does not come here. */
  #gone(track: MediaStreamTrack): void {
    if (track !== this.#track) return;
    this.#release();
    this.#become({ kind: 'failed', why: 'The microphone was unplugged or taken back. Press again to turn it on.' });
  }

  #release(): void {
    if (this.#track === undefined) return;
    this.#track.stop();
    this.#track = undefined;
    this.onTrack(undefined);
  }

  #become(state: MicrophoneState): void {
    this.#state = state;
    this.onState(state);
  }
}

/** Absent on pages that are not secure, whatever the types say. */
async function openMicrophone(): Promise<MediaStream> {
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (devices === undefined) throw new Error('no media devices on this page');
  return devices.getUserMedia(CONSTRAINTS);
}
