/** Reservations: machines that stand by, as the page of costs uses them. */
import { client, items, limit, settle } from './client';
import type { components } from './generated';
import type { Outcome } from './problem';

type Schemas = components['schemas'];
export type Reservation = Schemas['Reservation'];
export type CreateReservation = Schemas['CreateReservation'];
export type Quote = Schemas['Quote'];

/** The reservations of the account; an operator's are all. */
export function reservations(): Promise<Outcome<Reservation[]>> {
  return items(client.GET('/v1/reservations', { signal: limit() }));
}

/** What an hour of standing by costs by the rate card, at least and at most. */
export function reserveQuote(title: string): Promise<Outcome<Quote>> {
  return settle(client.POST('/v1/quotes', { body: { title, work: 'reserve' }, signal: limit() }));
}

/** Reserves; the same key does it once. */
export function reserve(body: CreateReservation, key: string): Promise<Outcome<Reservation>> {
  return settle(client.POST('/v1/reservations', { body, headers: { 'Idempotency-Key': key }, signal: limit() }));
}

/** Cancels what has not begun, or lets it end early. */
export function cancelReservation(reservation: string): Promise<Outcome<Reservation>> {
  return settle(client.DELETE('/v1/reservations/{reservation}', { params: { path: { reservation } }, signal: limit() }));
}
