/** A member registers a webhook in the page, and a server of its own hears what happens, signed. */

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ask, createSession, field } from '../harness/api.js';
import { DESKTOP, PHONE, screenshot } from '../harness/browser.js';
import { Fleet } from '../harness/fleet.js';
import { inPage, separately } from '../harness/scenario.js';
import { until } from '../harness/wait.js';

const WITHIN_MS = 20_000;

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A server that keeps what it is told, and answers with these statuses, then with 204. */
async function receiver(statuses: number[]): Promise<{ url: string; received: Received[]; close: () => void }> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      received.push({ headers: request.headers, body });
      response.writeHead(statuses.shift() ?? 204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/in`, received, close: () => server.close() };
}

function signature({ headers, body }: Received, secret: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const signed = `${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`;
  return `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
}

separately('a webhook is registered, tried, told of a session, and delivered again', async (browser, t) => {
  const fleet = await Fleet.start('--price-micros-per-hour', '1000000', '--private-webhooks');
  t.after(() => { fleet.discard(); });
  const hears = await receiver([]);
  t.after(hears.close);
  await fleet.node('alder', '--slots', '4');
  const json = { 'content-type': 'application/json' };
  const operator = { ...json, cookie: await fleet.operatorCookie() };
  const post = (path: string, body: unknown, headers: Record<string, string>) =>
    ask(fleet.base, path, { method: 'POST', headers, body: JSON.stringify(body) });
  const account = String(field((await post('/v1/accounts', { kind: 'studio', name: 'Hollow Lantern' }, operator)).body, 'id'));
  const limit = { limit: { amount: '5', currency: 'EUR' } };
  await ask(fleet.base, `/v1/accounts/${account}/allowance`, { method: 'PUT', headers: operator, body: JSON.stringify(limit) });
  const invitation = await post(`/v1/accounts/${account}/invitations`, { role: 'member' }, operator);
  const where = { program: fleet.matchmaker, base: fleet.base, browser, t };
  await inPage('member', where, DESKTOP, async ({ page }) => {
    await page.goto(String(field(invitation.body, 'url')), { waitUntil: 'commit' });
    await page.getByLabel('Your name').fill('Vera');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('button', { name: 'New webhook' }).click();
    await page.getByLabel('Address').fill(hears.url);
    await page.getByLabel('A session starts that this account pays for').check();
    await page.getByRole('button', { name: 'Register it' }).click();
    await page.getByText('has a new secret').waitFor();
    const secret = (await page.locator('.field', { hasText: 'the secret of the webhook' }).locator('code').innerText()).trim();
    assert.match(secret, /^whsec_[\w+/]{43}=$/);
    await screenshot(page, 'webhooks-secret');
    await page.getByRole('button', { name: 'I have copied it' }).click();

    const next = (at: number) => until(`event ${at} is received`, WITHIN_MS, () => Promise.resolve(hears.received[at]));
    await page.getByRole('button', { name: 'Send a test' }).click();
    const test = await next(0);
    assert.equal(test.headers['webhook-signature'], signature(test, secret));
    assert.equal(field(JSON.parse(test.body), 'type'), 'webhook.test');
    await page.locator('li[data-state]', { hasText: 'webhook.test' }).getByText('answered 204').waitFor();

    const made = await page.evaluate(async (path) => {
      const body = JSON.stringify({ name: 'k', scopes: ['sessions'] });
      const answer = await fetch(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      return (await answer.json()) as { secret: string };
    }, `/v1/accounts/${account}/keys`);
    const started = await createSession(fleet.base, 'testcard', { authorization: `Bearer ${made.secret}` });
    assert.equal(started.status, 201);
    const told = await next(1);
    assert.equal(told.headers['webhook-signature'], signature(told, secret));
    const event: unknown = JSON.parse(told.body);
    assert.equal(field(event, 'type'), 'session.started');
    assert.deepEqual(field(field(field(event, 'data'), 'session'), 'id'), field(field(started.body, 'session'), 'id'));

    await page.locator('li[data-state]', { hasText: 'session.started' }).getByRole('button', { name: /Deliver again/ }).click();
    const again = await next(2);
    assert.equal(again.headers['webhook-id'], told.headers['webhook-id']);
    assert.equal(again.body, told.body);
    await screenshot(page, 'webhooks-deliveries');
    await page.setViewportSize(PHONE.viewport ?? { width: 390, height: 844 });
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.equal(content, window, 'the page must not scroll sideways');
    await screenshot(page, 'webhooks-phone');
    await page.getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByRole('button', { name: 'Really remove' }).click();
    await page.getByText('No webhooks yet.').waitFor();
  });
});
