import { describe, expect, it } from 'vitest';
import { NodeClock } from '../src/stats/clock';
import { FrameLedger } from '../src/stats/frames';
import { readRtc } from '../src/stats/rtc';
import { isStalled, isSuspect } from '../src/stats/stall';
import { percentile, Ring } from '../src/stats/window';
import { Statistics } from '../src/stats/snapshot';
import { pictureNow, statsRows } from '../src/element/stats-panel';
import type { Quality } from '../src/wire/control';
import type { FrameFacts } from '../src/wire/facts';

const NODE_AHEAD_MS = 5_000;

function facts(rtp_timestamp: number, captured_ms: number, input_serial = 0): FrameFacts {
  return {
    kind: 'frame',
    keyframe: false,
    rtp_timestamp,
    captured_us: BigInt((captured_ms + NODE_AHEAD_MS) * 1000),
    input_serial,
    frame: 1,
    target_kbps: 8_000,
    size_bytes: 20_000,
    drawn_us: 1_000,
    converted_us: 2_000,
    encoded_us: 5_000,
    sent_us: 6_000,
  };
}

function ledger(): FrameLedger {
  const clock = new NodeClock();
  clock.pong(0, BigInt((NODE_AHEAD_MS + 5) * 1000), 10);
  return new FrameLedger(clock);
}

describe('the node’s clock', () => {
  it('is taken from the fastest round trip', () => {
    const clock = new NodeClock();
    expect(clock.toPage(0n)).toBeUndefined();
    clock.pong(0, 1_050_000n, 100); // 100 ms there and back, half of it wrong
    clock.pong(200, 1_205_000n, 210);
    clock.pong(300, 1_390_000n, 380);
    expect(clock.rtt_ms).toBe(10);
    expect(clock.toPage(1_205_000n)).toBe(205);
  });

  it('forgets round trips that are long past', () => {
    const clock = new NodeClock();
    clock.pong(0, 1_000_000n, 2);
    for (let i = 1; i <= 40; i += 1) clock.pong(i * 100, BigInt(1_000_000 + i * 100_000), i * 100 + 20);
    expect(clock.rtt_ms).toBe(20);
  });
});

describe('a shown frame', () => {
  it.each([
    ['before it is shown', true],
    ['after it is shown', false],
  ])('has an age when its facts come %s', (_name, factsFirst) => {
    const frames = ledger();
    if (factsFirst) frames.facts(facts(90, 100));
    frames.shown(90, 118);
    if (!factsFirst) frames.facts(facts(90, 100));
    expect(frames.ages_ms.newest()).toEqual([18]);
    expect(frames.matched).toBe(1);
    expect(frames.trace).toMatchObject({ drawn_ms: 1, encoded_ms: 5, shown_ms: 18 });
  });

  it('without facts or without a timestamp is unmeasured, not guessed', () => {
    const frames = ledger();
    frames.shown(undefined, 10);
    for (let i = 0; i < 300; i += 1) frames.shown(i, 10 + i);
    expect(frames.ages_ms.total).toBe(0);
    expect(frames.unmatched).toBe(1 + 300 - 240);
    expect(frames.shown_at_ms.total).toBe(301);
  });
});

describe('input→visible', () => {
  it('ends with the first shown frame whose title had seen the event', () => {
    const frames = ledger();
    frames.input(1, 100);
    frames.input(2, 110);
    frames.facts(facts(1, 105, 1));
    frames.facts(facts(2, 120, 2));
    frames.shown(1, 125);
    expect(frames.inputs_ms.newest()).toEqual([25]);
    frames.shown(2, 141);
    expect(frames.inputs_ms.newest()).toEqual([25, 31]);
  });

  it('works across the wrap of serials', () => {
    const frames = ledger();
    frames.input(0xffff_ffff, 100);
    frames.facts(facts(1, 105, 3));
    frames.shown(1, 120);
    expect(frames.inputs_ms.newest()).toEqual([20]);
  });
});

