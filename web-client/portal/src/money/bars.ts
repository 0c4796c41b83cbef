/** Steps of the API put together to the bars of a chart and the rows of its table. Pure. */
import { micros } from './micros';
import { startOf, starts, type Period } from './time';

/** What a step of the API says; the whole of it is `components['schemas']['UsageStep']`. */
export interface Step {
  readonly from_ms: number;
  readonly sums: Sums;
}

/** Sums in one currency. */
export interface Sums {
  readonly receipts: number;
  readonly used_us: number;
  readonly hosts: { readonly amount: string; readonly currency: string };
  readonly platform: { readonly amount: string; readonly currency: string };
}

/** One hour or day. */
export interface Bar {
  readonly at_ms: number;
  readonly used_us: number;
  readonly hosts: bigint;
  readonly platform: bigint;
}

/** The bars of one currency: one for each hour or day of the period, also where nothing was used. */
export interface Bars {
  readonly currency: string;
  readonly by: Period['by'];
  readonly bars: readonly Bar[];
}

/** Bars for each currency that occurs. */
export function barsOf(steps: readonly Step[], period: Period): Bars[] {
  const currencies = [...new Set(steps.map(({ sums }) => sums.hosts.currency))];
  return currencies.map((currency) => {
    const bars = new Map<number, Bar>();
    for (const at_ms of starts(period)) bars.set(at_ms, { at_ms, used_us: 0, hosts: 0n, platform: 0n });
    for (const { from_ms, sums } of steps) {
      if (sums.hosts.currency !== currency) continue;
      const at_ms = startOf(from_ms, period.by);
      const bar = bars.get(at_ms) ?? { at_ms, used_us: 0, hosts: 0n, platform: 0n };
      bars.set(at_ms, {
        at_ms,
        used_us: bar.used_us + sums.used_us,
        hosts: bar.hosts + micros(sums.hosts.amount),
        platform: bar.platform + micros(sums.platform.amount),
      });
    }
    return { currency, by: period.by, bars: [...bars.values()].sort((a, b) => a.at_ms - b.at_ms) };
  });
}

/** What all bars come to. */
export function sumOf(bars: readonly Bar[]): Omit<Bar, 'at_ms'> {
  const none = { used_us: 0, hosts: 0n, platform: 0n };
  return bars.reduce(
    (sum, bar) => ({
      used_us: sum.used_us + bar.used_us,
      hosts: sum.hosts + bar.hosts,
      platform: sum.platform + bar.platform,
    }),
    none,
  );
}
