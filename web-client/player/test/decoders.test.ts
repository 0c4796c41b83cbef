import { afterEach, describe, expect, it, vi } from 'vitest';
import { Decoders, decoderFacts } from '../src/decoders';
import { Scope } from '../src/scope';
import type { ControlFromPage } from '../src/wire/control';

const PICTURE = { width: 1280, height: 720, fps: 60 };
const RECEIVED = [
  { mimeType: 'video/VP8' },
  { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=1;profile-level-id=42e01f' },
  { mimeType: 'video/AV1', sdpFmtpLine: 'level-idx=5;profile=1;tier=0' },
  { mimeType: 'video/H265', sdpFmtpLine: 'level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST' },
];

interface Asked {
  readonly video: { readonly contentType: string };
}

function browser(codecs: object[], decodingInfo: (asked: Asked) => Promise<object>, battery?: EventTarget & { charging: boolean }): void {
  vi.stubGlobal('RTCRtpReceiver', { getCapabilities: () => ({ codecs }) });
  const power = battery === undefined ? {} : { getBattery: () => Promise.resolve(battery) };
  vi.stubGlobal('navigator', { mediaCapabilities: { decodingInfo }, ...power });
  vi.stubGlobal('matchMedia', undefined);
}

afterEach(() => vi.unstubAllGlobals());

describe('what the device decodes', () => {
  it('is what the browser receives in the profiles that nodes send, with its word on each', async () => {
    const hardware = (contentType: string): boolean => contentType.startsWith('video/H265');
    browser(RECEIVED, ({ video }) => Promise.resolve({ supported: true, smooth: true, powerEfficient: hardware(video.contentType) }));
    expect(await decoderFacts(PICTURE)).toEqual([
      { codec: 'h264', smooth: true, efficient: false },
      { codec: 'hevc', smooth: true, efficient: true },
    ]);
    browser([{ mimeType: 'video/AV1' }], () => Promise.resolve({ supported: false, smooth: true, powerEfficient: true }));
    expect(await decoderFacts(PICTURE)).toEqual([{ codec: 'av1', smooth: false, efficient: false }]);
  });

  it('is taken to be decoded in software where the browser does not say', async () => {
    browser(RECEIVED, () => Promise.reject(new TypeError('unknown type')));
    expect(await decoderFacts(PICTURE)).toContainEqual({ codec: 'hevc', smooth: true, efficient: false });
  });

  it('is told once the picture is known, and again when power is plugged in or out', async () => {
    const battery = Object.assign(new EventTarget(), { charging: false });
    browser(RECEIVED, () => Promise.resolve({ supported: true, smooth: true, powerEfficient: true }), battery);
    const said: ControlFromPage[] = [];
    const scope = new Scope();
    const decoders = new Decoders(scope, (message) => said.push(message));
    await vi.waitFor(() => expect(scope.size).toBe(1));
    expect(said).toEqual([]);
    decoders.plays(PICTURE);
    await vi.waitFor(() => expect(said).toHaveLength(1));
    expect(said[0]).toMatchObject({ type: 'decoders', on_battery: true });
    battery.charging = true;
    battery.dispatchEvent(new Event('chargingchange'));
    await vi.waitFor(() => expect(said).toHaveLength(2));
    expect(said[1]).toMatchObject({ on_battery: false });
    scope.close();
    decoders.plays(PICTURE);
    battery.dispatchEvent(new Event('chargingchange'));
    await Promise.resolve();
    expect(said).toHaveLength(2);
  });
});
