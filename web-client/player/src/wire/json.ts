/** Checked reading of JSON from outside: a field that is missing or of another type is a `WireError`. */

import { WireError } from './bytes';

export type Json = Readonly<Record<string, unknown>>;

/** Text of one JSON object. */
export function parseObject(text: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new WireError('not JSON');
  }
  return asObject(value, 'message');
}

export function asObject(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new WireError(`${what} must be an object`);
  }
  return value as Json;
}

export function text(json: Json, field: string): string {
  const value = json[field];
  if (typeof value !== 'string') throw new WireError(`${field} must be a string`);
  return value;
}

export function optionalText(json: Json, field: string): string | undefined {
  return json[field] === undefined || json[field] === null ? undefined : text(json, field);
}

export function number(json: Json, field: string): number {
  const value = json[field];
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new WireError(`${field} must be a number`);
  return value;
}

/** A whole number that is at least one and fits 32 bits. */
export function count(json: Json, field: string): number {
  const value = number(json, field);
  if (!Number.isInteger(value) || value < 1 || value > 0xffff_ffff) throw new WireError(`${field} must be a whole number from 1`);
  return value;
}

export function flag(json: Json, field: string): boolean {
  const value = json[field];
  if (typeof value !== 'boolean') throw new WireError(`${field} must be true or false`);
  return value;
}

export function object(json: Json, field: string): Json {
  return asObject(json[field], field);
}

export function list<T>(json: Json, field: string, read: (item: Json) => T): T[] {
  const value = json[field];
  if (!Array.isArray(value)) throw new WireError(`${field} must be a list`);
  return value.map((item: unknown) => read(asObject(item, field)));
}
