/** What the mock knows of money: sums over its plays, what of it is settled, held and paid, budgets, bills. */
import type { components } from '../src/api/generated';
import { micros } from '../src/money/micros.ts';
import { ACCOUNT_ID } from './fixtures.ts';
import { MACHINES } from './mock-machines.ts';
import {
  EVER,
  FEE_PERMILLE,
  NOW_MS,
  PLAYS,
  PRICE_MICROS,
  STANDBY,
  STANDBY_MICROS,
  grouped,
  money,
  partOf,
  priceOf,
  receiptsOf,
  sums,
  usedIn,
  type Play,
  type Span,
} from './mock-plays.ts';

type Schemas = components['schemas'];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const TODAY = Math.floor(NOW_MS / DAY_MS);
/** Days are settled 72 hours after their end. */
const SETTLED_UNTIL = TODAY - 3;
/** Sessions that one answer lists. */
const PAGE = 25;

const machineOf = (id: string): (typeof MACHINES)[number] | undefined => MACHINES.find((one) => one.id === id);

/** Whose receipts of when a request asks for. */
export function spanOf(query: URLSearchParams, nodes: readonly string[] | undefined): Span {
  const node = query.get('node');
  return {
    from_ms: Number(query.get('from_ms') ?? 0),
    to_ms: Math.min(Number(query.get('to_ms') ?? NOW_MS), NOW_MS),
    title: query.get('title') ?? undefined,
    nodes: node === null ? nodes : [node],
  };
}

/** What was used step by step. */
export function series(span: Span, step_s: number): Schemas['UsageSeries'] {
  const items: Schemas['UsageStep'][] = [];
  for (let from_ms = span.from_ms; from_ms < span.to_ms; from_ms += step_s * 1000) {
    const used = usedIn({ ...span, from_ms, to_ms: Math.min(from_ms + step_s * 1000, span.to_ms) });
    if (used.length > 0) items.push({ from_ms, sums: sums(used.map(({ part }) => part)) });
  }
  return { from_ms: span.from_ms, to_ms: span.to_ms, step_s, items };
}

/** The same by title. */
export function byTitle(span: Span): Schemas['TitleUsage'][] {
  return [...grouped(usedIn(span), ({ title }) => title)].map(([title, of]) => ({ title, sums: of }));
}

/** The same by machine. */
export function byNode(span: Span): Schemas['NodeUsage'][] {
  return [...grouped(usedIn(span), ({ node }) => node)].map(([node, of]) => ({
    node,
    name: machineOf(node)?.name ?? '',
    region: machineOf(node)?.region ?? '',
    sums: of,
  }));
}

/** The same by kind of work. */
export function byWork(span: Span): Schemas['WorkUsage'][] {
  return [...grouped(usedIn(span), ({ work }) => work)].map(([work, of]) => ({ work: work as Schemas['Work'], sums: of }));
}

function termsOf(play: Play): Schemas['BillTerms'] {
  const basis = { rate_card: PRICES.version, work: play.work, gpu_tier: 0, region: machineOf(play.node)?.region ?? '' };
  return { price_per_hour: money(priceOf(play)), fee_permille: FEE_PERMILLE, basis };
}

/** The sessions behind the sums, page by page. */
export function bySession(span: Span, cursor: string | null): { items: Schemas['SessionUsage'][]; next_cursor?: string } {
  const from = Number(cursor ?? 0);
  const used = usedIn(span);
  const items = used.slice(from, from + PAGE).map(({ play, part }): Schemas['SessionUsage'] => ({
    session: play.session,
    lease: play.lease,
    title: play.title,
    node: play.node,
    node_name: machineOf(play.node)?.name ?? '',
    state: play.isRunning ? 'live' : 'ended',
    started_at_ms: play.started_ms,
    terms: termsOf(play),
    sums: sums([part]),
  }));
  return { items, ...(used.length > from + PAGE && { next_cursor: String(from + PAGE) }) };
}

/** A session, receipt by receipt. */
export function bill(session: string): Schemas['SessionBill'] | undefined {
  const play = PLAYS.find((one) => one.session === session);
  if (play === undefined) return undefined;
  const receipts = receiptsOf(play);
  const lines = receipts.map((part, sequence): Schemas['BillLine'] => ({
    sequence,
    receipt_sha256: `${sequence.toString(16)}f2c41d0`.repeat(8),
    received_at_ms: play.started_ms + (sequence + 1) * 10_000,
    duration_us: part.used_us,
    billed_us: part.used_us,
    countersigned: sequence + 1 < receipts.length,
    host: money(part.total - part.fee),
    platform: money(part.fee),
    total: money(part.total),
  }));
  const { lease, node, title } = play;
  const all = sums([partOf(play, 0, play.used_us)]);
  return { session, title, leases: [{ lease, generation: 0, node, terms: termsOf(play), lines, sums: all }] };
}

