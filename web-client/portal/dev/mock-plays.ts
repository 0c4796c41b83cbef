/**
 * The mock's one source of numbers: every play of the last weeks. What a page shows of time or money is a sum over parts
 * of these, so that pages, charts and tables agree to the micro-unit.
 */
import type { components } from '../src/api/generated';
import { decimal } from '../src/money/micros.ts';
import { machineId, SESSION } from './fixtures.ts';

type Schemas = components['schemas'];
type Work = Schemas['Work'];

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const HOUR_US = 3_600_000_000n;
const RECEIPT_US = 10_000_000;
const DAYS = 40;

/** When the mock was started: what runs has run until then. */
export const NOW_MS = Date.now();
/** An hour costs this, of which a fifth is the platform's. */
export const PRICE_MICROS = 354_321n;
/** An hour of standing by, as the auction found it. */
export const STANDBY_MICROS = 90_001n;
export const FEE_PERMILLE = 200;

/** One lease. */
export interface Play {
  readonly session: string;
  readonly lease: string;
  readonly title: string;
  readonly node: string;
  readonly work: Work;
  readonly started_ms: number;
  readonly used_us: number;
  readonly isRunning: boolean;
}

/** What was used of a play in some time. */
export interface Part {
  readonly used_us: number;
  readonly receipts: number;
  readonly total: bigint;
  readonly fee: bigint;
}

/** Money of the mock. */
export function money(micros: bigint): Schemas['MoneyJson'] {
  return { amount: decimal(micros), currency: 'EUR' };
}

/** What an hour of it costs. */
export function priceOf({ work }: Pick<Play, 'work'>): bigint {
  return work === 'reserve' ? STANDBY_MICROS : PRICE_MICROS;
}

/** By the rule of docs/money.md: rounded down at every receipt's end, so that parts add up to the whole. */
function costUntil(play: Play, used_us: number): { total: bigint; fee: bigint } {
  const total = (priceOf(play) * BigInt(used_us)) / HOUR_US;
  return { total, fee: (total * BigInt(FEE_PERMILLE)) / 1000n };
}

/** The part of a play between two of its own moments. */
export function partOf(play: Play, from_us: number, to_us: number): Part {
  const [from, to] = [costUntil(play, from_us), costUntil(play, to_us)];
  const receipts = Math.ceil(to_us / RECEIPT_US) - Math.ceil(from_us / RECEIPT_US);
  return { used_us: to_us - from_us, receipts, total: to.total - from.total, fee: to.fee - from.fee };
}

/** Its receipts, in order: what each adds. */
export function receiptsOf(play: Play): Part[] {
  const count = Math.ceil(play.used_us / RECEIPT_US);
  return Array.from({ length: count }, (_, at) => partOf(play, at * RECEIPT_US, Math.min(play.used_us, (at + 1) * RECEIPT_US)));
}

/** What was used of it between two moments; `undefined`: nothing. */
export function within(play: Play, from_ms: number, to_ms: number): Part | undefined {
  const at = (ms: number): number => Math.min(play.used_us, Math.max(0, (ms - play.started_ms) * 1000));
  return at(from_ms) < at(to_ms) ? partOf(play, at(from_ms), at(to_ms)) : undefined;
}

/** What parts come to, one of each play. */
export function sums(parts: readonly Part[]): Schemas['Sums'] {
  const total = parts.reduce((sum, part) => sum + part.total, 0n);
  const fee = parts.reduce((sum, part) => sum + part.fee, 0n);
  return {
    leases: parts.length,
    receipts: parts.reduce((sum, part) => sum + part.receipts, 0),
    used_us: parts.reduce((sum, part) => sum + part.used_us, 0),
    hosts: money(total - fee),
    platform: money(fee),
    total: money(total),
  };
}

