/** What the account's page makes of webhooks and their deliveries. Pure. */
import type { Delivery, EventKind, Webhook } from '../api/webhooks';
import { ago } from '../format';

/** What a webhook may ask to be told; a test is sent to whoever is tried. */
export const EVENTS: Readonly<Record<Exclude<EventKind, 'webhook.test'>, string>> = {
  'session.started': 'A session starts that this account pays for',
  'session.ended': 'It ended, with its bill so far',
  'session.billed': 'Its bill is final, a day later',
  'payout.created': 'Earnings are set aside to be sent',
  'payout.settled': 'A payout arrived',
  'payout.failed': 'A payout did not arrive and is due again',
  'stake.pending': 'A part of a stake is set aside because of a case',
  'stake.slashed': 'It was taken',
  'stake.freed': 'An appeal was allowed, and it is free again',
  'stake.released': 'A stake is free after its notice',
  'budget.low': 'Less than a fifth of a budget is left',
  'budget.exhausted': 'A budget did not hold a session',
  'statement.ready': 'A month is over',
};

const DISABLED: Readonly<Record<NonNullable<Webhook['disabled']>, string>> = {
  asked: 'disabled',
  gone: 'disabled: it answered 410 Gone',
  failing: 'disabled: nothing arrived for three days',
};

/** How a webhook stands, in words. */
export function webhookStanding(webhook: Pick<Webhook, 'disabled' | 'delivered_at_ms'>, nowMs: number): string {
  if (webhook.disabled) return DISABLED[webhook.disabled];
  return typeof webhook.delivered_at_ms === 'number' ? `delivered ${ago(webhook.delivered_at_ms, nowMs)}` : 'nothing delivered yet';
}

/** How a delivery fared, in words: what came back, and what happens next. */
export function fared(delivery: Delivery, nowMs: number): string {
  const { state, tries, status, trouble, due_ms: due } = delivery;
  const came = trouble ?? (typeof status === 'number' ? `answered ${status}` : '');
  if (state === 'delivered') return came;
  const tried = tries === 0 ? 'not tried yet' : `${came}; ${tries} ${tries === 1 ? 'try' : 'tries'}`;
  if (state === 'dead') return `${tried}, given up`;
  return typeof due === 'number' && due > nowMs ? `${tried}, again ${until(due - nowMs)}` : tried;
}

/** `in 5 s`, `in 12 min`, `in 3 h`. */
function until(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 90) return `in ${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `in ${minutes} min` : `in ${Math.round(minutes / 60)} h`;
}
