import { describe, expect, it } from 'vitest';
import { Witness } from '../src/stats/witness';

const video = (frames: number, bytes: number, packets: number, lost = 0) => ({
  type: 'inbound-rtp',
  kind: 'video',
  framesReceived: frames,
  bytesReceived: bytes,
  headerBytesReceived: 12,
  packetsReceived: packets,
  packetsLost: lost,
});
const audio = { type: 'inbound-rtp', kind: 'audio', bytesReceived: 100, headerBytesReceived: 8, packetsReceived: 5, packetsLost: -1 };

describe('what a page counts by itself', () => {
  it('is picture and sound with headers, from when the session was made', () => {
    const witness = new Witness(1000);
    witness.sample('a', [video(30, 2500, 20), audio]);
    witness.sample('a', [video(60, 5000, 40, 2), audio, { type: 'transport', bytesReceived: 9e9 }]);
    expect(witness.count(3, 11_500)).toEqual({
      until_sequence: 3,
      elapsed_us: 10_500_000,
      frames: 60,
      bytes: 5120,
      packets: 45,
      packets_lost: 2,
    });
  });

  it('goes on across connections, each of which counts from zero', () => {
    const witness = new Witness(0);
    witness.sample('a', [video(60, 5000, 40)]);
    witness.sample('b', [video(10, 300, 4)]);
    witness.sample('a', [video(61, 5050, 41)]);
    expect(witness.count(1, 2000)).toMatchObject({ frames: 71, bytes: 5374, packets: 45 });
  });

  it('is nothing where a browser counts nothing', () => {
    const witness = new Witness(0);
    witness.sample('a', [{ type: 'inbound-rtp' }]);
    expect(witness.count(0, 1)).toMatchObject({ frames: 0, bytes: 0, packets: 0 });
  });
});
