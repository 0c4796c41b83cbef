/** What the mock knows of trust: one case, one dispute, a stake with a case that costs a part of it. */
import type { components } from '../src/api/generated';
import { FLEET, SESSIONS } from './mock-data.ts';

type Schemas = components['schemas'];
const HOUR_MS = 3_600_000;
const session = SESSIONS[0]?.id ?? '';

export const CASES: readonly Schemas['Case'][] = [
  {
    id: '5f1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b11',
    node: FLEET[0]?.id ?? '',
    node_name: FLEET[0]?.name ?? '',
    kind: 'inflated_time',
    grade: 'slash',
    witnesses: ['player', 'player', 'lease'],
    exhibits: [
      { session, what: 'in 2 sessions of one party receipts claim 1320 s where its pages counted 1200: 10.0 % more' },
      { session, what: 'the lease refused a receipt that claims 1.4 % more time than had passed' },
    ],
    opened_at_ms: Date.now() - 3 * HOUR_MS,
    changed_at_ms: Date.now() - HOUR_MS,
  },
];

export const DISPUTES: readonly Schemas['Dispute'][] = [
  {
    id: '6a1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b12',
    session,
    by: 'player',
    reason: 'The picture froze for a minute',
    evidence: 'From 20:14 to 20:15, twice.',
    opened_at_ms: Date.now() - 5 * HOUR_MS,
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
  set_aside_at_ms: Date.now() - 2 * DAY_MS,
  takes_at_ms: Date.now() + 12 * DAY_MS,
  state: 'pending',
};

export const STAKES: readonly Schemas['Stake'][] = [
  {
    node: FLEET[0]?.id ?? '',
    node_name: FLEET[0]?.name ?? '',
    staked: eur('50.000000'),
    set_aside: eur('25.000000'),
    least: eur('40.000000'),
    available: eur('18.250000'),
    slashes: [SLASH],
    entries: [
      { number: 1, at_ms: Date.now() - 40 * DAY_MS, what: 'posted', amount: eur('50.000000') },
      { number: 2, at_ms: SLASH.set_aside_at_ms, what: 'set_aside', amount: SLASH.amount, case: SLASH.case },
    ],
  },
  {
    node: FLEET[1]?.id ?? '',
    node_name: FLEET[1]?.name ?? '',
    staked: eur('12.500000'),
    set_aside: eur('0.000000'),
    least: eur('0.000000'),
    available: eur('3.000000'),
    releases_at_ms: Date.now() + 9 * DAY_MS,
    slashes: [],
    entries: [{ number: 1, at_ms: Date.now() - 60 * DAY_MS, what: 'posted', amount: eur('12.500000') }],
  },
];

export const APPEALS: readonly Schemas['Case'][] = [
  {
    id: SLASH.case,
    node: FLEET[0]?.id ?? '',
    node_name: FLEET[0]?.name ?? '',
    kind: SLASH.kind,
    grade: 'slash',
    witnesses: SLASH.witnesses,
    exhibits: SLASH.exhibits,
    opened_at_ms: Date.now() - 3 * DAY_MS,
    changed_at_ms: Date.now() - 3 * DAY_MS,
    decision: { verdict: 'upheld', reason: SLASH.reason, by: { kind: 'operator' }, at_ms: SLASH.set_aside_at_ms },
    slash: {
      ...SLASH,
      state: 'appealed',
      appeal: { text: 'My provider moved the machine between two lines for a day. Its log of that evening is at example.org/log.', at_ms: Date.now() - 5 * HOUR_MS },
    },
  },
];
