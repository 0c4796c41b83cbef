import { describe, expect, it } from 'vitest';
import { isTrouble, pathNote, verdict, type Cause, type Signs } from '../src/stats/verdict';
import type { Limit } from '../src/wire/control';

/** A direct, quick, loss-free session at 60 frames a second. */
const WELL: Signs = {
  limit: 'none',
  interval_ms: 1000 / 60,
  loss: 0,
  rtt_ms: 12,
  queue_ms: 1,
  unsteady_ms: 3,
  frozen: 0,
  decode_ms: 2,
  fps_decoded: 60,
  fps_shown: 60,
  draw_ms: 3,
  encode_ms: 4,
  transport: 'udp',
  relayed: false,
  network: 'wifi',
};

const UNMEASURED: Signs = {
  limit: undefined,
  interval_ms: undefined,
  loss: undefined,
  rtt_ms: undefined,
  queue_ms: undefined,
  unsteady_ms: undefined,
  frozen: undefined,
  decode_ms: undefined,
  fps_decoded: undefined,
  fps_shown: undefined,
  draw_ms: undefined,
  encode_ms: undefined,
  transport: undefined,
  relayed: undefined,
  network: 'unknown',
};

const found = (signs: Partial<Signs>): [Limit, Cause] => {
  const { limit, cause } = verdict({ ...WELL, ...signs });
  return [limit, cause];
};