describe('a ring', () => {
  it('keeps the newest values and their quantiles', () => {
    const ring = new Ring(100);
    expect(ring.quantiles()).toBeUndefined();
    for (let i = 1; i <= 250; i += 1) ring.push(i);
    expect(ring.newest(3)).toEqual([248, 249, 250]);
    expect(ring.total).toBe(250);
    expect(ring.quantiles()).toEqual({ p50: 201, p95: 246, p99: 250, count: 100 });
    expect(percentile([], 0.5)).toBeUndefined();
    expect(percentile([3, 1, 2], 0.5)).toBe(2);
  });
});

describe('browser statistics', () => {
  const video = (over: object) => ({ id: 'V', type: 'inbound-rtp', kind: 'video', codecId: 'C', timestamp: 1_000, ...over });
  const report = (over: object): Record<string, unknown>[] => [
    video(over),
    { id: 'C', type: 'codec', mimeType: 'video/H264' },
    { id: 'P', type: 'candidate-pair', nominated: true, state: 'succeeded', currentRoundTripTime: 0.012, localCandidateId: 'L', remoteCandidateId: 'R' },
    { id: 'L', type: 'local-candidate', protocol: 'udp' },
    { id: 'R', type: 'remote-candidate', candidateType: 'host' },
  ];

  it('are differences over the last second', () => {
    const before = { bytesReceived: 1_000, packetsReceived: 10, packetsLost: 0, framesDecoded: 60, totalDecodeTime: 0.1, jitterBufferDelay: 1, jitterBufferEmittedCount: 60 };
    const after = { bytesReceived: 501_000, packetsReceived: 109, packetsLost: 1, framesDecoded: 120, totalDecodeTime: 0.22, jitterBufferDelay: 1.6, jitterBufferEmittedCount: 120 };
    const [, counters] = readRtc(report(before), undefined);
    const [figures] = readRtc(report({ ...after, timestamp: 2_000 }), counters);
    expect(figures).toMatchObject({ bitrate_bps: 4_000_000, fps_decoded: 60, loss: 0.01, rtt_ms: 12, codec: 'H264', path: 'udp host' });
    expect(figures.decode_ms).toBeCloseTo(2);
    expect(figures.jitter_buffer_ms).toBeCloseTo(10);
  });

  it('tell the way of the packets, and on whose side a relay stands', () => {
    const way = (local: object, remote: object): unknown[] => {
      const rows = report({}).map((row) => (row['id'] === 'L' ? { ...row, ...local } : row['id'] === 'R' ? { ...row, ...remote } : row));
      const [{ path, transport, relayed }] = readRtc(rows, undefined);
      return [path, transport, relayed];
    };
    expect(way({}, {})).toEqual(['udp host', 'udp', false]);
    expect(way({ protocol: 'tcp' }, {})).toEqual(['tcp host', 'tcp', false]);
    expect(way({}, { candidateType: 'relay' })).toEqual(['udp relay', 'udp', true]);
    expect(way({ candidateType: 'relay', relayProtocol: 'tls' }, {})).toEqual(['tls relay', 'tls', true]);
  });

  it('go by the pair in use where several were nominated', () => {
    const used = [
      { id: 'T', type: 'transport', selectedCandidatePairId: 'Q' },
      { id: 'Q', type: 'candidate-pair', localCandidateId: 'U', remoteCandidateId: 'R' },
      { id: 'U', type: 'local-candidate', candidateType: 'relay', protocol: 'udp', relayProtocol: 'tcp' },
    ];
    expect(readRtc([...used, ...report({})], undefined)[0]).toMatchObject({ transport: 'tcp', relayed: true });
  });

  it('count everything received and sent, and tell how long sound takes', () => {
    const rows = (at: number, used: number): Record<string, unknown>[] => [
      ...report({}),
      { id: 'A', type: 'inbound-rtp', kind: 'audio', jitterBufferDelay: 1_440 * at, jitterBufferEmittedCount: 48_000 * at },
      { id: 'AP', type: 'media-playout', totalPlayoutDelay: 480 * at, totalSamplesCount: 48_000 * at },
      { id: 'T', type: 'transport', bytesReceived: used, bytesSent: used / 10 },
    ];
    const [first, counters] = readRtc(rows(1, 1_000), undefined);
    expect([first.used_bytes, first.sound_delay_ms]).toEqual([undefined, undefined]);
    const [figures, later] = readRtc(rows(2, 3_000), counters);
    expect(figures.used_bytes).toBe(2_200);
    expect(figures.sound_delay_ms).toBeCloseTo(40);
    expect(readRtc(rows(3, 10), later)[0].used_bytes).toBe(0);
  });

  it('that a browser lacks are undefined', () => {
    const [figures] = readRtc([], undefined);
    expect(Object.values(figures).every((figure) => figure === undefined)).toBe(true);
  });
});

