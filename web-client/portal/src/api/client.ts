/**
 * The matchmaker's API as the pages use it. Types come from `docs/api/openapi.json` alone; a path or field
 * that the API no longer has is a compile error here.
 *
 * **Invariant:** nothing in this module throws; every call gives an `Outcome`.
 */
import type { Measured } from '@nearframe/player';
import createClient from 'openapi-fetch';
import type { components, paths } from './generated';
import { fromProblem, fromSilence, type Outcome } from './problem';

type Schemas = components['schemas'];
/** A catalogue row. */
export type Title = Schemas['Title'];
/** One play of one title. */
export type Session = Schemas['Session'];
/** A node as anyone may see it. */
export type Node = Schemas['Node'];
/** A receipt as the matchmaker keeps it. */
export type StoredReceipt = Schemas['StoredReceipt'];
/** A one-time code for a new node. */
export type Enrolment = Schemas['Enrolment'];
/** What a title's controls do. */
export type ControlHint = Schemas['ControlHint'];

/** What a visitor may expect of a title. */
export type TitleOutlook = Schemas['TitleOutlook'];
/** The fleet as its operator sees it. */
export type FleetView = Schemas['FleetView'];
/** A node as the operator sees it. */
export type FleetNode = Schemas['FleetNode'];
/** A checker's report on a node. */
export type FiledCheck = Schemas['FiledCheck'];
/** A decision with its reasons. */
export type Placement = Schemas['Placement'];

/** A version of the visitor's saved game. */
export type Save = Schemas['Save'];

/** A request without an answer is given up after this: longer, and a visitor has reloaded by then. */
const TIMEOUT_MS = 10_000;

/** The client itself, for what has a module of its own. */
export const client = createClient<paths>({ baseUrl: location.origin, credentials: 'same-origin' });

/** What a request of the client comes to. */
export interface Answer<T> {
  readonly data?: T;
  readonly error?: unknown;
  readonly response: Response;
}

/** The answer as an outcome. */
export async function settle<T>(request: Promise<Answer<T>>): Promise<Outcome<T>> {
  try {
    const { data, error, response } = await request;
    if (response.ok && data !== undefined) return { ok: true, value: data };
    return { ok: false, failure: fromProblem(response.status, error) };
  } catch {
    return { ok: false, failure: fromSilence(navigator.onLine) };
  }
}

/** Gives a request up in time. */
export function limit(): AbortSignal {
  return AbortSignal.timeout(TIMEOUT_MS);
}

/** The rows of a listing's page. */
export async function items<T>(request: Promise<Answer<{ items: T[] }>>): Promise<Outcome<T[]>> {
  const page = await settle(request);
  return page.ok ? { ok: true, value: page.value.items } : page;
}

/** The catalogue. */
export function titles(): Promise<Outcome<Title[]>> {
  return items(client.GET('/v1/titles', { signal: limit() }));
}

/** One title. */
export function title(id: string): Promise<Outcome<Title>> {
  return settle(client.GET('/v1/titles/{id}', { params: { path: { id } }, signal: limit() }));
}

/** The visitor's own sessions, newest first. */
export function sessions(): Promise<Outcome<Session[]>> {
  return items(client.GET('/v1/sessions', { signal: limit() }));
}

/** One of the visitor's sessions. */
export function session(id: string): Promise<Outcome<Session>> {
  return settle(client.GET('/v1/sessions/{id}', { params: { path: { id } }, signal: limit() }));
}

/** Ends one of the visitor's sessions. */
export function endSession(id: string): Promise<Outcome<Session>> {
  return settle(client.DELETE('/v1/sessions/{id}', { params: { path: { id } }, signal: limit() }));
}

/** The visitor's saved games, every kept version of each. */
export function saves(): Promise<Outcome<Save[]>> {
  return items(client.GET('/v1/saves', { signal: limit() }));
}

/** Where a save is downloaded from. */
export function savePath({ title, version }: Pick<Save, 'title' | 'version'>): string {
  return `/v1/saves/${title}/${version}`;
}

/** Deletes every version of a title's save; there is no way back. */
export function deleteSaves(title: string): Promise<Outcome<true>> {
  return done(client.DELETE('/v1/saves/{title}', { params: { path: { title } }, signal: limit() }));
}

/** A session's receipts, by sequence. */
export function receipts(id: string): Promise<Outcome<StoredReceipt[]>> {
  return items(client.GET('/v1/sessions/{id}/receipts', { params: { path: { id } }, signal: limit() }));
}

/** The nodes that this matchmaker knows. */
export function nodes(): Promise<Outcome<Node[]>> {
  return items(client.GET('/v1/nodes', { signal: limit() }));
}

async function titlesOf(request: Promise<Answer<Schemas['Outlook']>>): Promise<Outcome<TitleOutlook[]>> {
  const found = await settle(request);
  return found.ok ? { ok: true, value: found.value.titles } : found;
}

/** What the visitor may expect of each title, by what is known of the network. */
export function outlook(): Promise<Outcome<TitleOutlook[]>> {
  return titlesOf(client.GET('/v1/outlook', { signal: limit() }));
}

/** Tells what this browser measured; gives what the visitor may expect now. */
export function reportMeasured({ survey, nodes: measured }: Measured): Promise<Outcome<TitleOutlook[]>> {
  return titlesOf(client.POST('/v1/surveys/measured', { body: { survey, nodes: [...measured] }, signal: limit() }));
}

/** Why a session runs where it runs. */
export function placement(id: string): Promise<Outcome<Placement>> {
  return settle(client.GET('/v1/sessions/{id}/placement', { params: { path: { id } }, signal: limit() }));
}

/** Everything that an operator watches; operators only. */
export function fleet(): Promise<Outcome<FleetView>> {
  return settle(client.GET('/v1/fleet', { signal: limit() }));
}

/** Shuts a node out or drains it; operators only. */
export function giveOrder(id: string, kind: 'ban' | 'drain', body: Schemas['GiveOrder']): Promise<Outcome<true>> {
  const request = { params: { path: { id } }, body, signal: limit() };
  return done(kind === 'ban' ? client.PUT('/v1/nodes/{id}/ban', request) : client.PUT('/v1/nodes/{id}/drain', request));
}

/** What checkers reported of a node, newest first; its owner and operators only. */
export function nodeChecks(id: string): Promise<Outcome<{ items: FiledCheck[] }>> {
  return settle(client.GET('/v1/nodes/{id}/checks', { params: { path: { id } }, signal: limit() }));
}

/** Takes such an order back; operators only. */
export function liftOrder(id: string, kind: 'ban' | 'drain'): Promise<Outcome<true>> {
  const request = { params: { path: { id } }, signal: limit() };
  return done(kind === 'ban' ? client.DELETE('/v1/nodes/{id}/ban', request) : client.DELETE('/v1/nodes/{id}/drain', request));
}

/** For answers that have no body. */
export function done(request: Promise<{ readonly error?: unknown; readonly response: Response }>): Promise<Outcome<true>> {
  return settle(request.then(({ error, response }) => (response.ok ? { data: true as const, response } : { error, response })));
}

/** Makes a one-time code for a new node; operators only. */
export function enrol(): Promise<Outcome<Enrolment>> {
  return settle(client.POST('/v1/enrolments', { signal: limit() }));
}
