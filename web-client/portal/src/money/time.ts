/**
 * Times of bills in the viewer's zone. Billing months and settlement days run in UTC, because every party has to agree on
 * them; days and hours on the pages are the viewer's, and a month's bars add up to the month's bill to the micro-unit.
 */

const HOUR_MS = 3_600_000;
const QUARTER_S = 900;
const HOUR_S = 3600;

/** A stretch of time that is shown, and the steps in which it is asked for. */
export interface Period {
  readonly from_ms: number;
  readonly to_ms: number;
  /** One bar for each hour or day of the viewer's. */
  readonly by: 'hour' | 'day';
  readonly step_s: number;
}

/** The viewer's zone by its name: `Europe/Berlin`. */
export function zone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** The billing month of a moment: `2026-11`. */
export function monthOf(at_ms: number): string {
  return new Date(at_ms).toISOString().slice(0, 7);
}

/** The last `count` billing months, the newest first. */
export function monthsUntil(now_ms: number, count: number): string[] {
  const now = new Date(now_ms);
  return Array.from({ length: count }, (_, back) => monthOf(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - back, 1)));
}

/** A billing month as a period of days. */
export function monthPeriod(month: string): Period {
  const [year = 1970, index = 1] = month.split('-').map(Number);
  return period(Date.UTC(year, index - 1, 1), Date.UTC(year, index, 1), 'day');
}

/** The last hours, to the end of the one that runs. */
export function hoursUntil(now_ms: number, hours: number): Period {
  const end = startOf(now_ms, 'hour') + HOUR_MS;
  return period(end - hours * HOUR_MS, end, 'hour');
}

/** The last days, to the end of today. */
export function daysUntil(now_ms: number, days: number): Period {
  const today = new Date(startOf(now_ms, 'day'));
  const from = new Date(today.getFullYear(), today.getMonth(), today.getDate() - days + 1).getTime();
  return period(from, next(today.getTime(), 'day'), 'day');
}

/** The hours of one of a period's days. */
export function dayPeriod(day_ms: number, within: Period): Period {
  const [from, to] = [startOf(day_ms, 'day'), next(day_ms, 'day')];
  return period(Math.max(from, within.from_ms), Math.min(to, within.to_ms), 'hour');
}

function period(from_ms: number, to_ms: number, by: Period['by']): Period {
  // Where the zone is half an hour or a quarter off, whole hours of ours would lie across two of the viewer's.
  const even = [from_ms, to_ms].every((at) => new Date(at).getTimezoneOffset() % 60 === 0);
  return { from_ms, to_ms, by, step_s: even ? HOUR_S : QUARTER_S };
}

/** When the viewer's hour or day of a moment begins. */
export function startOf(at_ms: number, by: Period['by']): number {
  const at = new Date(at_ms);
  if (by === 'day') return at.setHours(0, 0, 0, 0);
  // Not by the clock's digits: an hour that comes twice has the same.
  const local_ms = at_ms - at.getTimezoneOffset() * 60_000;
  return at_ms - (local_ms % HOUR_MS);
}

/** When the one after it does: a day has 23 hours or 25 when clocks change. */
export function next(at_ms: number, by: Period['by']): number {
  if (by === 'hour') return startOf(at_ms, 'hour') + HOUR_MS;
  const at = new Date(at_ms);
  return new Date(at.getFullYear(), at.getMonth(), at.getDate() + 1).getTime();
}

/** The beginnings of a period's bars; the first may lie before the period. */
export function starts({ from_ms, to_ms, by }: Period): number[] {
  const all: number[] = [];
  for (let at = startOf(from_ms, by); at < to_ms; at = next(at, by)) all.push(at);
  return all;
}

/** `Nov 29` or `14:00`. */
export function barLabel(at_ms: number, by: Period['by'], locale?: string): string {
  const options = by === 'day' ? { month: 'short', day: 'numeric' } : { hour: '2-digit', minute: '2-digit' };
  return new Intl.DateTimeFormat(locale, options as Intl.DateTimeFormatOptions).format(at_ms);
}

/** `Sunday, November 29` or `Nov 29, 14:00`, for a row of a table. */
export function rowLabel(at_ms: number, by: Period['by'], locale?: string): string {
  if (by === 'day') return new Intl.DateTimeFormat(locale, { weekday: 'short', month: 'short', day: 'numeric' }).format(at_ms);
  return moment(at_ms, locale);
}

/** `Nov 29, 2026, 14:05`. */
export function moment(at_ms: number, locale?: string): string {
  return new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' }).format(at_ms);
}

/** `November 2026`, of a billing month. */
export function monthLabel(month: string, locale?: string): string {
  const at = Date.parse(`${month}-15T00:00:00Z`);
  return new Intl.DateTimeFormat(locale, { month: 'long', year: 'numeric', timeZone: 'UTC' }).format(at);
}

/** `2 h 05 min`, `12 min`, `40 s` from µs. */
export function used(us: number): string {
  const seconds = Math.round(us / 1e6);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}
