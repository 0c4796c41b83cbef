/** What the mock knows of trust: one case, one dispute. */
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
