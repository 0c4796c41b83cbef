import { afterEach, describe, expect, it } from 'vitest';
import { barsOf, sumOf, type Step } from './bars';
import { dayPeriod, daysUntil, hoursUntil, monthOf, monthPeriod, monthsUntil, starts, used } from './time';

const HOME = process.env['TZ'];
afterEach(() => {
  if (HOME === undefined) delete process.env['TZ'];
  else process.env['TZ'] = HOME;
});

function step(at: string, host: string, currency = 'EUR'): Step {
  const money = (amount: string): { amount: string; currency: string } => ({ amount, currency });
  return { from_ms: Date.parse(at), sums: { receipts: 1, used_us: 10, hosts: money(host), platform: money('0.1') } };
}

describe('billing months', () => {
  it('run in UTC wherever the viewer is', () => {
    process.env['TZ'] = 'Asia/Tokyo';
    const { from_ms, to_ms } = monthPeriod('2026-02');
    expect([from_ms, to_ms].map((at) => new Date(at).toISOString())).toEqual(['2026-02-01T00:00:00.000Z', '2026-03-01T00:00:00.000Z']);
    expect(monthOf(Date.parse('2026-01-31T23:59:59Z'))).toBe('2026-01');
    expect(monthsUntil(Date.parse('2026-02-28T12:00:00Z'), 3)).toEqual(['2026-02', '2026-01', '2025-12']);
  });
});

describe('bars', () => {
  it('are days of the viewer and add up to the month', () => {
    process.env['TZ'] = 'America/New_York';
    const period = monthPeriod('2026-11');
    const steps = [step('2026-11-01T00:00:00Z', '0.000001'), step('2026-11-30T23:00:00Z', '0.1'), step('2026-11-30T01:00:00Z', '0.2')];
    const [euros] = barsOf(steps, period);
    // The month begins on the evening of October 31 there.
    expect(euros?.bars).toHaveLength(31);
    expect(euros?.bars.at(0)?.hosts).toBe(1n);
    expect(euros?.bars.at(-2)?.hosts).toBe(200_000n);
    expect(euros?.bars.at(-1)?.hosts).toBe(100_000n);
    expect(sumOf(euros?.bars ?? [])).toEqual({ used_us: 30, hosts: 300_001n, platform: 300_000n });
  });

  it('stand apart by currency', () => {
    process.env['TZ'] = 'UTC';
    const period = monthPeriod('2026-11');
    const both = barsOf([step('2026-11-02T00:00:00Z', '1'), step('2026-11-02T00:00:00Z', '2', 'USD')], period);
    expect(both.map(({ currency, bars }) => [currency, sumOf(bars).hosts])).toEqual([['EUR', 1_000_000n], ['USD', 2_000_000n]]);
    expect(barsOf([], period)).toEqual([]);
  });

  it('are cut into quarters of an hour where the zone is half an hour off', () => {
    process.env['TZ'] = 'Asia/Kolkata';
    expect(monthPeriod('2026-11').step_s).toBe(900);
    process.env['TZ'] = 'Europe/Berlin';
    expect(monthPeriod('2026-11').step_s).toBe(3600);
  });

  it('follow the clocks when they change', () => {
    process.env['TZ'] = 'Europe/Berlin';
    const now = Date.parse('2026-10-25T12:00:00Z');
    const days = starts(daysUntil(now, 3));
    expect(days.map((at) => new Date(at).toISOString())).toEqual(['2026-10-22T22:00:00.000Z', '2026-10-23T22:00:00.000Z', '2026-10-24T22:00:00.000Z']);
    const day = dayPeriod(now, monthPeriod('2026-10'));
    expect(starts(day)).toHaveLength(25);
    expect(new Set(starts(hoursUntil(now, 24))).size).toBe(24);
  });
});

it('time used is said in its largest units', () => {
  expect([used(0), used(40e6), used(12 * 60e6), used(7_500e6)]).toEqual(['0 s', '40 s', '12 min', '2 h 05 min']);
});
