/** What the mock knows of accounts: a studio with two members, keys in every state, and what was done. */
import type { components } from '../src/api/generated';
import { micros } from '../src/money/micros.ts';
import { ACCOUNT_ID } from './fixtures.ts';
import { budgets } from './mock-money.ts';
import { PRICE_MICROS, money } from './mock-plays.ts';

type Schemas = components['schemas'];

const HOUR_MS = 3_600_000;
const now = Date.now();
const eur = (amount: string) => ({ amount, currency: 'EUR' });
const id = (n: number) => `cc1c1e1e-0b7a-4a51-9a61-2f5a3c0e9b${String(n).padStart(2, '0')}`;

/** All of its titles together. */
const COMMITTED = budgets().reduce((sum, { committed }) => sum + micros(committed.amount), 0n);

/** The account of whoever is signed in. */
export const ACCOUNT: Schemas['Account'] = {
  id: ACCOUNT_ID,
  kind: 'studio',
  name: 'Hollow Lantern Games',
  created_at_ms: now - 900 * HOUR_MS,
  allowance: { limit: eur('500.000000'), committed: money(COMMITTED) },
};

const VERA: Schemas['Member'] = { id: id(2), name: 'Vera Okafor', role: 'owner', joined_at_ms: now - 880 * HOUR_MS };

/** Its members. */
export const MEMBERS: Schemas['Member'][] = [
  VERA,
  { id: id(3), name: 'Jonas', role: 'viewer', joined_at_ms: now - 30 * HOUR_MS },
];

/** Who the browser is. */
export const ME: Schemas['Me'] = { account: ACCOUNT, member: VERA };

const key = (n: number, name: string, rest: Partial<Schemas['ApiKey']>): Schemas['ApiKey'] => ({
  id: id(n),
  name,
  prefix: `nf_live_7Gq${n % 10}`,
  scopes: ['quotes', 'sessions'],
  allowance: { limit: eur('50.000000'), committed: eur('12.500000') },
  created_at_ms: now - 100 * HOUR_MS,
  created_by: id(2),
  ...rest,
});

/** Its keys. */
export const KEYS: Schemas['ApiKey'][] = [
  key(11, 'build server', { last_used_ms: now - HOUR_MS / 10, expires_at_ms: now + 2000 * HOUR_MS }),
  key(12, 'support desk', { scopes: ['usage'], allowance: { committed: eur('0.000000') } }),
  key(13, 'demo at the fair', { expires_at_ms: now - HOUR_MS }),
  key(14, 'laptop of Jonas', { revoked_at_ms: now - 20 * HOUR_MS, last_used_ms: now - 21 * HOUR_MS }),
];

/** What the making of a key is answered with. */
export const CREATED_KEY: Schemas['CreatedKey'] = {
  key: key(15, 'new', { allowance: { committed: eur('0.000000') } }),
  secret: `nf_live_${'7Gq2mXw9Rb'.repeat(4)}4kTz0a1Bc`,
};

/** Plans that are offered. */
export const PLANS: Schemas['Plan'][] = [
  { name: 'evenings', version: 2, since_ms: now - 700 * HOUR_MS, included_hours: 40, price: eur('19.990000'), is_offered: true },
  { name: 'weekend', version: 1, since_ms: now - 900 * HOUR_MS, included_hours: 10, price: eur('5.990000'), is_offered: true },
];

/** What of the subscription's hours was played. */
const PLAYED_US = 10_740_000_000;

/** What the account subscribes to. */
export const SUBSCRIPTION: Schemas['Subscription'] = {
  account: ACCOUNT_ID,
  plan: 'weekend',
  version: 1,
  price: eur('5.990000'),
  from_ms: now - 200 * HOUR_MS,
  to_ms: now + 530 * HOUR_MS,
  included_us: 36_000_000_000,
  left_us: 36_000_000_000 - PLAYED_US,
  fee: eur('5.990000'),
  is_cancelled: false,
};

/** What it was charged beside sessions. */
export const CHARGES: Schemas['Charges'] = {
  charges: [{ at_ms: now - 200 * HOUR_MS, kind: 'fee', due: eur('5.990000') }],
  covered: [money(-(PRICE_MICROS * BigInt(PLAYED_US)) / 3_600_000_000n)],
};

const webhook = (n: number, url: string, rest: Partial<Schemas['Webhook']>): Schemas['Webhook'] => ({
  id: id(n),
  url,
  events: ['session.ended', 'budget.low', 'budget.exhausted'],
  created_at_ms: now - 90 * HOUR_MS,
  created_by: id(2),
  ...rest,
});

