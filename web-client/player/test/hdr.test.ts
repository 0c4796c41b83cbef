import { afterEach, describe, expect, it, vi } from 'vitest';
import { Decoders } from '../src/decoders';
import { showsHdr, takesHdr10 } from '../src/hdr';
import { Scope } from '../src/scope';
import type { ControlFromPage } from '../src/wire/control';

const PICTURE = { width: 1920, height: 1080, fps: 60 };

interface Asked {
  readonly type: string;
  readonly video: Readonly<Record<string, unknown>>;
}

/** A display whose media queries change. */
class Display {
  readonly true = new Set<string>();
  readonly #queries = new Map<string, EventTarget>();

  constructor(...queries: string[]) {
    queries.forEach((query) => this.true.add(query));
    vi.stubGlobal('matchMedia', (query: string) => {
      const target = this.#queries.get(query) ?? new EventTarget();
      this.#queries.set(query, target);
      return Object.assign(target, { matches: this.true.has(query) });
    });
  }

  change(query: string, matches: boolean): void {
    if (matches) this.true.add(query);
    else this.true.delete(query);
    this.#queries.get(query)?.dispatchEvent(new Event('change'));
  }
}

/** A browser that takes HDR10 from its decoder of HEVC in hardware, or not; `asked` gets every question. */
function browser(hdr10: boolean, asked: Asked[] = []): void {
  const codecs = [{ mimeType: 'video/H264' }, { mimeType: 'video/H265', sdpFmtpLine: 'profile-id=2' }];
  vi.stubGlobal('RTCRtpReceiver', { getCapabilities: () => ({ codecs }) });
  const decodingInfo = (question: Asked): Promise<object> => {
    asked.push(question);
    const { type, video } = question;
    const colours = 'colorGamut' in video || 'transferFunction' in video || 'hdrMetadataType' in video;
    // As the specification says of questions about WebRTC.
    if (type === 'webrtc' && colours) return Promise.reject(new TypeError('not for webrtc'));
    return Promise.resolve({ supported: !colours || hdr10, smooth: true, powerEfficient: true });
  };
  vi.stubGlobal('navigator', { mediaCapabilities: { decodingInfo } });
}

afterEach(() => vi.unstubAllGlobals());

describe('HDR10', () => {
  it('is shown by a display of high range and wide gamut', () => {
    for (const [queries, shown] of [
      [['(dynamic-range: high)', '(color-gamut: p3)'], true],
      [['(video-dynamic-range: high)', '(color-gamut: p3)'], true],
      [['(dynamic-range: high)'], false],
      [['(color-gamut: p3)'], false],
      [[], false],
    ] as const) {
      new Display(...queries);
      expect(showsHdr(), queries.join(' ')).toBe(shown);
    }
    vi.stubGlobal('matchMedia', undefined);
    expect(showsHdr(), 'a browser without media queries').toBe(false);
  });

  it('is taken where the browser says so of its decoder, which is asked in a way that it may be', async () => {
    const asked: Asked[] = [];
    browser(true, asked);
    expect(await takesHdr10(PICTURE)).toBe(true);
    expect(asked).toMatchObject([{ type: 'media-source', video: { transferFunction: 'pq', colorGamut: 'rec2020', width: 1920 } }]);
    browser(false);
    expect(await takesHdr10(PICTURE)).toBe(false);
    vi.stubGlobal('navigator', { mediaCapabilities: { decodingInfo: () => Promise.reject(new TypeError('unknown')) } });
    expect(await takesHdr10(PICTURE)).toBe(false);
    vi.stubGlobal('navigator', {});
    expect(await takesHdr10(PICTURE)).toBe(false);
  });

  it('is told with the decoders, and again on another display', async () => {
    const display = new Display('(dynamic-range: high)', '(color-gamut: p3)');
    browser(true);
    const said: ControlFromPage[] = [];
    const scope = new Scope();
    new Decoders(scope, (message) => said.push(message)).plays(PICTURE);
    await vi.waitFor(() => expect(said).toHaveLength(1));
    expect(said[0]).toMatchObject({ type: 'decoders', hdr: true, decoders: [{ codec: 'h264' }, { codec: 'hevc10', efficient: true }] });
    display.change('(dynamic-range: high)', false);
    await vi.waitFor(() => expect(said).toHaveLength(2));
    expect(said[1]).toMatchObject({ hdr: false });
    scope.close();
    display.change('(dynamic-range: high)', true);
    await Promise.resolve();
    expect(said).toHaveLength(2);
  });
});
