import { describe, expect, it } from 'vitest';
import { PlayLog, type Sample } from './log';
import { percentile } from './percentile';

const good: Sample = {
  playedS: 1,
  fps: 60,
  frameAgeMs: 12,
  inputVisibleMs: 20,
  bitrateBps: 12e6,
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
  it('gives the slow end of each measure: low for frames, high for what is received', () => {
    const samples = Array.from({ length: 20 }, (_, i) => ({ ...good, playedS: i + 1, fps: 41 + i, bitrateBps: 1 + i }));
    const report = played(samples).report();
    expect(report.seconds).toBe(20);
    expect(report.fps).toEqual({ p50: 50, p95: 41 });
    expect(report.bitrateBps).toEqual({ p50: 10, p95: 19 });
  });

  it('leaves out what was not measured instead of guessing', () => {
    const log = played([{ ...good, inputVisibleMs: undefined }]);
    expect(log.series('inputVisibleMs')).toEqual([]);
    expect(log.report().fps).toEqual({ p50: 60, p95: 60 });
    expect(new PlayLog().report()).toEqual({ seconds: 0, fps: undefined, bitrateBps: undefined });
  });

  it('stays bounded over a long evening and still covers all of it', () => {
    const log = new PlayLog();
    for (let second = 0; second < 5000; second += 1) log.add({ ...good, playedS: second, frameAgeMs: second });
    const ages = log.series('frameAgeMs');
    expect(ages.length).toBeLessThan(1200);
    expect(ages[0]).toBeLessThan(8);
    expect(ages.at(-1)).toBeGreaterThan(4980);
    expect(log.report().seconds).toBe(4999);
  });

  it('leaves seconds without a picture out of the figures', () => {
    const log = new PlayLog();
    log.add({ ...good, playedS: 1 });
    log.add({ ...good, playedS: 1, fps: 0, bitrateBps: 0 });
    log.add({ ...good, playedS: 2 });
    expect(log.series('fps')).toEqual([good.fps, good.fps]);
  });
});
