import { describe, expect, it } from 'vitest';
import { fleetNode as node } from '../../dev/fixtures';
import { LAND } from './land';
import { spotsOf, standingOf, totalsOf, waitText } from './fleet';

describe('a node’s standing', () => {
  it.each([
    [{}, 'Open'],
    [{ busy: 4 }, 'Full'],
    [{ draining: true }, 'Draining'],
    [{ online: false, draining: true }, 'Offline'],
    [{ banned: true, online: false }, 'Shut out'],
  ])('%o is %s', (rest, word) => {
    expect(standingOf(node(rest)).word).toBe(word);
  });
});

describe('the map', () => {
  it('puts neighbours into one spot and leaves out whoever does not say where it is', () => {
    const spots = spotsOf([
      node({ place: [52.5, 13.4] }),
      node({ place: [52.4, 13.1], busy: 4 }),
      node({ place: [-33.9, 151.2], online: false }),
      node({}),
    ]);
    expect(spots).toHaveLength(2);
    expect(spots[0]).toMatchObject({ slots: 8, busy: 5, tone: 'good' });
    expect(spots[0]?.x).toBeCloseTo(193.25);
    expect(spots[1]).toMatchObject({ slots: 0, tone: 'off' });
  });

  it('is drawn within its frame', () => {
    for (const [, x, y] of LAND.matchAll(/M(\d+) (\d+)/g)) {
      expect(Number(x)).toBeLessThanOrEqual(360);
      expect(Number(y)).toBeLessThanOrEqual(180);
    }
  });

  it('has no line from one end of the world to the other', () => {
    for (const [outline] of LAND.matchAll(/M[^M]*/g)) {
      const steps = [...outline.matchAll(/(-?\d+) -?\d+/g)].slice(1).map(([, across]) => Number(across));
      const back = steps.reduce((sum, step) => sum + step, 0);
      for (const step of [...steps, back]) expect(Math.abs(step)).toBeLessThan(60);
    }
  });
});

it('sums up what can be used', () => {
  const nodes = [node({ rtt_ms: 9 }), node({ rtt_ms: 30, banned: true }), node({ online: false })];
  const view = { nodes, total: 3, regions: [], queue: [], waiting: 0, placements: [], bookings: [], clients_remembered: 0, sites: 1 };
  expect(totalsOf(view)).toEqual({ online: 1, slots: 4, busy: 1, rtt_ms: 9 });
});

it('tells a wait no better than it is known', () => {
  expect(waitText({ place: 3 })).toBe('number 3; how long cannot be told yet');
  expect(waitText({ place: 1, likely_ms: 40_000, at_most_ms: 300_000 })).toBe('number 1; probably 40 s, hardly more than 5 min');
});