/** The rate card in force. */
export const PRICES: Schemas['Prices'] = {
  version: 3,
  since_ms: NOW_MS - 60 * DAY_MS,
  currency: 'EUR',
  fee_permille: FEE_PERMILLE,
  note: 'winter',
  rates: [
    { work: 'interactive', region: '', gpu_tier: 0, price_per_hour: money(PRICE_MICROS) },
    { work: 'interactive', region: '', gpu_tier: 6, price_per_hour: money(900_000n) },
    { work: 'batch', region: '', gpu_tier: 0, price_per_hour: money(200_000n) },
    { work: 'reserve', region: '', gpu_tier: 0, price_per_hour: money(120_000n) },
  ],
};

/** What was paid lately. */
export function priceIndex(): Schemas['PriceIndex'] {
  const span = { from_ms: NOW_MS - DAY_MS, to_ms: NOW_MS };
  const regions = grouped(usedIn(span), ({ node, work }) => `${work} ${machineOf(node)?.region ?? ''}`);
  const prices = [...regions].map(([key, { used_us, leases }]) => {
    const [work, region] = key.split(' ') as [Schemas['Work'], string];
    const paid = money(work === 'reserve' ? STANDBY_MICROS : PRICE_MICROS);
    const listed = PRICES.rates.find((rate) => rate.work === work)?.price_per_hour ?? paid;
    return { work, region, gpu_tier: 4, price_per_hour: paid, listed_per_hour: listed, billed_us: used_us, leases };
  });
  return { ...span, prices };
}

/** What reservations of a title set aside. */
function heldFor(title: string): bigint {
  return RESERVATIONS.filter((one) => one.title === title).reduce((sum, { held }) => sum + micros(held.amount), 0n);
}

/** Budgets: one that is nearly used up, one without a limit. */
export function budgets(): Schemas['Budget'][] {
  return byTitle(EVER).map(({ title, sums: { total } }) => ({
    title,
    ...(title === 'meteor' && { limit: money((micros(total.amount) / 1_000_000n + 9n) * 1_000_000n) }),
    committed: money(micros(total.amount) + heldFor(title)),
  }));
}

/** The hosts' part of what was used, in millionths. */
function earnedIn(span: Span): bigint {
  return usedIn(span).reduce((sum, { part }) => sum + part.total - part.fee, 0n);
}

/** Of the machine that a case is open about, nothing is settled since it was opened. */
const REVIEWED = MACHINES[0]?.id ?? '';
const REVIEW_FROM_MS = (SETTLED_UNTIL - 1) * DAY_MS;

function settledOf(node: string): bigint {
  const to_ms = node === REVIEWED ? REVIEW_FROM_MS : SETTLED_UNTIL * DAY_MS;
  return earnedIn({ from_ms: 0, to_ms, nodes: [node] });
}

/** Staked from earnings that were settled. */
export const STAKED_MICROS = 2_500_000n;
const deductedOf = (node: string): bigint => (node === MACHINES[1]?.id ? STAKED_MICROS : 0n);

/** Where earnings go. */
export const PAY_TO: Schemas['PayTo'] = { rail: 'bank', name: 'Ada Nováková', iban: 'NL91ABNA0417164300' };

/** A payout of what a machine earned in a week that was settled by then; what failed is collected again. */
function payout(at: number, state: Schemas['PayoutState'], node: string, weeks: readonly [number, number]): Schemas['Payout'] {
  const [from, to] = weeks.map((back) => (SETTLED_UNTIL - 3 - back * 7) * DAY_MS) as [number, number];
  return {
    id: String(at).repeat(32),
    run: 4 - at,
    settled_until: new Date(to - DAY_MS).toISOString().slice(0, 10),
    account: ACCOUNT_ID,
    node,
    amount: money(earnedIn({ from_ms: from, to_ms: to, nodes: [node] })),
    pay_to: at === 1 ? { rail: 'evm', address: '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed' } : PAY_TO,
    state,
    created_at_ms: to + 3 * DAY_MS + HOUR_MS,
    changed_at_ms: to + 3 * DAY_MS + (state === 'created' ? 1 : 9) * HOUR_MS,
  };
}

/** Payouts in each state. */
export const PAYOUTS: readonly Schemas['Payout'][] = [
  payout(0, 'created', REVIEWED, [1, 0]),
  payout(1, 'submitted', REVIEWED, [2, 1]),
  payout(2, 'settled', REVIEWED, [6, 2]),
  payout(3, 'failed', REVIEWED, [6, 3]),
];

function paidTo(node: string): bigint {
  const counted = PAYOUTS.filter((one) => one.node === node && one.state !== 'failed');
  return counted.reduce((sum, { amount }) => sum + micros(amount.amount), 0n);
}

