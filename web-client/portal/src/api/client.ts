/**
 * The matchmaker's API as the pages use it. Types come from `docs/api/openapi.json` alone; a path or field
 * that the API no longer has is a compile error here.
 *
 * **Invariant:** nothing in this module throws; every call gives an `Outcome`.
 */
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

/** A version of the visitor's saved game. */
export type Save = Schemas['Save'];

/** A request without an answer is given up after this: longer, and a visitor has reloaded by then. */
const TIMEOUT_MS = 10_000;

const client = createClient<paths>({ baseUrl: location.origin, credentials: 'same-origin' });

interface Answer<T> {
  readonly data?: T;
  readonly error?: unknown;
  readonly response: Response;
}

async function settle<T>(request: Promise<Answer<T>>): Promise<Outcome<T>> {
  try {
    const { data, error, response } = await request;
    if (response.ok && data !== undefined) return { ok: true, value: data };
    return { ok: false, failure: fromProblem(response.status, error) };
  } catch {
    return { ok: false, failure: fromSilence(navigator.onLine) };
  }
}

function limit(): AbortSignal {
  return AbortSignal.timeout(TIMEOUT_MS);
}

async function items<T>(request: Promise<Answer<{ items: T[] }>>): Promise<Outcome<T[]>> {
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
  const request = client.DELETE('/v1/saves/{title}', { params: { path: { title } }, signal: limit() });
  // The answer has no body.
  return settle(request.then(({ error, response }) => (response.ok ? { data: true, response } : { error, response })));
}

/** A session's receipts, by sequence. */
export function receipts(id: string): Promise<Outcome<StoredReceipt[]>> {
  return items(client.GET('/v1/sessions/{id}/receipts', { params: { path: { id } }, signal: limit() }));
}

/** The nodes that this matchmaker knows. */
export function nodes(): Promise<Outcome<Node[]>> {
  return items(client.GET('/v1/nodes', { signal: limit() }));
}

/** Makes a one-time code for a new node; operators only. */
export function enrol(): Promise<Outcome<Enrolment>> {
  return settle(client.POST('/v1/enrolments', { signal: limit() }));
}
