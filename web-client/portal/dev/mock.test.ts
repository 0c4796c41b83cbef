/** The mock agrees with itself, or the pages that are looked at with it show nonsense. */
import { describe, expect, it } from 'vitest';
import { micros } from '../src/money/micros';
import { SESSION } from './fixtures';
import { ACCOUNT, CHARGES, SUBSCRIPTION } from './mock-accounts';
import { SESSIONS, receipts } from './mock-data';
import { MACHINES } from './mock-machines';
import { PAYOUTS, RESERVATIONS, availableOf, bill, budgets, byNode, bySession, byTitle, byWork, earnings, series } from './mock-money';
import { EVER, NOW_MS, type Span } from './mock-plays';

type Row = { readonly sums: ReturnType<typeof byTitle>[number]['sums'] };

const of = (amounts: readonly { readonly amount: string }[]): bigint => amounts.reduce((sum, { amount }) => sum + micros(amount), 0n);
const cost = (rows: readonly Row[]): bigint => of(rows.map(({ sums }) => sums.total));
const hosts = (rows: readonly Row[]): bigint => of(rows.map(({ sums }) => sums.hosts));

function sessions(span: Span): Row[] {
  const rows: Row[] = [];
  for (let cursor: string | undefined = '0'; cursor !== undefined; ) {
    const page = bySession(span, cursor);
    rows.push(...page.items);
    cursor = page.next_cursor;
  }
  return rows;
}

describe('what the mock says was used', () => {
  const week = { from_ms: NOW_MS - 7 * 86_400_000, to_ms: NOW_MS };

  it.each([
    ['in a week', week],
    ['of a title', { ...week, title: 'meteor' }],
    ['on a machine', { ...week, nodes: [MACHINES[0]?.id ?? ''] }],
    ['in an hour', { from_ms: NOW_MS - 3_600_000, to_ms: NOW_MS }],
  ])('%s is the same by hour, title, machine, work and session', (_, span) => {
    const whole = cost(byTitle(span));
    expect(whole).toBeGreaterThan(0n);
    for (const rows of [series(span, 3600).items, series(span, 900).items, byNode(span), byWork(span), sessions(span)]) {
      expect(cost(rows)).toBe(whole);
      expect(hosts(rows)).toBe(hosts(byTitle(span)));
    }
  });

  it('is what each session’s receipts and bill come to', () => {
    for (const { id, cost: costs, receipts: count } of SESSIONS) {
      const [lease] = bill(id)?.leases ?? [];
      expect(lease?.sums.total).toEqual(costs);
      expect(of((lease?.lines ?? []).map(({ total }) => total))).toBe(micros(costs.amount));
      expect(receipts(id)).toHaveLength(count);
    }
    expect(SESSIONS[0]?.id).toBe(SESSION);
  });

  it('is what budgets and the account have committed', () => {
    const held = of(RESERVATIONS.map((one) => one.held));
    expect(of(budgets().map(({ committed }) => committed))).toBe(cost(byTitle(EVER)) + held);
    expect(micros(ACCOUNT.allowance.committed.amount)).toBe(cost(byTitle(EVER)) + held);
    expect(of(CHARGES.covered)).toBeLessThan(0n);
    expect(SUBSCRIPTION.left_us).toBeLessThan(SUBSCRIPTION.included_us);
  });
});

describe('what the mock says was earned', () => {
  it.each(MACHINES.slice(0, 3).map(({ id, name }): [string, string] => [name, id]))('by %s is settled, or held for a reason', (_, id) => {
    const { nodes, held, withheld = [] } = earnings([id]);
    const [earned, settled] = [of(nodes.map((row) => row.earned)), of(nodes.map((row) => row.settled))];
    expect(earned).toBe(hosts(byNode({ ...EVER, nodes: [id] })));
    expect(earned - settled).toBe(of((withheld.length > 0 ? withheld : held).map(({ amount }) => amount)));
    expect(earned - settled).toBeGreaterThanOrEqual(of(held.map(({ amount }) => amount)));
    expect(of(nodes.map((row) => row.paid)) + of(nodes.map((row) => row.deducted))).toBeLessThanOrEqual(settled);
  });

  it('is paid out as payouts say', () => {
    for (const { node, paid } of earnings(undefined).nodes) {
      const payouts = PAYOUTS.filter((one) => one.node === node && one.state !== 'failed');
      expect(micros(paid.amount)).toBe(of(payouts.map(({ amount }) => amount)));
      expect(availableOf(node)).toBeGreaterThanOrEqual(0n);
    }
  });
});
