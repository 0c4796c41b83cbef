/** Stakes and appeals, as the pages use them. */
import { client, items, limit, settle } from './client';
import type { components } from './generated';
import type { Outcome } from './problem';
import type { Case } from './trust';

type Schemas = components['schemas'];
/** A machine's stake. */
export type Stake = Schemas['Stake'];
/** A part of it that a case costs. */
export type Slash = Schemas['Slash'];

/** What the machines of an account have at stake. */
export function stakes(account: string): Promise<Outcome<Stake[]>> {
  return items(client.GET('/v1/accounts/{account}/stake', { params: { path: { account } }, signal: limit() }));
}

/** Stakes settled earnings of a machine. */
export function postStake(account: string, node: string, amount: Schemas['MoneyJson']): Promise<Outcome<Stake>> {
  const params = { path: { account } };
  return settle(client.POST('/v1/accounts/{account}/stake', { params, body: { node, amount }, signal: limit() }));
}

/** Gives notice for a machine. */
export function giveNotice(account: string, node: string): Promise<Outcome<Stake>> {
  const params = { path: { account } };
  return settle(client.POST('/v1/accounts/{account}/stake/notice', { params, body: { node }, signal: limit() }));
}

/** Appeals against what a case costs, once. */
export function appeal(id: string, text: string): Promise<Outcome<Stake>> {
  return settle(client.POST('/v1/cases/{case}/appeal', { params: { path: { case: id } }, body: { text }, signal: limit() }));
}

/** Appeals that nobody ruled on; operators only. */
export function appeals(): Promise<Outcome<Case[]>> {
  return items(client.GET('/v1/appeals', { signal: limit() }));
}

/** Rules on an appeal. */
export function decideAppeal(id: string, allowed: boolean, reason: string): Promise<Outcome<Case>> {
  const params = { path: { case: id } };
  return settle(client.POST('/v1/cases/{case}/appeal/decision', { params, body: { allowed, reason }, signal: limit() }));
}
