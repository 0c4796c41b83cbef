/**
 * Webhooks of an account, as its page uses them.
 *
 * **Invariant:** a secret that the server shows once lives in the component that asked for it and nowhere else.
 */
import { client, done, items, limit, settle } from './client';
import type { components } from './generated';
import type { Outcome } from './problem';

type Schemas = components['schemas'];
/** Where an account is told what happens, without the secret. */
export type Webhook = Schemas['Webhook'];
/** The same with its secret. */
export type WebhookSecret = Schemas['WebhookSecret'];
/** What happened. */
export type EventKind = Schemas['EventKind'];
/** The way of one event to one webhook. */
export type Delivery = Schemas['Delivery'];
/** What is wanted of a new webhook. */
export type CreateWebhook = Schemas['CreateWebhook'];

const of = (account: string, webhook: string) => ({ params: { path: { account, webhook } }, signal: limit() });

/** The account's webhooks, oldest first. */
export function webhooks(account: string): Promise<Outcome<Webhook[]>> {
  return items(client.GET('/v1/accounts/{account}/webhooks', { params: { path: { account } }, signal: limit() }));
}

/** Registers one. */
export function createWebhook(account: string, body: CreateWebhook): Promise<Outcome<WebhookSecret>> {
  return settle(client.POST('/v1/accounts/{account}/webhooks', { params: { path: { account } }, body, signal: limit() }));
}

/** Sends events to it, or none. */
export function enableWebhook(account: string, { id, url, events }: Webhook, enabled: boolean): Promise<Outcome<Webhook>> {
  return settle(client.PUT('/v1/accounts/{account}/webhooks/{webhook}', { ...of(account, id), body: { url, events, enabled } }));
}

/** Removes one. */
export function removeWebhook(account: string, webhook: string): Promise<Outcome<true>> {
  return done(client.DELETE('/v1/accounts/{account}/webhooks/{webhook}', of(account, webhook)));
}

/** Makes another secret; the one before signs along for a day. */
export function renewSecret(account: string, webhook: string): Promise<Outcome<WebhookSecret>> {
  return settle(client.POST('/v1/accounts/{account}/webhooks/{webhook}/secret', of(account, webhook)));
}

/** Sends it something. */
export function testWebhook(account: string, webhook: string): Promise<Outcome<Schemas['Queued']>> {
  return settle(client.POST('/v1/accounts/{account}/webhooks/{webhook}/test', of(account, webhook)));
}

/** How its deliveries fared, newest first. */
export function deliveries(account: string, webhook: string): Promise<Outcome<Delivery[]>> {
  return items(client.GET('/v1/accounts/{account}/webhooks/{webhook}/deliveries', of(account, webhook)));
}

/** Delivers an event once more. */
export function redeliver(account: string, webhook: string, event: string): Promise<Outcome<Schemas['Queued']>> {
  const params = { path: { account, webhook, event } };
  return settle(
    client.POST('/v1/accounts/{account}/webhooks/{webhook}/deliveries/{event}', { params, signal: limit() }),
  );
}
