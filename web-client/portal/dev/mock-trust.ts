/** What the mock knows of trust: one case, one dispute, stakes and an appeal, what checkers reported. */
import type { components } from '../src/api/generated';
import { report } from './fixtures.ts';
import { SESSIONS } from './mock-data.ts';
import { MACHINES } from './mock-machines.ts';
import { STAKED_MICROS, availableOf } from './mock-money.ts';
import { NOW_MS, money } from './mock-plays.ts';

type Schemas = components['schemas'];
const HOUR_MS = 3_600_000;
/** The visitor's longest session, of some hours ago. */
const session = SESSIONS[3]?.id ?? '';

export const CASES: readonly Schemas['Case'][] = [
  {
    id: '5f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11',
    node: MACHINES[0]?.id ?? '',
    node_name: MACHINES[0]?.name ?? '',
    kind: 'inflated_time',
    grade: 'slash',
    witnesses: ['player', 'player', 'lease'],
    exhibits: [
      { session, what: 'in 2 sessions of one party receipts claim 1320 s where its pages counted 1200: 10.0 % more' },
      { session, what: 'the lease refused a receipt that claims 1.4 % more time than had passed' },
    ],
    opened_at_ms: NOW_MS - 3 * HOUR_MS,
    changed_at_ms: NOW_MS - HOUR_MS,
  },
];

export const DISPUTES: readonly Schemas['Dispute'][] = [
  {
    id: '6a1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b12',
    session,
    by: 'player',
    reason: 'The picture froze for a minute',
    evidence: 'From 20:14 to 20:15, twice.',
    opened_at_ms: NOW_MS - 5 * HOUR_MS,
  },
];

const DAY_MS = 24 * HOUR_MS;
const eur = (amount: string): Schemas['MoneyJson'] => ({ amount, currency: 'EUR' });

const SLASH: Schemas['Slash'] = {
  case: '7b1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b13',
  kind: 'cloned_key',
  witnesses: ['lease', 'itself'],
  exhibits: [{ what: 'two addresses took the link from each other in turns 9 times, each while the other was heard' }],
  reason: 'two machines answer by one key',
  rules: 1,
  amount: eur('25.000000'),
  set_aside_at_ms: NOW_MS - 2 * DAY_MS,
  takes_at_ms: NOW_MS + 12 * DAY_MS,
  state: 'pending',
};

export const STAKES: readonly Schemas['Stake'][] = [
  {
    node: MACHINES[0]?.id ?? '',
    node_name: MACHINES[0]?.name ?? '',
    staked: eur('50.000000'),
    set_aside: eur('25.000000'),
    least: eur('40.000000'),
    available: money(availableOf(MACHINES[0]?.id ?? '')),
    slashes: [SLASH],
    entries: [
      { number: 1, at_ms: NOW_MS - 40 * DAY_MS, what: 'posted', amount: eur('50.000000') },
      { number: 2, at_ms: SLASH.set_aside_at_ms, what: 'set_aside', amount: SLASH.amount, case: SLASH.case },
    ],
  },
  {
    node: MACHINES[1]?.id ?? '',
    node_name: MACHINES[1]?.name ?? '',
    staked: eur('12.500000'),
    set_aside: eur('0.000000'),
    least: eur('0.000000'),
    available: money(availableOf(MACHINES[1]?.id ?? '')),
    releases_at_ms: NOW_MS + 9 * DAY_MS,
    slashes: [],
    entries: [
      { number: 1, at_ms: NOW_MS - 60 * DAY_MS, what: 'posted', amount: eur('10.000000') },
      { number: 2, at_ms: NOW_MS - 9 * DAY_MS, what: 'posted', amount: money(STAKED_MICROS) },
    ],
  },
];

const APPEALED = '7b1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b14';

export const APPEALS: readonly Schemas['Case'][] = [
  {
    id: APPEALED,
    node: MACHINES[4]?.id ?? '',
    node_name: MACHINES[4]?.name ?? '',
    kind: SLASH.kind,
    grade: 'slash',
    witnesses: SLASH.witnesses,
    exhibits: SLASH.exhibits,
    opened_at_ms: NOW_MS - 3 * DAY_MS,
    changed_at_ms: NOW_MS - 3 * DAY_MS,
    decision: { verdict: 'upheld', reason: SLASH.reason, by: { kind: 'operator' }, at_ms: SLASH.set_aside_at_ms },
    slash: {
      ...SLASH,
      case: APPEALED,
      state: 'appealed',
      appeal: { text: 'My provider moved the machine between two lines for a day. Its log of that evening is at example.org/log.', at_ms: NOW_MS - 5 * HOUR_MS },
    },
  },
];

function check(number: number, hours: number, rest: Partial<Schemas['CheckReport']>): Schemas['FiledCheck'] {
  const started_at_ms = NOW_MS - hours * HOUR_MS;
  const session = `9d1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b0${number}`;
  const told = report({ session, started_at_ms, rtt_us: 8_200, freezes: 0, frozen_ms: 0, ...rest });
  return { check: { report: told, signature: 'ef'.repeat(64) }, checker_name: number % 2 === 0 ? 'checker in Frankfurt' : 'checker in Prague', filed_at_ms: started_at_ms + 25_000 };
}

const NOT_SEEN = { played_ms: 0, frames: 0, age_p50_us: 0, age_p95_us: 0, rtt_us: 0, receipts: 0, claimed_frames: 0, claimed_bytes: 0, claimed_us: 0 };

/** What checkers reported of a machine: well, badly, and nothing. */
export const CHECKS: readonly Schemas['FiledCheck'][] = [
  check(1, 2, {}),
  check(2, 9, { verdict: 'failed', findings: ['challenge_late', 'receipts_overstated'], freezes: 2, frozen_ms: 900, claimed_us: 22_000_000 }),
  check(3, 26, { verdict: 'inconclusive', findings: ['no_connection'], ...NOT_SEEN }),
  check(4, 50, { freezes: 1, frozen_ms: 210 }),
];
