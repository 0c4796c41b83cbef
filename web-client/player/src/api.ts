/** The one HTTP door of the player: making and giving up a session (`protocol/src/api.rs`). */

import { toHex, WireError } from './wire/bytes';
import { asObject, number, object, optionalText, text, type Json } from './wire/json';
import { CURRENT, readIceServers } from './wire/version';
import { UNREACHABLE, type Problem } from './session/problem';

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

export async function createSession(
  server: string,
  title: string,
  playerKey: Uint8Array,
  signal: AbortSignal,
): Promise<CreatedSession> {
  const request: RequestInit = {
    method: 'POST',
    credentials: 'include',
    signal,
    headers: { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() },
    body: JSON.stringify({ versions: CURRENT, title, player_key: toHex(playerKey) }),
  };
  const response = await fetchTwice(new URL('/v1/sessions', server), request, signal);
  const body: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw new ApiError(readProblem(body, response.status));
  try {
    return readCreated(asObject(body, 'the answer'));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new ApiError({
      code: 'bad_answer',
      title: 'The server’s answer was not understood',
      detail: `Reload the page to get its newest version (${error.message}).`,
    });
  }
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
  };
}

/** Gives the session up even while the page is going away; whether it arrives cannot be known. */
export function leaveSession(server: string, session: CreatedSession): void {
  const url = new URL(`/v1/sessions/${session.id}`, server);
  const headers = { authorization: `Bearer ${session.ticket}` };
  fetch(url, { method: 'DELETE', credentials: 'include', keepalive: true, headers }).catch(() => undefined);
}
