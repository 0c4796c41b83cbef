import { describe, expect, it } from 'vitest';
import { withStereo } from '../src/transport/sdp';

const OFFER = [
  'v=0',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111 63',
  'a=rtpmap:111 opus/48000/2',
  'a=fmtp:111 minptime=10;useinbandfec=1',
  'a=rtpmap:63 red/48000/2',
  'a=fmtp:63 111/111',
  'm=video 9 UDP/TLS/RTP/SAVPF 102',
  'a=fmtp:102 packetization-mode=1',
  '',
].join('\r\n');

describe('the offer', () => {
  it('asks for Opus in stereo, once, and leaves everything else as it is', () => {
    const wanted = OFFER.replace('useinbandfec=1', 'useinbandfec=1;stereo=1');
    expect(withStereo(OFFER)).toBe(wanted);
    expect(withStereo(wanted)).toBe(wanted);
    expect(withStereo(OFFER.replaceAll('\r\n', '\n'))).toBe(wanted.replaceAll('\r\n', '\n'));
    expect(withStereo('v=0\r\n')).toBe('v=0\r\n');
  });
});
