/** What the account's page makes of what the API gives. Pure. */
import type { ApiKey, AuditLine, Limit, MemberRole, Scope } from '../api/accounts';

/** What each scope lets a program do. */
export const SCOPES: Readonly<Record<Scope, string>> = {
  quotes: 'Ask for prices',
  sessions: 'Start sessions, and look at and end those of this account',
  usage: 'Read what was used and what it cost',
};

/** What each role may do. */
export const ROLES: Readonly<Record<MemberRole, string>> = {
  viewer: 'Looks at budget, use and keys',
  member: 'Makes and revokes keys, registers webhooks as well',
  owner: 'Lets people in and out as well',
};

const RANK: readonly MemberRole[] = ['viewer', 'member', 'owner'];

/** Whether a role may do what another may. */
export function reaches(role: MemberRole | undefined, needed: MemberRole): boolean {
  return role !== undefined && RANK.indexOf(role) >= RANK.indexOf(needed);
}

/** Where a key stands. */
export type Standing = 'works' | 'revoked' | 'expired';

/** Where a key stands now. */
export function standing(key: Pick<ApiKey, 'revoked_at_ms' | 'expires_at_ms'>, nowMs: number): Standing {
  if (typeof key.revoked_at_ms === 'number') return 'revoked';
  return typeof key.expires_at_ms === 'number' && key.expires_at_ms <= nowMs ? 'expired' : 'works';
}

/** An amount as people type it, or what is wrong with it; nothing typed is no limit. */
export function readLimit(text: string, currency: string): { readonly limit: Limit } | { readonly wrong: string } {
  const amount = text.trim().replace(',', '.');
  if (amount === '') return { limit: null };
  if (!/^\d{1,12}(\.\d{1,6})?$/.test(amount)) return { wrong: `An amount in ${currency}, such as 25 or 12.50` };
  return { limit: { amount, currency } };
}

/** What stands behind `#join=` in a link; nothing for any other address. */
export function joinToken(hash: string): string | undefined {
  return /^#join=([\w-]{20,100})$/.exec(hash)?.[1];
}

const DEEDS: Readonly<Record<string, string>> = {
  'POST /v1/sign-in': 'signed in',
  'GET /v1/sign-in/oidc/{provider}/callback': 'signed in with a provider',
  'POST /v1/sign-in/choice': 'signed in with a provider',
  'POST /v1/sign-in/passkey': 'signed in with a passkey',
  'DELETE /v1/sign-in': 'signed out',
  'POST /v1/me/passkeys': 'added a passkey',
  'DELETE /v1/me/passkeys/{passkey}': 'removed a passkey',
  'DELETE /v1/me/identities/{identity}': 'unlinked an identity',
  'POST /v1/accounts': 'made the account',
  'PUT /v1/accounts/{account}/allowance': 'set the budget',
  'POST /v1/accounts/{account}/invitations': 'made an invitation',
  'POST /v1/accounts/{account}/members/{member}/link': 'made a sign-in link',
  'PUT /v1/accounts/{account}/members/{member}': 'changed a role',
  'DELETE /v1/accounts/{account}/members/{member}': 'took a member out',
  'POST /v1/accounts/{account}/keys': 'made a key',
  'PUT /v1/accounts/{account}/keys/{key}/allowance': 'set a key’s budget',
  'DELETE /v1/accounts/{account}/keys/{key}': 'revoked a key',
  'POST /v1/accounts/{account}/webhooks': 'registered a webhook',
  'PUT /v1/accounts/{account}/webhooks/{webhook}': 'changed a webhook',
  'DELETE /v1/accounts/{account}/webhooks/{webhook}': 'removed a webhook',
  'POST /v1/accounts/{account}/webhooks/{webhook}/secret': 'made a webhook’s secret anew',
  'POST /v1/accounts/{account}/webhooks/{webhook}/test': 'tested a webhook',
  'POST /v1/accounts/{account}/webhooks/{webhook}/deliveries/{event}': 'had an event delivered again',
  'POST /v1/sessions': 'started a session',
  'DELETE /v1/sessions/{id}': 'ended a session',
};

/** What a line says was done, in words where there are some. */
export function deed({ door, status }: Pick<AuditLine, 'door' | 'status'>): string {
  const words = DEEDS[door] ?? door;
  return status < 400 ? words : `tried: ${words} (${status})`;
}

/** Who did it, by names where they are known. */
export function actorName(
  actor: AuditLine['actor'],
  names: ReadonlyMap<string, string>,
): string {
  if (actor.kind === 'operator') return 'An operator';
  const known = names.get(actor.id);
  if (known !== undefined) return known;
  return actor.kind === 'key' ? 'A key' : 'A former member';
}
