/** Sessions that wait, frozen, for this visitor to come back: the server has them, and this browser their key. */
import { keptSessions } from '@nearframe/player';
import { sessions, type Session } from '../api/client';
import type { Outcome } from '../api/problem';

/** Of these sessions those that this browser can go on with. */
export async function continuable(own: readonly Session[]): Promise<Session[]> {
  const kept = new Set((await keptSessions()).map(({ session }) => session.id));
  return own.filter(({ id, state }) => state !== 'ended' && kept.has(id));
}

/** Whether this browser can go on with a session, as far as it knows by itself. */
export async function isKept(id: string): Promise<boolean> {
  return (await keptSessions()).some(({ session }) => session.id === id);
}

/** Asks the server only where this browser has something to go on with. */
export async function waitingSessions(): Promise<Outcome<Session[]>> {
  if ((await keptSessions()).length === 0) return { ok: true, value: [] };
  const own = await sessions();
  return own.ok ? { ok: true, value: await continuable(own.value) } : own;
}
