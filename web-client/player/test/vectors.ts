/** Reads the golden vectors that Rust writes and this package must agree with, byte for byte. */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

export type Vector = Readonly<Record<string, unknown>> & { readonly name: string };

/** Vitest runs with the package as its working directory. */
export function vectors(file: string): Vector[] {
  return JSON.parse(readFileSync(resolve('../../protocol/vectors', file), 'utf8')) as Vector[];
}

export function bytesOf(vector: Vector, field = 'hex'): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(String(vector[field]), 'hex'));
}

/** As JSON writes it: exact, because no vector exceeds 2⁵³ − 1. */
export function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_key, field: unknown) => (typeof field === 'bigint' ? Number(field) : field)));
}

/** The value with these fields as BigInt. */
export function withBigInts(value: unknown, fields: readonly string[]): unknown {
  const entries = Object.entries(value as Record<string, number>);
  return Object.fromEntries(entries.map(([name, field]) => [name, fields.includes(name) ? BigInt(field) : field]));
}
