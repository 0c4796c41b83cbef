/** Ways to sign in, as the pages use them. */
import { client, done, limit, settle } from './client';
import type { components } from './generated';
import type { Me } from './accounts';
import type { Outcome } from './problem';

type Schemas = components['schemas'];
/** What this server offers. */
export type SignInWays = Schemas['SignInWays'];
/** Who vouches for identities. */
export type SignInProvider = Schemas['SignInProvider'];
/** Whether passkeys are offered. */
export type PasskeyOffer = Schemas['PasskeyOffer'];
/** As whom an identity may sign in. */
export type SignInChoice = Schemas['SignInChoice'];
/** What an identity is wanted for. */
export type BeginSignIn = Schemas['BeginSignIn'];
/** What was chosen. */
export type Choose = Schemas['Choose'];
/** The member's own ways in. */
export type SignIns = Schemas['SignIns'];
/** An identity that is linked to a member. */
export type Identity = Schemas['Identity'];
/** A passkey of a member. */
export type Passkey = Schemas['Passkey'];
/** What a browser or an authenticator says: its form is that of WebAuthn. */
type Json = Schemas['PasskeyChallenge']['options'];

/** What this server offers. */
export function ways(): Promise<Outcome<SignInWays>> {
  return settle(client.GET('/v1/sign-in', { signal: limit() }));
}

/** Where a provider's page is, for signing in. */
export function providerPath(provider: string): string {
  return `/v1/sign-in/oidc/${provider}`;
}

/** The address of a provider's page; with it comes a cookie that the way back needs. */
export async function begin(provider: string, body: BeginSignIn): Promise<Outcome<string>> {
  const params = { path: { provider } };
  const found = await settle(client.POST('/v1/sign-in/oidc/{provider}', { params, body, signal: limit() }));
  return found.ok ? { ok: true, value: found.value.url } : found;
}

/** As whom the identity may sign in that came last in this browser. */
export function choice(): Promise<Outcome<SignInChoice>> {
  return settle(client.GET('/v1/sign-in/choice', { signal: limit() }));
}

/** Signs in as somebody of the choice. */
export function choose(body: Choose): Promise<Outcome<Me>> {
  return settle(client.POST('/v1/sign-in/choice', { body, signal: limit() }));
}

/** The member's own ways in. */
export function signIns(): Promise<Outcome<SignIns>> {
  return settle(client.GET('/v1/me/sign-ins', { signal: limit() }));
}

/** Unlinks an identity. */
export function unlink(identity: string): Promise<Outcome<true>> {
  return done(client.DELETE('/v1/me/identities/{identity}', { params: { path: { identity } }, signal: limit() }));
}

/** Forgets a passkey. */
export function removePasskey(passkey: string): Promise<Outcome<true>> {
  return done(client.DELETE('/v1/me/passkeys/{passkey}', { params: { path: { passkey } }, signal: limit() }));
}

/** What the browser is to be asked to make a passkey. */
export async function askForPasskey(): Promise<Outcome<unknown>> {
  const found = await settle(client.POST('/v1/me/passkeys/challenge', { signal: limit() }));
  return found.ok ? { ok: true, value: found.value.options } : found;
}

/** Keeps a passkey that the browser made. */
export function addPasskey(name: string, credential: unknown): Promise<Outcome<Passkey>> {
  return settle(client.POST('/v1/me/passkeys', { body: { name, credential: credential as Json }, signal: limit() }));
}

/** What the browser is to be asked to sign in with a passkey. */
export async function askForSignIn(): Promise<Outcome<unknown>> {
  const found = await settle(client.POST('/v1/sign-in/passkey/challenge', { signal: limit() }));
  return found.ok ? { ok: true, value: found.value.options } : found;
}

/** Signs in with what the browser answered. */
export function signInByPasskey(credential: unknown): Promise<Outcome<Me>> {
  return settle(client.POST('/v1/sign-in/passkey', { body: { credential: credential as Json }, signal: limit() }));
}
