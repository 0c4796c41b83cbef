/**
 * Sessions that the player may come back to: what a later page of this browser needs to go on with one, in
 * IndexedDB. The node keeps the title frozen for a while; whether it still does, the matchmaker tells.
 *
 * The session's private key cannot be read, here or by any script; the browser stores it as it is.
 */

import type { CreatedSession } from '../api';

export interface KeptSession {
  readonly session: CreatedSession;
  readonly title: string;
  /** When the session was made, Unix ms by this browser's clock. */
  readonly created_ms: number;
  readonly publicKey: Uint8Array<ArrayBuffer>;
  readonly privateKey: CryptoKey;
}

const DATABASE = 'nearframe';
const STORE = 'kept';
/** A guest has a handful of sessions; older ones are over. */
const KEPT_MAX = 8;

/** Sessions of this browser, newest first; none where it keeps nothing, as in private windows. */
export async function keptSessions(): Promise<KeptSession[]> {
  try {
    const all = await inStore('readonly', (store) => store.getAll() as IDBRequest<KeptSession[]>);
    return all.sort((a, b) => b.created_ms - a.created_ms);
  } catch {
    return [];
  }
}

export async function keptSession(id: string): Promise<KeptSession | undefined> {
  return (await keptSessions()).find(({ session }) => session.id === id);
}

export async function keepSession(kept: KeptSession): Promise<void> {
  await inStore('readwrite', (store) => store.put(kept, kept.session.id));
  for (const { session } of (await keptSessions()).slice(KEPT_MAX)) await forgetSession(session.id);
}

export async function forgetSession(id: string): Promise<void> {
  await inStore('readwrite', (store) => store.delete(id)).catch(() => undefined);
}

async function inStore<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => {
    if (!opening.result.objectStoreNames.contains(STORE)) opening.result.createObjectStore(STORE);
  };
  const database = await settled(opening);
  try {
    return await settled(act(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('the browser’s storage failed'));
  });
}
