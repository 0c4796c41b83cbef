/** Numbers as people read them. Pure; every function takes what the API gives. */

/** `1:04:09`, `4:09` or `0:07` from seconds. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const h = Math.floor(whole / 3600);
  const m = Math.floor(whole / 60) % 60;
  const s = String(whole % 60).padStart(2, '0');
  return h > 0 ? `${h}:${String(m).padStart(2, '0')}:${s}` : `${m}:${s}`;
}

/** The same length for a screen reader: `4 minutes 9 seconds`. */
export function spokenDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [
    [Math.floor(whole / 3600), 'hour'],
    [Math.floor(whole / 60) % 60, 'minute'],
    [whole % 60, 'second'],
  ] as const;
  const said = parts.filter(([n]) => n > 0).map(([n, unit]) => `${n} ${unit}${n === 1 ? '' : 's'}`);
  return said.join(' ') || '0 seconds';
}

/** Money as the API writes it. */
export interface Amount {
  readonly amount: string;
  readonly currency: string;
}

/** Decimals shown for an amount below one cent, so that it never reads as nothing. */
const FINE_DECIMALS = 4;

/**
 * `€1.25`, `€0.0042`, `1.5 CREDIT`. The string is never turned into a float with more than display
 * precision; sums belong to the server.
 */
export function money({ amount, currency }: Amount, locale?: string): string {
  const value = Number(amount);
  if (!Number.isFinite(value)) return `${amount} ${currency}`;
  const fine = value !== 0 && Math.abs(value) < 0.01;
  const digits = fine ? FINE_DECIMALS : 2;
  const options = { minimumFractionDigits: fine ? digits : 2, maximumFractionDigits: digits };
  if (!/^[A-Z]{3}$/.test(currency)) {
    return `${new Intl.NumberFormat(locale, options).format(value)} ${currency}`;
  }
  return new Intl.NumberFormat(locale, { style: 'currency', currency, ...options }).format(value);
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** `0 B`, `1.4 MB`: powers of 1000. */
export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit] ?? 'B'}`;
}

/** `12,345`. */
export function count(n: number, locale?: string): string {
  return new Intl.NumberFormat(locale).format(n);
}

/** A number of things, in English: `1 session`, `2 sessions`. */
export function many(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? '' : 's'}`;
}

/** `just now`, `5 minutes ago`, `yesterday`, or a date when longer than a week ago. */
export function ago(thenMs: number, nowMs: number, locale?: string): string {
  const seconds = Math.round((thenMs - nowMs) / 1000);
  if (Math.abs(seconds) < 45) return 'just now';
  const words = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  const minutes = Math.round(seconds / 60);
  if (Math.abs(minutes) < 60) return words.format(minutes, 'minute');
  const hours = Math.round(minutes / 60);
  if (Math.abs(hours) < 24) return words.format(hours, 'hour');
  const days = Math.round(hours / 24);
  if (Math.abs(days) <= 7) return words.format(days, 'day');
  return new Intl.DateTimeFormat(locale, { dateStyle: 'medium' }).format(thenMs);
}

/** The first and last few letters of a long hex string: `9f2c41…77ab`. */
export function shortHash(hex: string): string {
  return hex.length <= 14 ? hex : `${hex.slice(0, 6)}…${hex.slice(-4)}`;
}

/** `a`, `a and b`, `a, b, and c`. */
export function list(items: readonly string[], locale = 'en'): string {
  return new Intl.ListFormat(locale, { type: 'conjunction' }).format(items);
}

const KEY_NAMES: Readonly<Record<string, string>> = {
  ArrowUp: '↑',
  ArrowDown: '↓',
  ArrowLeft: '←',
  ArrowRight: '→',
  Space: 'Space',
  ShiftLeft: 'Shift',
  ShiftRight: 'Right Shift',
  ControlLeft: 'Ctrl',
  ControlRight: 'Right Ctrl',
  AltLeft: 'Alt',
  AltRight: 'Right Alt',
  Escape: 'Esc',
  Backspace: 'Backspace',
  Mouse: 'Mouse',
  MouseLeft: 'Left click',
  MouseRight: 'Right click',
  MouseMiddle: 'Middle click',
};

/** What is printed on the key with this `KeyboardEvent.code` on most keyboards. */
export function keyName(code: string): string {
  const known = KEY_NAMES[code];
  if (known) return known;
  const plain = /^(?:Key|Digit)(.)$/.exec(code);
  return plain?.[1] ?? code.replace(/^Numpad/, 'Num ').replace(/([a-z])([A-Z])/g, '$1 $2');
}

/** Keys that everybody knows as a group, and what the group is called. */
const GROUPS: readonly (readonly [string, readonly string[]])[] = [
  ['Arrow keys', ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown']],
  ['W A S D', ['KeyW', 'KeyA', 'KeyS', 'KeyD']],
];

/** Names of several keys, whole groups as one. */
export function keyNames(codes: readonly string[]): string[] {
  const whole = GROUPS.filter(([, group]) => group.every((code) => codes.includes(code)));
  const inGroup = new Set(whole.flatMap(([, group]) => group));
  return [...whole.map(([name]) => name), ...codes.filter((code) => !inGroup.has(code)).map(keyName)];
}

/** `LeftStick` → `Left stick`; single letters and short names stay. */
export function padName(control: string): string {
  if (control === 'DPad') return 'D-pad';
  const words = control.replace(/([a-z])([A-Z])/g, '$1 $2');
  return words.charAt(0) + words.slice(1).replace(/ [A-Z](?=[a-z])/g, (letter) => letter.toLowerCase());
}
