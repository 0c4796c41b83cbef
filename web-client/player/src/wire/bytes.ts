/** Little-endian reading and writing, hex and base64. Reading is bounds-checked and never throws anything but `WireError`. */

/** Bytes or text that are too short, too long or not of the expected kind. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

export class Reader {
  readonly #view: DataView<ArrayBuffer>;
  #at = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#view.byteLength) throw new WireError('the message ends too early');
    this.#at = at + length;
    return at;
  }
  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }
  i16(): number {
    return this.#view.getInt16(this.#take(2), true);
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }
  i32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }
  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }
  bytes(length: number): Uint8Array<ArrayBuffer> {
    const at = this.#take(length);
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, length).slice();
  }
  /** Asserts that nothing is left. */
  end(): void {
    if (this.#at !== this.#view.byteLength) throw new WireError('the message has bytes after its end');
  }
}

/** Appends to a buffer of fixed capacity, which its owner chose to hold the longest message. */
export class Writer {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;
  #at = 0;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  #take(length: number): number {
    const at = this.#at;
    this.#at += length;
    return at;
  }
  u8(value: number): this {
    this.#view.setUint8(this.#take(1), value);
    return this;
  }
  u16(value: number): this {
    this.#view.setUint16(this.#take(2), value, true);
    return this;
  }
  i16(value: number): this {
    this.#view.setInt16(this.#take(2), value, true);
    return this;
  }
  u32(value: number): this {
    this.#view.setUint32(this.#take(4), value, true);
    return this;
  }
  i32(value: number): this {
    this.#view.setInt32(this.#take(4), value, true);
    return this;
  }
  u64(value: bigint): this {
    this.#view.setBigUint64(this.#take(8), value, true);
    return this;
  }
  bytes(value: Uint8Array): this {
    this.#bytes.set(value, this.#take(value.length));
    return this;
  }
  /** A copy of what was written. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#at);
  }
}

export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export function ascii(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Exactly `length` bytes as hex, or an error. */
export function fromHex(text: string, length: number): Uint8Array<ArrayBuffer> {
  if (text.length !== length * 2 || !/^[0-9a-f]*$/i.test(text)) {
    throw new WireError(`expected ${length} bytes as hex`);
  }
  return Uint8Array.from({ length }, (_, i) => parseInt(text.slice(i * 2, i * 2 + 2), 16));
}

/** A hyphenated UUID as its 16 bytes. */
export function uuidBytes(uuid: string): Uint8Array<ArrayBuffer> {
  return fromHex(uuid.replaceAll('-', ''), 16);
}

export function uuidText(bytes: Uint8Array): string {
  return toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** Standard, padded base64 (RFC 4648 section 4). */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  try {
    return ascii(atob(text));
  } catch {
    throw new WireError('not base64');
  }
}
