/** What this device decodes and shows, as the node is told: by codec, whether smoothly, whether in hardware; on what power; HDR10. */

import type { Scope } from './scope';
import { showsHdr, takesHdr10, watchDisplay } from './hdr';
import type { ControlFromPage, DecoderFacts } from './wire/control';

/** Bits a second that are asked about: what a path that is no bottleneck brings. */
const ASKED_BPS = 8_000_000;

/** The codecs that nodes use, each as a type of media and the parameters of its profile. */
const CODECS: readonly { readonly codec: DecoderFacts['codec']; readonly mime: string; readonly profile: RegExp | undefined; readonly asked: string }[] = [
  { codec: 'h264', mime: 'video/h264', profile: undefined, asked: 'video/H264;packetization-mode=1;profile-level-id=42e01f' },
  { codec: 'hevc', mime: 'video/h265', profile: /(^|;)\s*profile-id=1\b/, asked: 'video/H265;profile-id=1' },
  { codec: 'hevc10', mime: 'video/h265', profile: /(^|;)\s*profile-id=2\b/, asked: 'video/H265;profile-id=2' },
  { codec: 'av1', mime: 'video/av1', profile: /^$|(^|;)\s*profile=0\b/, asked: 'video/AV1;profile=0' },
];

export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
}

/** Not in every browser, and not in TypeScript's list. */
interface Battery extends EventTarget {
  readonly charging: boolean;
}

function hasBattery(of: object): of is { getBattery(): Promise<Battery> } {
  return 'getBattery' in of;
}

/** One for each codec that the browser receives. Without the browser's word a codec is taken to be decoded, in software. */
export async function decoderFacts({ width, height, fps }: Picture): Promise<DecoderFacts[]> {
  const received = typeof RTCRtpReceiver === 'undefined' ? [] : (RTCRtpReceiver.getCapabilities('video')?.codecs ?? []);
  const known = CODECS.filter(({ mime, profile }) =>
    received.some(({ mimeType, sdpFmtpLine }) => mimeType.toLowerCase() === mime && (profile === undefined || profile.test(sdpFmtpLine ?? ''))),
  );
  return Promise.all(
    known.map(async ({ codec, asked }) => {
      const video = { contentType: asked, width, height, framerate: fps, bitrate: ASKED_BPS };
      try {
        const info = await navigator.mediaCapabilities.decodingInfo({ type: 'webrtc', video });
        return { codec, smooth: info.supported && info.smooth, efficient: info.supported && info.powerEfficient };
      } catch {
        return { codec, smooth: true, efficient: false };
      }
    }),
  );
}

/** Tells the node, and again when power is plugged in or out, or the page comes to a display of another range. */
export class Decoders {
  #picture: Picture | undefined;
  #battery: Battery | undefined;

  constructor(
    private readonly scope: Scope,
    private readonly send: (message: ControlFromPage) => void,
  ) {
    if (hasBattery(navigator)) {
      navigator.getBattery().then(
        (battery) => this.#follow(battery),
        // A page that may not know is plugged in.
        () => undefined,
      );
    }
    watchDisplay(scope, () => void this.#tell());
  }

  #follow(battery: Battery): void {
    if (this.scope.closed) return;
    this.#battery = battery;
    this.scope.listen(battery, 'chargingchange', () => void this.#tell());
    void this.#tell();
  }

  /** The node said what it plays, or said it again on a new connection. */
  plays({ width, height, fps }: Picture): void {
    this.#picture = { width, height, fps };
    void this.#tell();
  }

  async #tell(): Promise<void> {
    if (this.#picture === undefined) return;
    const [decoders, takes] = await Promise.all([decoderFacts(this.#picture), takesHdr10(this.#picture)]);
    if (this.scope.closed) return;
    this.send({ type: 'decoders', decoders, on_battery: this.#battery?.charging === false, hdr: takes && showsHdr() });
  }
}