describe('the overlay', () => {
  it('says unmeasured by leaving the value out, never zero', () => {
    const rows = new Map(statsRows(new Statistics().snapshot()));
    for (const label of ['Frame age p50 / p95', 'Input→visible p50 / p95', 'Bitrate', 'Loss', 'Encoder']) {
      expect(rows.has(label)).toBe(true);
      expect(rows.get(label)).toBeUndefined();
    }
  });
});

describe('the picture now', () => {
  const session = { type: 'session', seat: 0, title: 't', kind: 'builtin', width: 1280, height: 720, fps: 60, encoder: '', adapter: '', conversion: '' } as const;
  const now = (quality: Partial<Quality> | undefined): string | undefined => {
    const stats = new Statistics();
    stats.session = session;
    if (quality) stats.quality = { type: 'quality', width: 1280, height: 720, fps: 60, limit: 'none', ...quality };
    return pictureNow(stats.snapshot());
  };
  it('is said with what it could be, where it is less', () => {
    expect(now({})).toBe('1280 × 720 at 60');
    expect(now({ width: 960, height: 540 })).toBe('960 × 540 at 60 of 1280 × 720');
    expect(now({ fps: 30 })).toBe('1280 × 720 at 30 of 1280 × 720 at 60');
    expect(now(undefined)).toBeUndefined();
  });
});

describe('a stall', () => {
  const signs = { now_ms: 10_000, last_frame_ms: 9_200, last_facts_ms: 9_990, online_ms: undefined, greeted_ms: undefined, path_lost: false };
  it('needs a sign that the network is at fault', () => {
    expect(isStalled(signs)).toBe(false);
    expect(isStalled({ ...signs, path_lost: true })).toBe(true);
    expect(isStalled({ ...signs, last_facts_ms: 9_200 })).toBe(true);
    expect(isStalled({ ...signs, online_ms: 9_500 })).toBe(true);
    expect(isStalled({ ...signs, online_ms: 1_000 })).toBe(false);
  });
  it('is not declared while frames come', () => {
    expect(isStalled({ ...signs, last_frame_ms: 9_400, path_lost: true })).toBe(false);
  });
  it('is suspected as soon as nothing comes at all, and declared once the server answers by another way', () => {
    const silent = { ...signs, last_frame_ms: 9_600, last_facts_ms: 9_620 };
    expect(isSuspect(silent)).toBe(true);
    expect(isSuspect({ ...silent, last_facts_ms: 9_700 })).toBe(false);
    expect(isStalled(silent)).toBe(false);
    expect(isStalled({ ...silent, greeted_ms: 9_990 })).toBe(true);
    expect(isStalled({ ...silent, online_ms: 9_700 })).toBe(true);
    // An answer from before the silence says nothing of it.
    expect(isStalled({ ...silent, greeted_ms: 9_900 })).toBe(false);
    expect(isStalled({ ...silent, greeted_ms: 9_990, last_facts_ms: 9_995 })).toBe(false);
  });
  it('is declared where frames are announced but never shown', () => {
    expect(isStalled({ ...signs, last_frame_ms: 6_900 })).toBe(true);
  });
});
