import { describe, expect, it, vi } from 'vitest';
import { renewJitterBuffer, shortenJitterBuffer, wishForExtensions } from '../src/transport/sdp';

const DESCRIPTOR = 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension';
const DELAY = 'http://www.webrtc.org/experiments/rtp-hdrext/playout-delay';
const ROTATION = 'urn:3gpp:video-orientation';

/** A transceiver as Chromium has it: gives a copy of its list, takes a changed one. Stands in, and proves only our side. */
function transceiver(): { getHeaderExtensionsToNegotiate(): { uri: string; direction: string }[]; setHeaderExtensionsToNegotiate: ReturnType<typeof vi.fn> } {
  return {
    getHeaderExtensionsToNegotiate: () => [
      { uri: DESCRIPTOR, direction: 'stopped' },
      { uri: DELAY, direction: 'sendrecv' },
      { uri: ROTATION, direction: 'stopped' },
    ],
    setHeaderExtensionsToNegotiate: vi.fn(),
  };
}

describe('header extensions', () => {
  it('are offered with the Dependency Descriptor, and otherwise as the browser has them', () => {
    const target = transceiver();
    wishForExtensions(target);
    expect(target.setHeaderExtensionsToNegotiate).toHaveBeenCalledExactlyOnceWith([
      { uri: DESCRIPTOR, direction: 'sendrecv' },
      { uri: DELAY, direction: 'sendrecv' },
      { uri: ROTATION, direction: 'stopped' },
    ]);
  });

  it('are the default where a browser cannot choose them, or refuses to', () => {
    expect(() => wishForExtensions({})).not.toThrow();
    const target = transceiver();
    target.setHeaderExtensionsToNegotiate.mockImplementation(() => {
      throw new DOMException('no', 'InvalidModificationError');
    });
    expect(() => wishForExtensions(target)).not.toThrow();
    expect(target.setHeaderExtensionsToNegotiate).toHaveBeenCalledOnce();
  });
});

describe('jitter buffers', () => {
  /** A receiver that remembers everything it was asked for. Stands in, and proves only our side. */
  function receiver(): { asked: unknown[]; jitterBufferTarget: unknown; playoutDelayHint: unknown } {
    const asked: unknown[] = [];
    const remember = { set: (wish: unknown) => void asked.push(wish), enumerable: true };
    return Object.defineProperties({ asked }, { jitterBufferTarget: remember, playoutDelayHint: remember }) as ReturnType<typeof receiver>;
  }

  it('are as short as can be for the picture, and just smooth for sound', () => {
    const [video, audio] = [receiver(), receiver()];
    shortenJitterBuffer(video, 'video');
    shortenJitterBuffer(audio, 'audio');
    expect(video.asked).toEqual([0, 0]);
    expect(audio.asked).toEqual([20]);
  });

  it('are let go before they are asked for again', () => {
    const video = receiver();
    renewJitterBuffer(video, 'video');
    expect(video.asked).toEqual([null, null, 0, 0]);
  });

  it('stay as they are where the browser has no such wish', () => {
    const plain = {};
    renewJitterBuffer(plain, 'video');
    expect(plain).toEqual({});
  });
});
