/** What the mock knows of money: a month of play on two machines, a settled week, held days, budgets, a bill. */
import type { components } from '../src/api/generated';
import { FLEET, SESSIONS } from './mock-data.ts';

type Schemas = components['schemas'];
type Money = Schemas['Sums']['total'];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** An hour costs this, of which a fifth is the platform's. */
const PRICE_MICROS = 354_321n;
const FEE_PERMILLE = 200n;

function money(micros: bigint): Money {
  return { amount: `${micros / 1_000_000n}.${(micros % 1_000_000n).toString().padStart(6, '0')}`, currency: 'EUR' };
}

/** So many thousandths of an amount. */
function part({ amount }: Money, permille: bigint): Money {
  return money((BigInt(amount.replace('.', '')) * permille) / 1000n);
}

/** By the rule of docs/money.md. */
function sums(used_us: number, leases = 1): Schemas['Sums'] {
  const total = (PRICE_MICROS * BigInt(used_us)) / 3_600_000_000n;
  const fee = (total * FEE_PERMILLE) / 1000n;
  return { leases, receipts: Math.ceil(used_us / 1e7), used_us, hosts: money(total - fee), platform: money(fee), total: money(total) };
}

/** More is played in the evening and on some days than on others; the same at every look. */
function usedIn(hour_ms: number): number {
  const hour = new Date(hour_ms).getUTCHours();
  const day = Math.floor(hour_ms / DAY_MS);
  const evening = hour >= 15 && hour < 23 ? 1 : hour < 7 ? 0 : 0.25;
  return Math.round(evening * (1 + ((day * 7) % 5)) * 700e6);
}

/** Hours with play between two moments. */
export function series(query: URLSearchParams): Schemas['UsageSeries'] {
  const [from_ms, to_ms] = [Number(query.get('from_ms')), Number(query.get('to_ms'))];
  const items: Schemas['UsageStep'][] = [];
  for (let at = from_ms; at < Math.min(to_ms, Date.now()); at += HOUR_MS) {
    if (usedIn(at) > 0) items.push({ from_ms: at, sums: sums(usedIn(at)) });
  }
  return { from_ms, to_ms, step_s: 3600, items };
}

/** The same by title. */
export const BY_TITLE: Schemas['TitleUsage'][] = [
  { title: 'meteor', sums: sums(412_000e6, 218) },
  { title: 'testcard', sums: sums(9_400e6, 12) },
];

/** The same by machine. */
export const BY_NODE: Schemas['NodeUsage'][] = FLEET.slice(0, 2).map(({ id, name, region }, at) => ({
  node: id,
  name,
  region,
  sums: sums(at === 0 ? 301_000e6 : 120_400e6, at === 0 ? 160 : 70),
}));

const TERMS: Schemas['BillTerms'] = { price_per_hour: money(PRICE_MICROS), fee_permille: Number(FEE_PERMILLE) };

/** The sessions behind the sums. */
export const BY_SESSION: Schemas['SessionUsage'][] = SESSIONS.map((session, at) => ({
  session: session.id,
  lease: session.lease,
  title: session.title,
  node: session.node,
  node_name: session.node_name,
  state: session.state,
  started_at_ms: session.created_at_ms,
  terms: TERMS,
  sums: sums((at + 1) * 187e6),
}));

/** One of them, receipt by receipt. */
export function bill(session: string): Schemas['SessionBill'] {
  let before = 0n;
  const lines = Array.from({ length: 6 }, (_, sequence): Schemas['BillLine'] => {
    const total = (PRICE_MICROS * BigInt(sequence + 1) * 10_000_000n) / 3_600_000_000n;
    const fee = (total * FEE_PERMILLE) / 1000n - (before * FEE_PERMILLE) / 1000n;
    const cost = total - before;
    before = total;
    return {
      sequence,
      receipt_sha256: `${sequence}f2c41d0`.repeat(8),
      received_at_ms: Date.now() - (6 - sequence) * 10_000,
      duration_us: 10_000_000,
      billed_us: 10_000_000,
      countersigned: sequence < 5,
      host: money(cost - fee),
      platform: money(fee),
      total: money(cost),
    };
  });
  const lease = BY_SESSION[0]?.lease ?? session;
  const node = FLEET[0]?.id ?? session;
  return { session, title: 'meteor', leases: [{ lease, generation: 0, node, terms: TERMS, lines, sums: sums(60e6) }] };
}

/** The rate card in force. */
export const PRICES: Schemas['Prices'] = {
  version: 3,
  since_ms: Date.now() - 9 * DAY_MS,
  currency: 'EUR',
  fee_permille: Number(FEE_PERMILLE),
  note: 'winter',
  rates: [
    { work: 'interactive', region: '', gpu_tier: 0, price_per_hour: money(PRICE_MICROS) },
    { work: 'interactive', region: 'DE', gpu_tier: 4, price_per_hour: money(900_000n) },
    { work: 'batch', region: '', gpu_tier: 0, price_per_hour: money(200_000n) },
  ],
};

