/** The matchmaker's HTTP API as a stranger speaks it. */

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import type { Page } from 'playwright-core';
import { until } from './wait.js';

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: unknown;
}

/** One request; JSON is read where the answer says that it is. */
export async function ask(base: string, path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(new URL(path, base), init);
  const type = response.headers.get('content-type') ?? '';
  const text = await response.text();
  return { status: response.status, type, body: type.includes('json') ? JSON.parse(text) : text };
}

/** A field of a JSON object; fails the test where it is missing. */
export function field(value: unknown, name: string): unknown {
  assert(typeof value === 'object' && value !== null && name in value, `no ${name} in ${JSON.stringify(value)}`);
  return (value as Record<string, unknown>)[name];
}

/** Rows of a listing. */
export function items(value: unknown): readonly unknown[] {
  const rows = field(value, 'items');
  assert(Array.isArray(rows));
  return rows;
}

/** An answer that tells what was wrong, as RFC 9457 wants it. */
export function assertProblem(answer: Answer, ...statuses: number[]): void {
  assert(statuses.includes(answer.status), `status ${answer.status}, not ${statuses.join(' or ')}: ${JSON.stringify(answer.body)}`);
  assert.match(answer.type, /^application\/problem\+json/);
  for (const name of ['type', 'title', 'detail', 'code']) assert.equal(typeof field(answer.body, name), 'string', name);
  assert.equal(field(answer.body, 'status'), answer.status);
}

export function createSession(base: string, title: string, headers: Record<string, string> = {}): Promise<Answer> {
  const { publicKey } = generateKeyPairSync('ed25519');
  const player_key = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex');
  const body = JSON.stringify({ versions: { min: 1, max: 1, features: [] }, title, player_key });
  return ask(base, '/v1/sessions', { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
}

/** A session as its player sees it, asked for with the page's own cookie. */
export async function session(page: Page, id: string): Promise<unknown> {
  return page.evaluate(async (path) => (await fetch(path)).json() as unknown, `/v1/sessions/${id}`);
}

/** Waits until the API says that a session ended; gives the reason. */
export async function endReason(page: Page, id: string, limit_ms: number): Promise<string> {
  return until('the session has ended', limit_ms, async () => {
    const found = await session(page, id);
    return field(found, 'state') === 'ended' ? String(field(found, 'end_reason')) : undefined;
  });
}
