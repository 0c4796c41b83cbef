/**
 * Accounts, members and keys, as the pages use them.
 *
 * **Invariant:** a secret that the server shows once lives in the component that asked for it and nowhere else.
 */
import { client, done, items, limit, settle } from './client';
import type { components } from './generated';
import type { Outcome } from './problem';

type Schemas = components['schemas'];
/** Who the server takes this browser for. */
export type Me = Schemas['Me'];
/** Who pays, earns or decides. */
export type Account = Schemas['Account'];
/** A person in an account. */
export type Member = Schemas['Member'];
/** What a member may do. */
export type MemberRole = Schemas['MemberRole'];
/** A program's key, without its secret. */
export type ApiKey = Schemas['ApiKey'];
/** A key with its secret. */
export type CreatedKey = Schemas['CreatedKey'];
/** What a key opens. */
export type Scope = Schemas['Scope'];
/** A link that signs one person in, once. */
export type SignInLink = Schemas['SignInLink'];
/** A line of the audit trail. */
export type AuditLine = Schemas['AuditLine'];
/** What is wanted of a new key. */
export type CreateKey = Schemas['CreateKey'];
/** What is wanted of a new account. */
export type CreateAccount = Schemas['CreateAccount'];
/** An amount, or none. */
export type Limit = Schemas['MoneyJson'] | null;

const of = (account: string) => ({ params: { path: { account } }, signal: limit() });

/** Who this browser is. */
export function me(): Promise<Outcome<Me>> {
  return settle(client.GET('/v1/me', { signal: limit() }));
}

/** Uses a link up. */
export function signIn(token: string, name: string): Promise<Outcome<Me>> {
  return settle(client.POST('/v1/sign-in', { body: { token, ...(name !== '' && { name }) }, signal: limit() }));
}

/** Signs this browser out. */
export function signOut(): Promise<Outcome<true>> {
  return done(client.DELETE('/v1/sign-in', { signal: limit() }));
}

/** All accounts; operators only. */
export function accounts(): Promise<Outcome<Account[]>> {
  return items(client.GET('/v1/accounts', { signal: limit() }));
}

/** Makes an account; operators only. */
export function createAccount(body: CreateAccount): Promise<Outcome<Account>> {
  return settle(client.POST('/v1/accounts', { body, signal: limit() }));
}

/** Sets what an account may spend; operators only. */
export function allowAccount(account: string, most: Limit): Promise<Outcome<Account>> {
  return settle(client.PUT('/v1/accounts/{account}/allowance', { ...of(account), body: { limit: most } }));
}

/** Titles and machines of an account. */
export function holdings(account: string): Promise<Outcome<Schemas['Holdings']>> {
  return settle(client.GET('/v1/accounts/{account}/holdings', of(account)));
}

/** The account's members. */
export function members(account: string): Promise<Outcome<Member[]>> {
  return items(client.GET('/v1/accounts/{account}/members', of(account)));
}

/** A link for a new member. */
export function invite(account: string, role: MemberRole): Promise<Outcome<SignInLink>> {
  return settle(client.POST('/v1/accounts/{account}/invitations', { ...of(account), body: { role } }));
}

/** Takes a member out. */
export function removeMember(account: string, member: string): Promise<Outcome<true>> {
  const params = { path: { account, member } };
  return done(client.DELETE('/v1/accounts/{account}/members/{member}', { params, signal: limit() }));
}

/** The account's keys, newest first. */
export function keys(account: string): Promise<Outcome<ApiKey[]>> {
  return items(client.GET('/v1/accounts/{account}/keys', of(account)));
}

/** Makes a key. */
export function createKey(account: string, body: CreateKey): Promise<Outcome<CreatedKey>> {
  return settle(client.POST('/v1/accounts/{account}/keys', { ...of(account), body }));
}

/** Revokes a key, and ends the sessions that it started where wanted. */
export function revokeKey(account: string, key: string, endSessions: boolean): Promise<Outcome<true>> {
  const params = { path: { account, key }, query: { end_sessions: endSessions } };
  return done(client.DELETE('/v1/accounts/{account}/keys/{key}', { params, signal: limit() }));
}

/** Who did what, newest first. */
export function audit(): Promise<Outcome<AuditLine[]>> {
  return items(client.GET('/v1/audit', { signal: limit() }));
}