/** Numbers that look like chance and are the same at every start. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

let made = 0;
function play(rest: Omit<Play, 'session' | 'lease' | 'work' | 'isRunning'> & Partial<Play>): Play {
  made += 1;
  const tail = made.toString(16).padStart(12, '0');
  return { session: `7e1c1e1e-0b7a-4a51-9a61-${tail}`, lease: `aa1c1e1e-0b7a-4a51-9a61-${tail}`, work: 'interactive', isRunning: false, ...rest };
}

/** More is played in the evening than in the morning, on three machines. */
function past(): Play[] {
  const roll = dice(7);
  const plays: Play[] = [];
  for (let at = NOW_MS - DAYS * 24 * HOUR_MS; at < NOW_MS - 2 * HOUR_MS; at += HOUR_MS / 2) {
    const hour = new Date(at).getUTCHours();
    const often = hour >= 15 && hour < 23 ? 0.8 : hour < 7 ? 0.05 : 0.25;
    if (roll() >= often) continue;
    const where = roll();
    plays.push(
      play({
        title: roll() < 0.85 ? 'meteor' : 'testcard',
        node: machineId(where < 0.45 ? 0 : where < 0.6 ? 1 : where < 0.85 ? 2 : 4),
        started_ms: Math.round(at + roll() * HOUR_MS * 0.4),
        used_us: Math.round((2 + roll() * roll() * 88) * 60e6),
      }),
    );
  }
  return plays;
}

/** What runs, and so many at once on each machine. */
function running(): Play[] {
  const seats: readonly [number, number][] = [[0, 1], [1, 1], [2, 20], [4, 11], [5, 1]];
  return seats.flatMap(([node, count]) =>
    Array.from({ length: count }, (_, seat) => {
      const minutes = 4 + ((seat * 13 + node * 5) % 41);
      return play({ title: 'meteor', node: machineId(node), started_ms: NOW_MS - minutes * MINUTE_MS, used_us: minutes * 60e6, isRunning: true });
    }),
  );
}

function visit(at: number, title: string, used_s: number): Play {
  const session = SESSION.slice(0, -1) + at.toString(16);
  return play({ session, title, node: machineId(0), started_ms: NOW_MS - at * 37 * MINUTE_MS, used_us: used_s * 1e6 });
}

/** The visitor's own, the newest first. */
export const OWN_PLAYS: readonly Play[] = [visit(1, 'meteor', 141.2), visit(2, 'testcard', 31), visit(5, 'meteor', 141.2), visit(9, 'scene', 4021)];

/** Standing by for a reservation that began an hour ago; in the second half of it the other machine played. */
export const STANDBY: readonly Play[] = [60, 30].map((minutes, at) =>
  play({ title: 'meteor', node: machineId(at), work: 'reserve', started_ms: NOW_MS - HOUR_MS, used_us: minutes * 60e6, isRunning: false }),
);

/** Every play, the newest first. */
export const PLAYS: readonly Play[] = [...past(), ...running(), ...OWN_PLAYS, ...STANDBY].sort((a, b) => b.started_ms - a.started_ms);

/** Which plays, and when. */
export interface Span {
  readonly from_ms: number;
  readonly to_ms: number;
  readonly title?: string | undefined;
  readonly nodes?: readonly string[] | undefined;
}

/** A play and what was used of it in some time. */
export interface Used {
  readonly play: Play;
  readonly part: Part;
}

/** What was used, play by play. */
export function usedIn({ from_ms, to_ms, title, nodes }: Span): Used[] {
  return PLAYS.filter((one) => (title === undefined || one.title === title) && (nodes === undefined || nodes.includes(one.node))).flatMap(
    (one) => {
      const part = within(one, from_ms, to_ms);
      return part === undefined ? [] : [{ play: one, part }];
    },
  );
}

/** Everything that was ever used. */
export const EVER: Pick<Span, 'from_ms' | 'to_ms'> = { from_ms: 0, to_ms: NOW_MS };

/** The same in groups, in the order in which they first come. */
export function grouped(used: readonly Used[], keyOf: (play: Play) => string): Map<string, Schemas['Sums']> {
  const groups = new Map<string, Part[]>();
  for (const { play: one, part } of used) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), part]);
  return new Map([...groups].map(([key, parts]) => [key, sums(parts)]));
}
