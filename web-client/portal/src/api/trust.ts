/** Cases and disputes, as the pages use them. */
import { client, items, limit, settle } from './client';
import type { components } from './generated';
import type { Outcome } from './problem';

type Schemas = components['schemas'];
/** Something that looks like cheating. */
export type Case = Schemas['Case'];
/** How a case ends. */
export type Verdict = Schemas['Verdict'];
/** A dispute about a session. */
export type Dispute = Schemas['Dispute'];

/** Cases that are open; operators only. */
export function cases(): Promise<Outcome<Case[]>> {
  return items(client.GET('/v1/cases', { signal: limit() }));
}

/** Decides a case, once. */
export function decideCase(id: string, verdict: Verdict, reason: string): Promise<Outcome<Case>> {
  const params = { path: { case: id } };
  return settle(client.POST('/v1/cases/{case}/decision', { params, body: { verdict, reason }, signal: limit() }));
}

/** Disputes that are open; operators only. */
export function disputes(): Promise<Outcome<Dispute[]>> {
  return items(client.GET('/v1/disputes', { signal: limit() }));
}

/** Decides a dispute, once. */
export function decideDispute(id: string, refund_permille: number, note: string): Promise<Outcome<Dispute>> {
  const params = { path: { dispute: id } };
  return settle(client.POST('/v1/disputes/{dispute}/decision', { params, body: { refund_permille, note }, signal: limit() }));
}

/** The disputes about a session. */
export function disputesOf(id: string): Promise<Outcome<Dispute[]>> {
  return items(client.GET('/v1/sessions/{id}/disputes', { params: { path: { id } }, signal: limit() }));
}

/** Disputes a session. */
export function dispute(id: string, reason: string): Promise<Outcome<Dispute>> {
  const params = { path: { id } };
  return settle(client.POST('/v1/sessions/{id}/disputes', { params, body: { reason }, signal: limit() }));
}
