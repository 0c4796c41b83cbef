/** Payouts, where they go, and what the ledger refuses, as pages use them. */
import { client, items, limit, settle } from './client';
import type { components } from './generated';
import type { Outcome } from './problem';

type Schemas = components['schemas'];
/** One amount for one machine's earnings. */
export type Payout = Schemas['Payout'];
/** Where money goes. */
export type PayTo = Schemas['PayTo'];

/** Payouts, the newest first: the account's, or everybody's to an operator. */
export function payouts(): Promise<Outcome<Payout[]>> {
  return items(client.GET('/v1/payouts', { signal: limit() }));
}

/** Where an account wants its earnings. */
export function destinations(account: string): Promise<Outcome<Schemas['Destination'][]>> {
  return items(client.GET('/v1/accounts/{account}/destination', { params: { path: { account } }, signal: limit() }));
}

/** Says where, from the next run on. */
export function setDestination(account: string, pay_to: PayTo): Promise<Outcome<Schemas['Destination']>> {
  return settle(client.PUT('/v1/accounts/{account}/destination', { params: { path: { account } }, body: { pay_to }, signal: limit() }));
}

/** What the general ledger refuses of the record; operators only. */
export function refusedEntries(): Promise<Outcome<Schemas['RefusedEntry'][]>> {
  return items(client.GET('/v1/ledger/refused', { signal: limit() }));
}
