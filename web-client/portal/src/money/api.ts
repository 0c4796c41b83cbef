/** The API's doors of money, apart from the others so that players never load them. */
import { client, items, limit, settle } from '../api/client';
import type { components } from '../api/generated';
import type { Outcome } from '../api/problem';
import type { Period } from './time';

type Schemas = components['schemas'];
export type Sums = Schemas['Sums'];
export type TitleUsage = Schemas['TitleUsage'];
export type NodeUsage = Schemas['NodeUsage'];
export type WorkUsage = Schemas['WorkUsage'];
export type SessionUsage = Schemas['SessionUsage'];
export type UsageStep = Schemas['UsageStep'];
export type SessionBill = Schemas['SessionBill'];
export type BillLine = Schemas['BillLine'];
export type Budget = Schemas['Budget'];
export type EarningsOverview = Schemas['EarningsOverview'];
export type HeldDay = Schemas['HeldDay'];
export type Withheld = Schemas['Withheld'];
export type Earnings = Schemas['Earnings'];
export type Prices = Schemas['Prices'];
export type PriceRate = Schemas['PriceRate'];
export type PriceIndex = Schemas['PriceIndex'];

/** Whose receipts: everybody's, or those of one title or node. */
export interface Whose {
  readonly title?: string;
  readonly node?: string;
  /** What machines of the account earned, and not what it pays for. */
  readonly earned?: true;
}

interface Span {
  from_ms: number;
  to_ms: number;
  title?: string;
  node?: string;
  earned?: boolean;
}

function span({ from_ms, to_ms }: Period, { title, node, earned }: Whose): Span {
  return { from_ms, to_ms, ...(title && { title }), ...(node && { node }), ...(earned && { earned }) };
}

/** What was used step by step. */
export async function series(period: Period, whose: Whose): Promise<Outcome<UsageStep[]>> {
  const query = { ...span(period, whose), step_s: period.step_s };
  return items(client.GET('/v1/usage/series', { params: { query }, signal: limit() }));
}

/** What was used of each title. */
export function byTitle(period: Period, whose: Whose): Promise<Outcome<TitleUsage[]>> {
  return items(client.GET('/v1/usage/titles', { params: { query: span(period, whose) }, signal: limit() }));
}

/** What was used of each node. */
export function byNode(period: Period, whose: Whose): Promise<Outcome<NodeUsage[]>> {
  return items(client.GET('/v1/usage/nodes', { params: { query: span(period, whose) }, signal: limit() }));
}

/** What was used of each kind of work. */
export function byWork(period: Period, whose: Whose): Promise<Outcome<WorkUsage[]>> {
  return items(client.GET('/v1/usage/work', { params: { query: span(period, whose) }, signal: limit() }));
}

/** The sessions behind the sums, newest first, and how to go on. */
export async function bySession(period: Period, whose: Whose, cursor?: string): Promise<Outcome<{ items: SessionUsage[]; next_cursor?: string | null }>> {
  const query = { ...span(period, whose), ...(cursor !== undefined && { cursor }) };
  return settle(client.GET('/v1/usage/sessions', { params: { query }, signal: limit() }));
}

/** A session's bill, receipt by receipt. */
export function bill(id: string): Promise<Outcome<SessionBill>> {
  return settle(client.GET('/v1/sessions/{id}/bill', { params: { path: { id } }, signal: limit() }));
}

/** Every title's budget. */
export function budgets(): Promise<Outcome<Budget[]>> {
  return items(client.GET('/v1/budgets', { signal: limit() }));
}

/** Sets or lifts a title's budget. */
export function setBudget(title: string, amount: { amount: string; currency: string } | undefined): Promise<Outcome<Budget>> {
  const body = amount === undefined ? {} : { limit: amount };
  return settle(client.PUT('/v1/budgets/{title}', { params: { path: { title } }, body, signal: limit() }));
}

/** The rate card in force. */
export function prices(): Promise<Outcome<Prices>> {
  return settle(client.GET('/v1/prices', { signal: limit() }));
}

/** What an hour has cost in the last day. */
export function priceIndex(): Promise<Outcome<PriceIndex>> {
  return settle(client.GET('/v1/prices/index', { signal: limit() }));
}

/** What nodes have earned and what of it is held. */
export function earnings(node?: string): Promise<Outcome<EarningsOverview>> {
  return settle(client.GET('/v1/earnings', { params: { query: node === undefined ? {} : { node } }, signal: limit() }));
}

/** A node's proofs. */
export function proofs(id: string): Promise<Outcome<Earnings>> {
  return settle(client.GET('/v1/nodes/{id}/earnings', { params: { path: { id } }, signal: limit() }));
}

/** What an account was charged beside its sessions, and what of these its subscription covered. */
export function charges(account: string, { from_ms, to_ms }: Period): Promise<Outcome<Schemas['Charges']>> {
  return settle(client.GET('/v1/accounts/{account}/charges', { params: { path: { account }, query: { from_ms, to_ms } }, signal: limit() }));
}

/** Where a month of all titles is downloaded from, as a document. */
export function invoicePath(month: string): string {
  return `/v1/invoices/${month}`;
}

/** Where a title's month is downloaded from. */
export function statementPath(title: string, month: string): string {
  return `/v1/statements/${title}/${month}`;
}