/** What a machine has that is settled and goes nowhere yet. */
export function availableOf(node: string): bigint {
  return settledOf(node) - paidTo(node) - deductedOf(node);
}

/** What was earned, what of it is settled, and what is held since. */
export function earnings(nodes: readonly string[] | undefined): Schemas['EarningsOverview'] {
  const rows = byNode({ ...EVER, nodes });
  const held = [3, 2, 1, 0].map((back): Schemas['HeldDay'] => {
    const from_ms = (TODAY - back) * DAY_MS;
    return {
      epoch: TODAY - back,
      date: new Date(from_ms).toISOString().slice(0, 10),
      from_ms,
      amount: money(earnedIn({ from_ms, to_ms: from_ms + DAY_MS, nodes })),
      settles_at_ms: from_ms + 4 * DAY_MS,
      why: back === 0 ? 'day_runs' : 'dispute_window',
    };
  });
  return {
    nodes: rows.map(({ node, name, region, sums: { hosts } }) => ({
      node,
      name,
      region,
      earned: hosts,
      settled: money(settledOf(node)),
      paid: money(paidTo(node)),
      deducted: money(deductedOf(node)),
    })),
    held,
    withheld: rows
      .filter(({ node }) => node === REVIEWED)
      .map(({ node, sums: { hosts } }) => ({ node, why: 'under_review', amount: money(micros(hosts.amount) - settledOf(node)) })),
    settled_until_ms: SETTLED_UNTIL * DAY_MS,
    now_ms: Date.now(),
  };
}

/** A machine's proof: its form alone, it proves nothing. */
export function proof(node: string): Schemas['Earnings'] {
  const earned = money(settledOf(node));
  const date = new Date((SETTLED_UNTIL - 1) * DAY_MS).toISOString().slice(0, 10);
  const of = { version: 1, epoch: SETTLED_UNTIL - 1, date, host: node, earned, index: 0, leaves: 1, path: [], root: '00'.repeat(32) };
  return { node, earned: [earned], settled: [earned], ledger_key: 'ab'.repeat(32), proofs: [of as unknown as Record<string, never>] };
}

/** What the second hour of two machines' standing by costs at most. */
const HELD_FOR_STANDBY = 2n * STANDBY_MICROS;

const RESERVED: Schemas['Reservation'] = {
  id: '0b9d1f6e-7c7c-4a52-8a57-5f0a5b1b2c01',
  auction: '0b9d1f6e-7c7c-4a52-8a57-5f0a5b1b2c02',
  account: ACCOUNT_ID,
  title: 'meteor',
  region: 'DE',
  gpu_tier: 0,
  machines: 2,
  from_ms: NOW_MS - HOUR_MS,
  until_ms: NOW_MS + HOUR_MS,
  state: 'booked',
  decided_at_ms: NOW_MS - DAY_MS,
  price_ceiling: money(120_000n),
  price_per_hour: money(STANDBY_MICROS),
  fee_permille: FEE_PERMILLE,
  held: money(HELD_FOR_STANDBY),
  paid: sums(STANDBY.map((play) => partOf(play, 0, play.used_us))).total,
  machine_states: STANDBY.map(({ node }, at) => ({ node, state: at === 0 ? 'standing' : 'playing', is_next: false })),
  created_at_ms: NOW_MS - 2 * DAY_MS,
};

const UNPAID = { held: money(0n), paid: money(0n), machine_states: [] };

/** Reservations: one that runs, one for which machines bid, and one that found too few. */
export const RESERVATIONS: readonly Schemas['Reservation'][] = [
  RESERVED,
  {
    ...RESERVED,
    ...UNPAID,
    id: '0b9d1f6e-7c7c-4a52-8a57-5f0a5b1b2c05',
    region: '',
    state: 'bidding',
    machines: 3,
    from_ms: NOW_MS + 20 * HOUR_MS,
    until_ms: NOW_MS + 24 * HOUR_MS,
    decided_at_ms: NOW_MS + HOUR_MS / 6,
    price_per_hour: null,
    held: money(12n * 120_000n),
  },
  { ...RESERVED, ...UNPAID, id: '0b9d1f6e-7c7c-4a52-8a57-5f0a5b1b2c04', region: 'AU', state: 'failed', price_per_hour: null },
];

/** What standing by costs. */
export const QUOTE: Schemas['Quote'] = {
  quote: 'q',
  title: 'meteor',
  work: 'reserve',
  price_per_hour: money(120_000n),
  lowest_price_per_hour: money(120_000n),
  fee_permille: FEE_PERMILLE,
  rate_card: PRICES.version,
  valid_until_ms: NOW_MS + HOUR_MS,
};
