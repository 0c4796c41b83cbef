/** Rubbish at the doors: every refusal is told, nothing falls over. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createConnection } from 'node:net';
import type { Page } from 'playwright-core';
import { ask, assertProblem, createSession, field, items, type Answer } from '../harness/api.js';
import { open } from '../harness/play.js';
import { Program } from '../harness/program.js';
import { scenario, separately } from '../harness/scenario.js';

const JSON_BODY = { 'content-type': 'application/json' };
const NOBODY = '00000000-0000-4000-8000-000000000000';
/** Requests sent at once for one slot. */
const CROWD = 200;

const post = (base: string, body: BodyInit, headers: Record<string, string> = JSON_BODY): Promise<Answer> =>
  ask(base, '/v1/sessions', { method: 'POST', headers, body });

scenario('bodies that are not understood are refused with a problem', async ({ base }) => {
  const good = { versions: { min: 1, max: 1, features: [] }, title: 'testcard', player_key: '11'.repeat(32) };
  const bad: [string, number[]][] = [
    ['', [400, 422]],
    ['{', [400, 422]],
    ['[]', [400, 422]],
    ['null', [400, 422]],
    [randomBytes(200).toString('latin1'), [400, 422]],
    ['['.repeat(20_000), [400, 413, 422]],
    [JSON.stringify({ ...good, title: '../../etc/passwd' }), [400, 404, 422]],
    [JSON.stringify({ ...good, title: 'nothing-like-it' }), [404]],
    [JSON.stringify({ ...good, player_key: 'zz' }), [400, 422]],
    [JSON.stringify({ ...good, versions: { min: 9, max: 9 } }), [400, 409, 422]],
    [JSON.stringify({ ...good, more: 1 }), [400, 422]],
    ['x'.repeat(1_000_000), [413]],
  ];
  for (const [body, statuses] of bad) assertProblem(await post(base, body), ...statuses);
  assertProblem(await post(base, JSON.stringify(good), { 'content-type': 'text/plain' }), 400, 415);
});

scenario('paths, methods and ids that do not exist are refused with a problem', async ({ base }) => {
  const cases: [string, string, number[]][] = [
    ['GET', '/v1/nothing', [404]],
    ['PUT', '/v1/sessions', [405]],
    ['DELETE', '/v1/titles', [405]],
    ['GET', '/v1/sessions/not-a-uuid', [400, 404]],
    ['GET', `/v1/sessions/${NOBODY}`, [401, 403, 404]],
    ['DELETE', `/v1/sessions/${NOBODY}`, [401, 403, 404]],
    ['GET', `/v1/sessions/${NOBODY}/receipts`, [401, 403, 404]],
    ['GET', '/v1/titles/%00', [400, 404]],
    ['GET', '/v1/titles/..%2f..%2fetc', [400, 404]],
    ['GET', '/v1/titles/no-such-title/cover', [404]],
    ['GET', '/v1/sessions?cursor=rubbish', [400]],
    ['POST', '/v1/enrolments', [401, 403]],
    ['GET', `/v1/sessions/${NOBODY}/signal`, [400, 401, 403, 404, 426]],
  ];
  for (const [method, path, statuses] of cases) assertProblem(await ask(base, path, { method }), ...statuses);
});

scenario('a session is its player\'s: a stranger may neither see nor end it', async ({ page, base }) => {
  await open(page, base, 'testcard');
  const id = await page.evaluate(() => document.querySelector('near-frame')?.view.session ?? '');
  for (const path of [`/v1/sessions/${id}`, `/v1/sessions/${id}/receipts`]) assertProblem(await ask(base, path), 401, 403, 404);
  assertProblem(await ask(base, `/v1/sessions/${id}`, { method: 'DELETE' }), 401, 403, 404);
  const forged = { authorization: `Bearer ${'a'.repeat(64)}` };
  assertProblem(await ask(base, `/v1/sessions/${id}`, { headers: forged }), 401, 403, 404);
  assert.equal(await page.evaluate(() => document.querySelector('near-frame')?.view.kind), 'playing');
});

scenario('sockets that talk rubbish are told so and closed', async ({ page, base }) => {
  await open(page, base, 'testcard');
  const id = await page.evaluate(() => document.querySelector('near-frame')?.view.session ?? '');
  const hello = { type: 'hello', versions: { min: 1, max: 1, features: [] } };
  const rubbish: (string | number[])[] = [
    'rubbish',
    '{}',
    '{"type":"leave"}',
    JSON.stringify({ ...hello, ticket: 'wrong' }),
    JSON.stringify({ ...hello, versions: { min: 7, max: 9 }, ticket: 'wrong' }),
    [...randomBytes(500)],
    'x'.repeat(300_000),
  ];
  for (const path of [`/v1/sessions/${id}/signal`, '/v1/nodes/link']) {
    for (const message of rubbish) {
      const closed = await closedAfter(page, path, message);
      assert(closed, `${path} stayed open after ${String(message).slice(0, 60)}`);
    }
  }
  assert.equal(await page.evaluate(() => document.querySelector('near-frame')?.view.kind), 'playing');
});

scenario('requests that are no HTTP do not hurt', async ({ base }) => {
  const { port } = new URL(base);
  for (const bytes of [randomBytes(4_096), Buffer.from('GET / HTTP/9.9\r\n\r\n'), Buffer.from(`GET /${'a'.repeat(200_000)} HTTP/1.1\r\n\r\n`)]) {
    await raw(Number(port), bytes);
  }
  assert.equal((await ask(base, '/livez')).status, 200);
  assert(items((await ask(base, '/v1/nodes')).body).length === 1);
});

separately('a crowd for one slot gets it once, and the others are told why', async (_, t) => {
  const { program, base } = await Program.up('--slots', '1');
  t.after(() => program.discard());
  const answers = await Promise.all(Array.from({ length: CROWD }, () => createSession(base, 'testcard')));
  const made = answers.filter(({ status }) => status === 201);
  assert.equal(made.length, 1);
  for (const answer of answers) if (answer.status !== 201) assertProblem(answer, 429, 503);
  const [node] = items((await ask(base, '/v1/nodes')).body);
  assert.equal(field(node, 'busy'), 1);
  assert.equal((await ask(base, '/livez')).status, 200);
  await program.stop();
});

/** Opens a socket from the page, says one thing, and tells whether the server closed it. */
function closedAfter(page: Page, path: string, message: string | number[]): Promise<boolean> {
  return page.evaluate(
    ([where, what]) =>
      new Promise<boolean>((resolve) => {
        const socket = new WebSocket(new URL(where, location.href.replace(/^http/, 'ws')));
        setTimeout(() => resolve(false), 8_000);
        socket.onopen = () => socket.send(typeof what === 'string' ? what : new Uint8Array(what));
        socket.onclose = () => resolve(true);
      }),
    [path, message] as const,
  );
}

/** Sends bytes to a port; resolves when the server has answered and closed, or had time to. */
function raw(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => socket.end(bytes));
    socket.setTimeout(3_000, () => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.resume();
  });
}
