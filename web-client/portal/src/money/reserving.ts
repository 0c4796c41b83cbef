/** What a form of reservation says, and what it costs at most. Pure. */
import type { CreateReservation, Reservation } from '../api/reservations';
import { duration } from '../format';
import { decimal, micros, type Amount } from './micros';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const AMOUNT = /^\d{1,9}(\.\d{1,6})?$/;
const MOST_MACHINES = 100;
const MOST_HOURS = 744;
const SHORT_MS = 10_000;

export interface Form {
  readonly title: string;
  readonly region: string;
  readonly machines: number;
  /** As `datetime-local` gives it, in the viewer's zone. */
  readonly from: string;
  readonly hours: number;
  /** The most for an hour; empty: the rate card's price. */
  readonly ceiling: string;
}

/** A time as `datetime-local` takes it. */
export function localTime(at_ms: number): string {
  const at = new Date(at_ms - new Date(at_ms).getTimezoneOffset() * MINUTE_MS);
  return at.toISOString().slice(0, 'YYYY-MM-DDTHH:MM'.length);
}

/** What is asked for; `undefined` where the form is not filled in. */
export function wish(form: Form, currency: string, account?: string): CreateReservation | undefined {
  const from_ms = new Date(form.from).getTime();
  const ceiling = form.ceiling.trim();
  const isWhole = Number.isInteger(form.machines) && form.machines >= 1 && form.machines <= MOST_MACHINES;
  const lasts = form.hours > 0 && form.hours <= MOST_HOURS;
  if (form.title === '' || !isWhole || !lasts || Number.isNaN(from_ms) || !(ceiling === '' || AMOUNT.test(ceiling))) return undefined;
  return {
    title: form.title,
    region: form.region.trim().toUpperCase(),
    machines: form.machines,
    from_ms,
    until_ms: Math.round(from_ms + form.hours * HOUR_MS),
    ...(ceiling !== '' && { price_ceiling: { amount: ceiling, currency } }),
    ...(account !== undefined && { account }),
  };
}

/** What all of it costs at the most, by the price of an hour. */
export function most(form: Pick<Form, 'machines' | 'hours'>, hour: Amount): Amount {
  const ms = BigInt(Math.round(form.hours * HOUR_MS));
  const cost = (micros(hour.amount) * ms * BigInt(form.machines)) / BigInt(HOUR_MS);
  return { amount: decimal(cost), currency: hour.currency };
}

/** Where its machines stand, in words: `2 standing, 1 gone`. */
export function machinesText({ machine_states }: Pick<Reservation, 'machine_states'>): string {
  const counts = new Map<string, number>();
  for (const { state, is_next } of machine_states) {
    if (is_next && state === 'waiting') continue;
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  return [...counts].map(([state, n]) => `${n} ${state}`).join(', ');
}

/** How much of machines' time was missing, where it is worth a word: a machine begins within a moment. */
export function shortText({ machines, short_ms = 0 }: Pick<Reservation, 'machines' | 'short_ms'>): string {
  return short_ms < SHORT_MS * machines ? '' : `; ${duration(short_ms / 1000)} of machines’ time was missing, which is not paid`;
}
