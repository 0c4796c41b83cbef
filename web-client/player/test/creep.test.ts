import { describe, expect, it } from 'vitest';
import { CREEP_MS, CreepGuard, PATIENCE_S, REST_S, type Cure, type Levels } from '../src/stats/creep';

const WELL: Levels = { jitter_buffer_ms: 8, queued_ms: 6, sound_delay_ms: 45 };

/** What the guard does in each of these seconds, with the second it does it in, counted from 1. */
function run(guard: CreepGuard, seconds: number, levels: (second: number) => Partial<Levels>): [number, Cure][] {
  return Array.from({ length: seconds }, (_, i) => [i + 1, guard.second({ ...WELL, ...levels(i + 1) })] as const).flatMap(
    ([second, cure]) => (cure === undefined ? [] : [[second, cure] as [number, Cure]]),
  );
}

function settled(): CreepGuard {
  const guard = new CreepGuard();
  expect(run(guard, 70, () => ({}))).toEqual([]);
  return guard;
}

describe('the guard against creeping latency', () => {
  it('leaves a steady play alone for half an hour, whatever its level', () => {
    expect(run(new CreepGuard(), 1800, (second) => ({ jitter_buffer_ms: 60 + 20 * Math.sin(second), sound_delay_ms: 190 }))).toEqual([]);
  });

  it.each<[string, Partial<Levels>]>([
    ['the jitter buffer', { jitter_buffer_ms: 8 + CREEP_MS + 5 }],
    ['the queue before the display', { queued_ms: 6 + CREEP_MS + 5 }],
    ['sound behind its picture', { sound_delay_ms: 45 + CREEP_MS + 5 }],
  ])('asks for short buffers when %s stays behind, and then for fresh outputs', (_what, crept) => {
    expect(run(settled(), 2 * PATIENCE_S, () => crept)).toEqual([
      [PATIENCE_S, 'renew_buffers'],
      [2 * PATIENCE_S, 'reattach'],
    ]);
  });

  it('waits while the browser gives the delay back by itself', () => {
    const wave = (second: number): Partial<Levels> => ({ jitter_buffer_ms: second % PATIENCE_S === 0 ? 8 : 80 });
    expect(run(settled(), 120, wave)).toEqual([]);
  });

  it('notices a creep of one millisecond in ten seconds', () => {
    const [first] = run(settled(), 600, (second) => ({ jitter_buffer_ms: 8 + second / 10 }));
    expect(first?.[1]).toBe('renew_buffers');
    expect(first?.[0]).toBeLessThan(10 * CREEP_MS + 3 * PATIENCE_S);
  });

  it('leaves the strong cure out where the mild one helped', () => {
    const cures = run(settled(), 300, (second) => (second <= PATIENCE_S ? { queued_ms: 90 } : {}));
    expect(cures).toEqual([[PATIENCE_S, 'renew_buffers']]);
  });

  it('gives the strong cure at most once a minute, and more rarely where it does not help', () => {
    const cures = run(settled(), 1200, () => ({ jitter_buffer_ms: 120 }));
    const strong = cures.filter(([, cure]) => cure === 'reattach').map(([second]) => second);
    const rests = strong.slice(1).map((second, i) => second - (strong[i] ?? 0));
    expect(rests).toEqual([2 * REST_S, 4 * REST_S, 8 * REST_S]);
    expect(cures.filter(([, cure]) => cure === 'renew_buffers')).toHaveLength(1);
  });

  it('is ready again after a minute where the strong cure helped', () => {
    const guard = settled();
    const relapse = (second: number): Partial<Levels> => (second % 90 < 22 ? { queued_ms: 100 } : {});
    const strong = run(guard, 400, relapse).filter(([, cure]) => cure === 'reattach');
    expect(strong.length).toBeGreaterThanOrEqual(4);
  });

  it('begins anew with another connection', () => {
    const guard = settled();
    guard.reset();
    expect(run(guard, 120, () => ({ jitter_buffer_ms: 70, queued_ms: 50 }))).toEqual([]);
  });

  it('notices after a pause what has crept up meanwhile', () => {
    const guard = settled();
    expect(run(guard, PATIENCE_S - 1, () => ({ queued_ms: 70 }))).toEqual([]);
    guard.pause();
    expect(run(guard, PATIENCE_S, () => ({ queued_ms: 70 }))).toEqual([[PATIENCE_S, 'renew_buffers']]);
  });

  it('says nothing where the browser measures nothing', () => {
    const guard = new CreepGuard();
    expect(run(guard, 300, () => ({ jitter_buffer_ms: undefined, queued_ms: undefined, sound_delay_ms: undefined }))).toEqual([]);
  });
});