/** Its webhooks. */
export const WEBHOOKS: Schemas['Webhook'][] = [
  webhook(31, 'https://hooks.hollowlantern.example/nearframe', { delivered_at_ms: now - HOUR_MS / 30 }),
  webhook(32, 'https://old.hollowlantern.example/in', { disabled: 'failing', events: ['statement.ready'] }),
];

/** What the making of a webhook is answered with. */
export const WEBHOOK_SECRET: Schemas['WebhookSecret'] = {
  webhook: webhook(33, 'https://hooks.hollowlantern.example/new', {}),
  secret: `whsec_${'7Gq2mXw9Rb4k'.repeat(3)}Tz0a1Bc=`,
};

const delivery = (n: number, rest: Partial<Schemas['Delivery']>): Schemas['Delivery'] => ({
  event: id(40 + n),
  kind: 'session.ended',
  at_ms: now - n * HOUR_MS,
  state: 'delivered',
  tries: 1,
  tried_at_ms: now - n * HOUR_MS,
  status: 204,
  ...rest,
});

/** How deliveries fared. */
export const DELIVERIES: Schemas['Delivery'][] = [
  delivery(1, { state: 'pending', tries: 2, status: 503, trouble: 'answered with 503', due_ms: now + HOUR_MS / 2 }),
  delivery(2, {}),
  delivery(3, { kind: 'budget.low', state: 'dead', tries: 10, status: null, trouble: 'its host has no address' }),
];

/** What an invitation is answered with. */
export const LINK: Schemas['SignInLink'] = {
  url: `https://play.example.org/account#join=${'k7w2p9ddx41mq8rz'.repeat(2)}`,
  expires_at_ms: now + 72 * HOUR_MS,
};

const line = (number: number, rest: Partial<Schemas['AuditLine']>): Schemas['AuditLine'] => ({
  number,
  at_ms: now - (10 - number) * HOUR_MS,
  actor: { kind: 'member', id: id(2) },
  account: id(1),
  door: 'POST /v1/accounts/{account}/keys',
  subject: id(11),
  status: 201,
  previous: '00'.repeat(32),
  hash: '9f'.repeat(32),
  ...rest,
});

/** What was done, newest first. */
export const TRAIL: Schemas['AuditLine'][] = [
  line(6, { door: 'DELETE /v1/accounts/{account}/keys/{key}', subject: id(14), status: 204 }),
  line(5, { actor: { kind: 'member', id: id(3) }, door: 'DELETE /v1/accounts/{account}/keys/{key}', subject: id(11), status: 403 }),
  line(4, { actor: { kind: 'key', id: id(11) }, door: 'POST /v1/sessions', subject: '' }),
  line(3, {}),
  line(2, { door: 'POST /v1/sign-in', subject: '', status: 200 }),
  line(1, { actor: { kind: 'operator' }, door: 'POST /v1/accounts', subject: id(1) }),
];

/** How one may sign in. */
export const WAYS: Schemas['SignInWays'] = {
  providers: [
    { id: 'acme', label: 'Acme' },
    { id: 'university', label: 'University of Ostrava' },
  ],
  passkeys: { offered: true, host: 'localhost' },
  new_accounts: ['player'],
};

/** The member's own ways in. */
export const OWN_WAYS: Schemas['SignIns'] = {
  identities: [{ id: id(21), provider: 'Acme', name: 'vera@acme.example', linked_at_ms: now - 300 * HOUR_MS, last_used_ms: now - HOUR_MS }],
  passkeys: [
    { id: id(22), name: 'laptop', added_at_ms: now - 200 * HOUR_MS, last_used_ms: now - 2 * HOUR_MS },
    { id: id(23), name: 'old key', added_at_ms: now - 800 * HOUR_MS, flagged_at_ms: now - 9 * HOUR_MS },
  ],
};

/** As whom somebody may sign in. */
export function choice(isNew: boolean): Schemas['SignInChoice'] {
  const row = (n: number, account_name: string, role: Schemas['MemberRole']): Schemas['ChoiceMember'] => ({
    member: id(n),
    name: 'Vera',
    role,
    account: id(n + 10),
    account_name,
    kind: 'studio',
  });
  if (isNew) return { name: 'Max Lind', members: [], new_accounts: ['player', 'studio'] };
  return { name: 'Vera Okafor', members: [row(2, 'Hollow Lantern Games', 'owner'), row(4, 'Basement Racks', 'viewer')], new_accounts: [] };
}
