/**
 * Money in the pages: whole micro-units of a currency as BigInt. Sums and differences are exact; a float exists only
 * where a pixel is computed (`height`).
 */

/** Money as the API writes it. */
export interface Amount {
  readonly amount: string;
  readonly currency: string;
}

/** Micro-units of one unit. */
const UNIT = 1_000_000n;
/** Micro-units of the second place. */
const CENT = 10_000n;
const DECIMALS = 6;
const DECIMAL = /^(-?)(\d+)(?:\.(\d{0,6}))?$/;

/** The micro-units of a decimal string; throws for what is none, which the API never sends. */
export function micros(amount: string): bigint {
  const [, sign = '', whole = '', fraction = ''] = DECIMAL.exec(amount) ?? [];
  if (whole === '') throw new Error(`no amount of money: ${amount}`);
  const sum = BigInt(whole) * UNIT + BigInt(fraction.padEnd(DECIMALS, '0'));
  return sign === '-' ? -sum : sum;
}

/** The decimal string of micro-units, all six places. */
export function decimal(value: bigint): `${number}` {
  const [sign, rest] = value < 0n ? ['-', -value] : ['', value];
  return `${sign}${rest / UNIT}.${(rest % UNIT).toString().padStart(DECIMALS, '0')}` as `${number}`;
}

/** Exactly what it is: two places where they suffice, else all six, so that columns align: `€1.25`, `€0.100041`. */
export function exact(value: bigint, currency: string, locale?: string): string {
  const places = value % CENT === 0n ? 2 : DECIMALS;
  const options = { minimumFractionDigits: places, maximumFractionDigits: places };
  // Formatted from its decimal string, which no float stands between.
  if (!/^[A-Z]{3}$/.test(currency)) return `${new Intl.NumberFormat(locale, options).format(decimal(value))} ${currency}`;
  return new Intl.NumberFormat(locale, { style: 'currency', currency, ...options }).format(decimal(value));
}

/** The same for what the API sent. */
export function shown({ amount, currency }: Amount, locale?: string): string {
  return exact(micros(amount), currency, locale);
}

/** How high a bar is: the only use of a float. */
export function height(value: bigint): number {
  return Number(decimal(value));
}

/** Sums by currency, in the order in which currencies first came. */
export function total(amounts: Iterable<Amount>): Map<string, bigint> {
  const sums = new Map<string, bigint>();
  for (const { amount, currency } of amounts) sums.set(currency, (sums.get(currency) ?? 0n) + micros(amount));
  return sums;
}

/** Sums as text, one after the other; `none` where there is nothing to add. */
export function totalText(amounts: Iterable<Amount>, none: string): string {
  const sums = [...total(amounts)].map(([currency, value]) => exact(value, currency));
  return sums.length === 0 ? none : sums.join(' + ');
}

/** The thousandths of a fee as per cent: `20%`, `12.5%`. */
export function percent(permille: number): string {
  return `${permille / 10}%`;
}