describe('a verdict', () => {
  it('finds nothing where all is well, or where nothing was measured', () => {
    for (const signs of [WELL, UNMEASURED]) {
      expect(verdict(signs)).toEqual({ limit: 'none', cause: 'none', because: 'nothing holds the picture back', sentence: 'Nothing holds the picture back.', advice: '' });
    }
  });

  it.each<[string, Partial<Signs>, Limit, Cause]>([
    ['packets are lost', { loss: 0.03 }, 'network', 'loss'],
    ['the picture stands', { frozen: 0.1 }, 'network', 'frozen'],
    ['frames wait on the way', { queue_ms: 80 }, 'network', 'queue'],
    ['some frames come late', { unsteady_ms: 60 }, 'network', 'unsteady'],
    ['the node is far', { rtt_ms: 120 }, 'network', 'distance'],
    ['the browser decodes slowly', { decode_ms: 18 }, 'device', 'decode'],
    ['the screen shows every other frame', { fps_shown: 30 }, 'device', 'display'],
    ['the encoder is slow', { encode_ms: 20 }, 'node', 'encode'],
    ['the title is slow', { draw_ms: 33 }, 'node', 'draw'],
  ])('names the limit by itself where %s', (_what, signs, limit, cause) => {
    expect(found(signs)).toEqual([limit, cause]);
    expect(found({ ...signs, limit: undefined })).toEqual([limit, cause]);
  });

  it.each<[string, Partial<Signs>]>([
    ['1% of packets lost', { loss: 0.01 }],
    ['a frame and a half of waiting', { queue_ms: 25 }],
    ['a round trip within a country', { rtt_ms: 60 }],
    ['a decoder that just keeps up', { decode_ms: 14 }],
    ['a title at 30 frames a second', { interval_ms: 33.3, fps_decoded: 30, fps_shown: 30, decode_ms: 20, draw_ms: 25 }],
    ['a screen of 60 Hz under a title of 120', { interval_ms: 8.3, fps_decoded: 120, fps_shown: 60, encode_ms: 5 }],
    ['a relay that costs nothing', { relayed: true }],
    ['TCP that holds nothing up', { transport: 'tcp' }],
  ])('accuses nobody for %s', (_what, signs) => {
    expect(found(signs)).toEqual(['none', 'none']);
  });

  it('takes the node’s word for the limit, and looks for its cause among that limit’s', () => {
    expect(found({ limit: 'network' })).toEqual(['network', 'capacity']);
    expect(found({ limit: 'network', loss: 0.04 })).toEqual(['network', 'loss']);
    expect(found({ limit: 'network', decode_ms: 40 })).toEqual(['network', 'capacity']);
    expect(found({ limit: 'device' })).toEqual(['device', 'decode']);
    expect(found({ limit: 'device', fps_shown: 30, loss: 0.1 })).toEqual(['device', 'display']);
    expect(found({ limit: 'node', loss: 0.1 })).toEqual(['node', 'encode']);
    expect(found({ limit: 'node', draw_ms: 30 })).toEqual(['node', 'draw']);
    expect(found({ limit: 'data_cap', loss: 0.1 })).toEqual(['data_cap', 'cap']);
  });

  it('names a slow decoder before the queue that it makes', () => {
    expect(found({ decode_ms: 25, queue_ms: 300, unsteady_ms: 80 })).toEqual(['device', 'decode']);
    expect(found({ loss: 0.08, queue_ms: 90, frozen: 0.2 })).toEqual(['network', 'loss']);
  });

  it('names the detour where that is what costs', () => {
    expect(found({ transport: 'tcp', queue_ms: 70 })).toEqual(['network', 'tcp']);
    expect(found({ transport: 'tls', frozen: 0.2, relayed: true })).toEqual(['network', 'tcp']);
    expect(found({ transport: 'tcp', limit: 'network' })).toEqual(['network', 'tcp']);
    expect(found({ relayed: true, rtt_ms: 130 })).toEqual(['network', 'relay']);
    expect(found({ relayed: true, limit: 'network' })).toEqual(['network', 'relay']);
    expect(found({ relayed: true, loss: 0.05 })).toEqual(['network', 'loss']);
  });

  it.each([
    ['wifi', /Wi-Fi router/],
    ['unknown', /Wi-Fi router/],
    ['cable', /Check cable/],
    ['mobile', /signal is better/],
  ] as const)('advises on %s what helps there', (network, words) => {
    for (const signs of [{ loss: 0.1 }, { frozen: 0.2 }, { unsteady_ms: 70 }]) {
      expect(verdict({ ...WELL, ...signs, network }).advice).toMatch(words);
    }
  });

  it('says for everything it finds why, and in one plain sentence what to do', () => {
    const faults: Partial<Signs>[] = [
      ...[{ loss: 0.1 }, { frozen: 0.2 }, { queue_ms: 99 }, { unsteady_ms: 99 }, { rtt_ms: 200 }, { decode_ms: 40 }],
      ...[{ fps_shown: 20 }, { encode_ms: 40 }, { draw_ms: 40 }, { limit: 'network' as const }, { limit: 'data_cap' as const }],
      ...[{ transport: 'tcp' as const, queue_ms: 99 }, { relayed: true, rtt_ms: 200 }],
    ];
    const causes = new Set<Cause>();
    for (const signs of faults) {
      const { cause, because, sentence, advice } = verdict({ ...WELL, ...signs });
      causes.add(cause);
      expect(sentence).toMatch(/^(Network|Machine|This device|Data limit): [^.]+\.$/);
      expect(because).toMatch(/^[a-zU][^.]+[^.]$/);
      expect(advice).toMatch(/^[A-Z][^.]+\.$/);
    }
    expect(causes.size).toBe(faults.length);
  });

  it('does not call the player’s own data cap trouble', () => {
    expect(isTrouble(verdict(WELL))).toBe(false);
    expect(isTrouble(verdict({ ...WELL, limit: 'data_cap' }))).toBe(false);
    expect(isTrouble(verdict({ ...WELL, limit: 'network' }))).toBe(true);
  });
});

describe('the way of the packets', () => {
  it('is remarked on where it is a detour, and why', () => {
    expect(pathNote({ transport: 'udp', relayed: false })).toBeUndefined();
    expect(pathNote({ transport: undefined, relayed: undefined })).toBeUndefined();
    expect(pathNote({ transport: 'tcp', relayed: false })).toMatch(/^UDP is blocked/);
    expect(pathNote({ transport: 'tls', relayed: true })).toMatch(/^UDP is blocked/);
    expect(pathNote({ transport: 'udp', relayed: true })).toMatch(/relay\.$/);
  });
});
