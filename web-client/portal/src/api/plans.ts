/** Plans and an account's subscription, as its page uses them. */
import { client, items, limit, settle } from './client';
import type { components } from './generated';
import type { Outcome } from './problem';

type Schemas = components['schemas'];
/** A plan, as it is offered now. */
export type Plan = Schemas['Plan'];
/** What an account subscribes to, in its current month. */
export type Subscription = Schemas['Subscription'];

const of = (account: string) => ({ params: { path: { account } }, signal: limit() });

/** The plans that are offered, and what the account subscribes to, if anything. */
export async function standing(account: string): Promise<Outcome<{ plans: Plan[]; subscription?: Subscription }>> {
  const [plans, subscription] = await Promise.all([
    items(client.GET('/v1/plans', { signal: limit() })),
    settle(client.GET('/v1/accounts/{account}/subscription', of(account))),
  ]);
  if (!plans.ok) return plans;
  if (!subscription.ok && subscription.failure.status !== 404) return subscription;
  const offered = plans.value.filter((plan) => plan.is_offered);
  return { ok: true, value: { plans: offered, ...(subscription.ok && { subscription: subscription.value }) } };
}

/** Subscribes, or changes the plan for the rest of the month, or takes a cancellation back. */
export function subscribe(account: string, plan: string): Promise<Outcome<Subscription>> {
  return settle(client.PUT('/v1/accounts/{account}/subscription', { ...of(account), body: { plan } }));
}

/** Ends it with its month. */
export function cancel(account: string): Promise<Outcome<Subscription>> {
  return settle(client.DELETE('/v1/accounts/{account}/subscription', of(account)));
}
