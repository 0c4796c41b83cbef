/** What the page of earnings says about stakes. Pure. */
import type { Slash, Stake } from '../api/stakes';
import { micros } from './micros';
import { moment } from './time';

/** A decimal of at most six places, as somebody types it; a comma counts as a point. `undefined`: it is none, or not above zero. */
export function typed(text: string): string | undefined {
  const plain = text.trim().replace(',', '.');
  if (!/^\d{1,12}(\.\d{1,6})?$/.test(plain)) return undefined;
  return micros(plain) > 0n ? plain : undefined;
}

/** How a stake stands, in a sentence; what is missing of the least stake is said where something is. */
export function standing({ staked, least, releases_at_ms: releases }: Pick<Stake, 'staked' | 'least' | 'releases_at_ms'>): string {
  if (typeof releases === 'number') return `Notice was given: what is left is free on ${moment(releases)}.`;
  if (micros(staked.amount) < micros(least.amount)) return 'Less than the least stake: what is missing is kept back from payouts.';
  return micros(staked.amount) === 0n ? 'Nothing is staked, and nothing has to be.' : 'Staked.';
}

/** Where a part that was set aside stands, in a sentence. */
export function fate({ state, takes_at_ms: takes }: Pick<Slash, 'state' | 'takes_at_ms'>, nowMs: number): string {
  switch (state) {
    case 'pending':
      return takes > nowMs ? `Set aside. It is taken on ${moment(takes)} unless an appeal is allowed.` : 'Set aside, about to be taken.';
    case 'appealed':
      return 'Set aside. The appeal waits for an operator; nothing is taken before.';
    case 'confirmed':
      return `The appeal was refused: taken ${takes > nowMs ? `on ${moment(takes)}` : 'soon'}.`;
    case 'taken':
      return 'Taken.';
    case 'freed':
      return 'The appeal was allowed: free again.';
  }
}

/** Whether the host may still appeal. */
export function mayAppeal({ state, takes_at_ms: takes }: Pick<Slash, 'state' | 'takes_at_ms'>, nowMs: number): boolean {
  return state === 'pending' && takes > nowMs;
}