/** What was paid lately. */
export const PRICE_INDEX: Schemas['PriceIndex'] = {
  from_ms: Date.now() - DAY_MS,
  to_ms: Date.now(),
  prices: [
    {
      work: 'interactive',
      region: 'DE',
      gpu_tier: 4,
      price_per_hour: money(871_250n),
      listed_per_hour: money(900_000n),
      billed_us: 14 * 3_600_000_000,
      leases: 31,
    },
  ],
};

/** Budgets: one that is nearly used up, one without a limit. */
export const BUDGETS: Schemas['Budget'][] = [
  { title: 'meteor', limit: money(42_000_000n), committed: money(40_548_321n) },
  { title: 'testcard', committed: money(925_171n) },
];

/** What was earned, settled a week ago, and what is held since. */
export function earnings(node: string | null): Schemas['EarningsOverview'] {
  const today = Math.floor(Date.now() / DAY_MS);
  const held = [0, 1, 2, 3].reverse().map((back): Schemas['HeldDay'] => {
    const from_ms = (today - back) * DAY_MS;
    return {
      epoch: today - back,
      date: new Date(from_ms).toISOString().slice(0, 10),
      from_ms,
      amount: money(1_204_331n + BigInt(back) * 77_003n),
      settles_at_ms: from_ms + 4 * DAY_MS,
      why: back === 0 ? 'day_runs' : 'dispute_window',
    };
  });
  const nodes = BY_NODE.filter((row) => node === null || row.node === node).map((row) => ({
    node: row.node,
    name: row.name,
    region: row.region,
    earned: row.sums.hosts,
    settled: part(row.sums.hosts, 750n),
    paid: part(row.sums.hosts, 500n),
    deducted: part(row.sums.hosts, 100n),
  }));
  const withheld = BY_NODE.slice(0, 1).map((row): Schemas['Withheld'] => ({ node: row.node, why: 'under_review', amount: money(2_004_331n) }));
  return { nodes, held, withheld, settled_until_ms: (today - 3) * DAY_MS, now_ms: Date.now() };
}

/** Payouts in each state. */
export const PAYOUTS: Schemas['Payout'][] = (['created', 'submitted', 'settled', 'failed'] as const).map((state, at) => ({
  id: String(at).repeat(32),
  run: 4 - at,
  settled_until: '2026-11-24',
  account: BY_NODE[0]?.node ?? '',
  node: BY_NODE[0]?.node ?? '',
  amount: money(12_340_000n),
  pay_to: at === 1 ? { rail: 'evm', address: '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed' } : { rail: 'bank', name: 'Ada Nováková', iban: 'NL91ABNA0417164300' },
  state,
  created_at_ms: Date.now() - (at + 1) * DAY_MS,
  changed_at_ms: Date.now() - at * DAY_MS,
}));

/** A machine's proof: its form alone, it proves nothing. */
export function proof(node: string): Schemas['Earnings'] {
  const earned = money(18_000_041n);
  const of = { version: 1, epoch: 20_780, date: '2026-11-23', host: node, earned, index: 0, leaves: 1, path: [], root: '00'.repeat(32) };
  return { node, earned: [earned], settled: [earned], ledger_key: 'ab'.repeat(32), proofs: [of as unknown as Record<string, never>] };
}

/** The same by kind of work. */
export const BY_WORK: Schemas['WorkUsage'][] = [
  { work: 'interactive', sums: sums(412_000e6, 218) },
  { work: 'reserve', sums: sums(9_400e6, 12) },
];

const RESERVED: Schemas['Reservation'] = {
  id: '0b9d1f6e-7c7c-4a52-8a57-5f0a5b1b2c01',
  auction: '0b9d1f6e-7c7c-4a52-8a57-5f0a5b1b2c02',
  account: '0b9d1f6e-7c7c-4a52-8a57-5f0a5b1b2c03',
  title: 'meteor',
  region: 'DE',
  gpu_tier: 0,
  machines: 2,
  from_ms: Date.now() - HOUR_MS,
  until_ms: Date.now() + HOUR_MS,
  state: 'booked',
  decided_at_ms: Date.now() - DAY_MS,
  price_ceiling: money(120_000n),
  price_per_hour: money(90_001n),
  fee_permille: Number(FEE_PERMILLE),
  held: money(90_004n),
  paid: money(150_002n),
  machine_states: FLEET.slice(0, 2).map(({ id }, at) => ({ node: id, state: at === 0 ? 'standing' : 'playing', is_next: false })),
  created_at_ms: Date.now() - DAY_MS,
};

/** Reservations: one that runs, and one that found too few machines. */
export const RESERVATIONS: Schemas['Reservation'][] = [
  RESERVED,
  { ...RESERVED, id: '0b9d1f6e-7c7c-4a52-8a57-5f0a5b1b2c04', region: '', state: 'failed', price_per_hour: null, held: money(0n), paid: money(0n), machine_states: [] },
];

/** What standing by costs. */
export const QUOTE: Schemas['Quote'] = {
  quote: 'q',
  title: 'meteor',
  work: 'reserve',
  price_per_hour: money(120_000n),
  lowest_price_per_hour: money(120_000n),
  fee_permille: Number(FEE_PERMILLE),
  rate_card: 1,
  valid_until_ms: Date.now() + HOUR_MS,
};
