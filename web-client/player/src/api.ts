/** The one HTTP door of the player: making and giving up a session (`protocol/src/api.rs`). */

import { toHex, WireError } from './wire/bytes';
import { asObject, number, object, optionalText, text, type Json } from './wire/json';
import { CURRENT, readIceServers } from './wire/version';
import type { Measured } from './measure/measure';
import type { PageCount } from './stats/witness';
import { UNREACHABLE, type Problem } from './session/problem';
import type { Waiting } from './session/state';

/** What the player uses of `CreatedSession`. */
export interface CreatedSession {
  readonly id: string;
  readonly node: string;
  readonly node_name: string;
  readonly ticket: string;
  readonly signal_path: string;
  /** Ed25519 public key, hex: signs this session's attestations and receipts. */
  readonly node_key: string;
  readonly ice_servers: RTCIceServer[];
  /** The matchmaker's clock when it answered, Unix ms. */
  readonly now_ms: number;
  /** The node's first frames answer a challenge and are not the title's. A server of the release before has none. */
  readonly challenged: boolean;
}

/** A request that was refused or did not get through. */
export class ApiError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.title);
  }
}

/** Tries of one creation; the idempotency key makes the second one safe. */
const CREATE_TRIES = 2;
const RETRY_DELAY_MS = 300;
const ACCEPTED = 202;
/** The server says when it wants to be asked again; within reason. */
const AGAIN_MS = { least: 500, most: 10_000 };

/** What is asked for. */
export interface Wish {
  readonly server: string;
  readonly title: string;
  readonly playerKey: Uint8Array;
  readonly measured: Measured | undefined;
  /** From `POST /v1/groups`: to be placed with its other members. */
  readonly group: string | undefined;
}

/** A session; while there is no slot, waits in the queue, telling `onWaiting` what the server tells. */
export async function createSession(wish: Wish, signal: AbortSignal, onWaiting: (waiting: Waiting) => void): Promise<CreatedSession> {
  const key = crypto.randomUUID();
  let queue: string | undefined;
  for (;;) {
    const answer = await askForSession(wish, key, queue, signal);
    if ('session' in answer) return answer.session;
    queue = answer.queue;
    onWaiting(answer.waiting);
    await new Promise((resolve) => setTimeout(resolve, answer.again_in_ms));
    signal.throwIfAborted();
  }
}

type Answer =
  | { readonly session: CreatedSession }
  | { readonly queue: string; readonly again_in_ms: number; readonly waiting: Waiting };

async function askForSession(wish: Wish, key: string, queue: string | undefined, signal: AbortSignal): Promise<Answer> {
  const { server, title, playerKey, measured, group } = wish;
  const body = { versions: CURRENT, title, player_key: toHex(playerKey), measured, wait: true, queue, group };
  const request: RequestInit = {
    method: 'POST',
    credentials: 'include',
    signal,
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(body),
  };
  const response = await fetchTwice(new URL('/v1/sessions', server), request, signal);
  const answer: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw new ApiError(readProblem(answer, response.status));
  try {
    const json = asObject(answer, 'the answer');
    return response.status === ACCEPTED ? readPending(json) : { session: readCreated(json) };
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new ApiError({
      code: 'bad_answer',
      title: 'The server’s answer was not understood',
      detail: `Reload the page to get its newest version (${error.message}).`,
    });
  }
}

function readPending(json: Json): Answer {
  const wait = json['wait'] === undefined ? undefined : object(json, 'wait');
  const gathered = json['gathered'] === undefined ? undefined : object(json, 'gathered');
  const optional = (field: string): number | undefined => (wait?.[field] === undefined ? undefined : number(wait, field));
  const [likely_ms, at_most_ms] = [optional('likely_ms'), optional('at_most_ms')];
  const waiting: Waiting = {
    ...(wait && { place: number(wait, 'place') }),
    ...(likely_ms !== undefined && { likely_ms }),
    ...(at_most_ms !== undefined && { at_most_ms }),
    ...(gathered && { gathered: { joined: number(gathered, 'joined'), size: number(gathered, 'size') } }),
  };
  const again_in_ms = Math.min(Math.max(number(json, 'again_in_ms'), AGAIN_MS.least), AGAIN_MS.most);
  return { queue: text(json, 'queue'), again_in_ms, waiting };
}

/** Gives a place in the queue up; one that nobody asks for is given up soon anyway. */
export function leaveQueue(server: string, title: string): void {
  fetch(new URL(`/v1/queue/${title}`, server), { method: 'DELETE', credentials: 'include', keepalive: true }).catch(() => undefined);
}

/** Tells the matchmaker what this page counted beside the node's receipts. */
export function tellCount(server: string, session: CreatedSession, count: PageCount): void {
  const headers = { authorization: `Bearer ${session.ticket}`, 'content-type': 'application/json' };
  const request: RequestInit = { method: 'PUT', credentials: 'include', keepalive: true, headers, body: JSON.stringify(count) };
  fetch(new URL(`/v1/sessions/${session.id}/count`, server), request).catch(() => undefined);
}

/** Tells how far the node is while playing; the next start is placed by it. */
export function reportPath(server: string, session: CreatedSession, rtt_ms: number): void {
  const headers = { authorization: `Bearer ${session.ticket}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ rtt_us: Math.round(rtt_ms * 1000) });
  fetch(new URL(`/v1/sessions/${session.id}/path`, server), { method: 'POST', credentials: 'include', headers, body }).catch(() => undefined);
}

async function fetchTwice(url: URL, request: RequestInit, signal: AbortSignal): Promise<Response> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await fetch(url, request);
    } catch {
      if (tries === CREATE_TRIES || signal.aborted) throw new ApiError(UNREACHABLE);
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS));
    }
  }
}

/** RFC 9457, or words of our own where the answer is not one. */
function readProblem(body: unknown, status: number): Problem {
  try {
    const json = asObject(body, 'the problem');
    return {
      code: optionalText(json, 'code') ?? `http_${status}`,
      title: text(json, 'title'),
      detail: optionalText(json, 'detail') ?? 'Try again in a moment.',
    };
  } catch {
    return { code: `http_${status}`, title: 'The server refused', detail: 'Try again in a moment.' };
  }
}

function readCreated(json: Json): CreatedSession {
  const session = object(json, 'session');
  return {
    id: text(session, 'id'),
    node: text(session, 'node'),
    node_name: text(session, 'node_name'),
    ticket: text(json, 'ticket'),
    signal_path: text(json, 'signal_path'),
    node_key: text(json, 'node_key'),
    ice_servers: readIceServers(json, 'ice_servers'),
    now_ms: number(json, 'now_ms'),
    challenged: json['challenge'] !== undefined,
  };
}

/** Gives the session up even while the page is going away; whether it arrives cannot be known. */
export function leaveSession(server: string, session: CreatedSession): void {
  const url = new URL(`/v1/sessions/${session.id}`, server);
  const headers = { authorization: `Bearer ${session.ticket}` };
  fetch(url, { method: 'DELETE', credentials: 'include', keepalive: true, headers }).catch(() => undefined);
}
