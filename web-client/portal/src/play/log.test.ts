import { describe, expect, it } from 'vitest';
import { PlayLog, type RawValues, type Sample } from './log';
import { percentile } from './percentile';

const NOTHING: RawValues = { frameAgesMs: [], inputVisibleMs: [] };
const good: Sample = {
  playedS: 1,
  reconnections: 0,
  fps: 60,
  frameAgeMs: 12,
  inputVisibleMs: 20,
  bitrateBps: 12e6,
  lossRatio: 0,
  rttMs: 4,
};

function played(samples: readonly Sample[]): PlayLog {
  const log = new PlayLog();
  samples.forEach((sample) => log.add(sample));
  return log;
}

describe('percentile', () => {
  it('is the nearest rank, and nothing without values', () => {
    expect(percentile([], 0.5)).toBeUndefined();
    expect(percentile([9, 1, 5], 0.5)).toBe(5);
    expect(percentile([1, 2, 3, 4], 0.95)).toBe(4);
    expect(percentile([1, 2, 3, 4], 0)).toBe(1);
  });
});

describe('a report', () => {
  it('gives the slow end of each measure: high for latency, low for frames', () => {
    const samples = Array.from({ length: 20 }, (_, i) => ({ ...good, playedS: i + 1, fps: 41 + i }));
    const frameAgesMs = Array.from({ length: 20 }, (_, i) => 1 + i);
    const report = played(samples).report({ ...NOTHING, frameAgesMs });
    expect(report.seconds).toBe(20);
    expect(report.fps).toEqual({ p50: 50, p95: 41 });
    expect(report.frameAgeMs).toEqual({ p50: 10, p95: 19 });
  });

  it('leaves out what was not measured instead of guessing', () => {
    const log = played([{ ...good, inputVisibleMs: undefined }]);
    const report = log.report(NOTHING);
    expect(log.series('inputVisibleMs')).toEqual([]);
    expect(report.inputVisibleMs).toBeUndefined();
    expect(report.fps).toEqual({ p50: 60, p95: 60 });
    expect(new PlayLog().report(NOTHING)).toMatchObject({ seconds: 0, fps: undefined, advice: [] });
  });

  it('has no advice for a good play', () => {
    expect(played([good, good, good]).report(NOTHING).advice).toEqual([]);
  });

  it.each([
    ['loss', { lossRatio: 0.05 }, NOTHING, /router/],
    ['interruptions', { reconnections: 2 }, NOTHING, /2 times/],
    ['distance', { rttMs: 90 }, NOTHING, /far away/],
    ['few frames', { fps: 31 }, NOTHING, /low power/],
    ['slow answers', {}, { ...NOTHING, inputVisibleMs: [140] }, /game mode/],
  ])('names %s', (_, fault, raw, words) => {
    const { advice } = played([{ ...good, ...fault }]).report(raw);
    expect(advice).toHaveLength(1);
    expect(advice[0]).toMatch(words);
  });

  it('stays bounded over a long evening and still covers all of it', () => {
    const log = new PlayLog();
    for (let second = 0; second < 5000; second += 1) log.add({ ...good, playedS: second, rttMs: second });
    const rtts = log.series('rttMs');
    expect(rtts.length).toBeLessThan(1200);
    expect(rtts[0]).toBeLessThan(8);
    expect(rtts.at(-1)).toBeGreaterThan(4980);
    expect(log.report(NOTHING).seconds).toBe(4999);
  });

  it('leaves seconds without a picture out of the figures', () => {
    const log = new PlayLog();
    log.add({ ...good, playedS: 1 });
    log.add({ ...good, playedS: 1, fps: 0, bitrateBps: 0, reconnections: 1 });
    log.add({ ...good, playedS: 2 });
    expect(log.series('fps')).toEqual([good.fps, good.fps]);
  });
});
