/** Asking this browser for a passkey: WebAuthn's JSON form to what `navigator.credentials` takes, and back. */
import type { ApiFailure, Outcome } from '../api/problem';

type Fields = Record<string, unknown>;

/** Whether this browser has passkeys on this page. */
export function isAble(): boolean {
  return typeof PublicKeyCredential !== 'undefined' && isSecureContext;
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/** Bytes of unpadded base64url. */
export function toBytes(text: unknown): Uint8Array<ArrayBuffer> {
  const plain = atob(String(text).replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

/** Unpadded base64url of bytes. */
export function toText(bytes: ArrayBuffer): string {
  const plain = String.fromCharCode(...new Uint8Array(bytes));
  return btoa(plain).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

function listed(list: unknown): Fields[] {
  const rows = Array.isArray(list) ? list.map(fields) : [];
  return rows.map((row) => ({ ...row, id: toBytes(row['id']) }));
}

/** Options for `navigator.credentials.create`. */
export function creation(options: unknown): CredentialCreationOptions {
  const asked = fields(fields(options)['publicKey']);
  const user = fields(asked['user']);
  const publicKey = {
    ...asked,
    challenge: toBytes(asked['challenge']),
    user: { ...user, id: toBytes(user['id']) },
    excludeCredentials: listed(asked['excludeCredentials']),
  };
  return { publicKey: publicKey as unknown as PublicKeyCredentialCreationOptions };
}

/** Options for `navigator.credentials.get`. */
export function request(options: unknown): CredentialRequestOptions {
  const asked = fields(fields(options)['publicKey']);
  const publicKey = {
    ...asked,
    challenge: toBytes(asked['challenge']),
    allowCredentials: listed(asked['allowCredentials']),
  };
  return { publicKey: publicKey as unknown as PublicKeyCredentialRequestOptions };
}

/** What a browser answered, in JSON's form. */
function answered(credential: PublicKeyCredential): Fields {
  const { response } = credential;
  const said: Fields = { clientDataJSON: toText(response.clientDataJSON) };
  if (response instanceof AuthenticatorAttestationResponse) {
    said['attestationObject'] = toText(response.attestationObject);
  } else if (response instanceof AuthenticatorAssertionResponse) {
    said['authenticatorData'] = toText(response.authenticatorData);
    said['signature'] = toText(response.signature);
    said['userHandle'] = response.userHandle === null ? null : toText(response.userHandle);
  }
  const { id, type, rawId } = credential;
  return { id, type, rawId: toText(rawId), response: said, extensions: {} };
}

function failed(error: unknown): ApiFailure {
  const name = error instanceof DOMException ? error.name : '';
  const say = (title: string, advice: string): ApiFailure => ({ code: 'passkey', status: 0, title, advice });
  switch (name) {
    case 'NotAllowedError':
    case 'AbortError':
      return say('No passkey was used', 'It was not confirmed in time, or there is none for this server on this device.');
    case 'InvalidStateError':
      return say('This device has one already', 'A passkey of it is in your list: use that one.');
    case 'SecurityError':
      return say('Not at this address', 'Passkeys belong to the name of this server: open the page under it, over HTTPS.');
    default:
      return say('This device makes no such passkey', 'Try another device, or a security key with a PIN.');
  }
}

async function ask(from: Promise<Credential | null>): Promise<Outcome<unknown>> {
  try {
    const credential = await from;
    if (credential instanceof PublicKeyCredential) return { ok: true, value: answered(credential) };
    return { ok: false, failure: failed(undefined) };
  } catch (error) {
    return { ok: false, failure: failed(error) };
  }
}

/** Has this device make a passkey. */
export function make(options: unknown): Promise<Outcome<unknown>> {
  return ask(navigator.credentials.create(creation(options)));
}

/** Has this device use one of its passkeys. */
export function use(options: unknown): Promise<Outcome<unknown>> {
  return ask(navigator.credentials.get(request(options)));
}
