/** What a picture of `nearframe-probe` says: benches/probe/src/lib.rs. */

import type { Page } from 'playwright-core';
import { until } from './wait.js';

const COLUMNS = 16;
const ROWS = 9;
const MODE_ROW = 1;
/** A channel's mean within this distance of the middle says nothing. */
const UNCLEAR = 40;
const CELLS = Array.from({ length: COLUMNS }, (_, column) => column);

export const COLOURS = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'] as const;
export type Colour = (typeof COLOURS)[number];

/** The cells of one picture. */
export class Cells {
  readonly #cells: readonly (Colour | undefined)[];

  /** `means`: red, green and blue of each cell, row by row. */
  constructor(means: readonly number[]) {
    this.#cells = Array.from({ length: COLUMNS * ROWS }, (_, i) => colour(means.slice(3 * i, 3 * i + 3)));
  }

  /** The colour of a cell; nothing where it is unclear. */
  at(column: number, row: number): Colour | undefined {
    return this.#cells[row * COLUMNS + column];
  }

  /** Whether all cells of this rectangle have this colour. */
  all(columns: readonly [number, number], rows: readonly [number, number], wanted: Colour): boolean {
    for (let row = rows[0]; row <= rows[1]; row += 1) {
      for (let column = columns[0]; column <= columns[1]; column += 1) if (this.at(column, row) !== wanted) return false;
    }
    return true;
  }

  /** The number in a row, if its checksum fits. */
  number(row: number): number | undefined {
    const colours = CELLS.map((column) => this.at(column, row));
    if (colours.includes(undefined)) return undefined;
    const bits = colours.reduceRight((sum, name) => sum * 8n + BigInt(name === undefined ? 0 : COLOURS.indexOf(name)), 0n);
    const number = Number(bits & 0xffff_ffffn);
    return Number(bits >> 32n) === checksum(row, number) ? number : undefined;
  }

  /** A number that is to be read as signed. */
  signed(row: number): number | undefined {
    const number = this.number(row);
    return number === undefined ? undefined : number | 0;
  }

  /** Mode and phase, if this is a whole picture of the probe. */
  get mode(): { mode: number; phase: number } | undefined {
    const number = this.number(MODE_ROW);
    return number === undefined ? undefined : { mode: number >>> 16, phase: number & 0xffff };
  }

  toString(): string {
    const rows = Array.from({ length: ROWS }, (_, row) => CELLS.map((column) => letter(this.at(column, row))).join(''));
    return rows.join(' ');
  }
}

function letter(name: Colour | undefined): string {
  return name === 'black' ? '.' : (name?.[0] ?? '?');
}

function colour(mean: readonly number[]): Colour | undefined {
  if (mean.length < 3 || mean.some((level) => Math.abs(level - 128) < UNCLEAR)) return undefined;
  return COLOURS[mean.reduce((bits, level, i) => bits | (level > 128 ? 1 << i : 0), 0)];
}

/** CRC-16/CCITT-FALSE of the row and the number's bytes, least significant first. */
function checksum(row: number, number: number): number {
  let crc = 0xffff;
  for (const byte of [row, ...[0, 8, 16, 24].map((shift) => (number >>> shift) & 0xff)]) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  }
  return crc;
}

/** The cells of the picture that the page shows now: each the mean of its middle half, without scaling. */
export async function cells(page: Page): Promise<Cells> {
  const means = await page.evaluate(
    ([columns, rows]) => {
      const { video } = window.nearframeProbe;
      if (video === undefined || video.videoWidth === 0) return [];
      const { videoWidth: width, videoHeight: height } = video;
      const canvas = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
      if (canvas === null) return [];
      canvas.drawImage(video, 0, 0);
      const { data } = canvas.getImageData(0, 0, width, height);
      const edge = (i: number, parts: number, length: number): number => Math.floor((i * length) / parts);
      const middle = (i: number, parts: number, length: number): [number, number] => {
        const [start, end] = [edge(i, parts, length), edge(i + 1, parts, length)];
        return [start + Math.floor((end - start) / 4), start + Math.ceil(((end - start) * 3) / 4)];
      };
      return Array.from({ length: columns * rows }, (_, i) => {
        const [left, right] = middle(i % columns, columns, width);
        const [top, bottom] = middle(Math.floor(i / columns), rows, height);
        const sums = [0, 0, 0];
        for (let y = top; y < bottom; y += 1) {
          for (let x = left; x < right; x += 1) {
            for (let c = 0; c < 3; c += 1) sums[c] = (sums[c] ?? 0) + (data[(y * width + x) * 4 + c] ?? 0);
          }
        }
        return sums.map((sum) => sum / ((right - left) * (bottom - top)));
      }).flat();
    },
    [COLUMNS, ROWS] as const,
  );
  return new Cells(means);
}

/** Looks at the picture until `find` finds what it wants; fails telling what was shown last. */
export async function shows<T>(page: Page, what: string, limit_ms: number, find: (cells: Cells) => T | undefined | false): Promise<T> {
  let last: Cells | undefined;
  try {
    return await until(`the picture shows ${what}`, limit_ms, async () => {
      last = await cells(page);
      const found = find(last);
      return found === false ? undefined : found;
    });
  } catch (error) {
    const rows = [1, 2, 3, 4, 5].map((row) => last?.number(row) ?? '–').join(', ');
    throw new Error(`${error instanceof Error ? error.message : String(error)}; it showed ${String(last)}, rows 1 to 5: ${rows}`, { cause: error });
  }
}

/** Waits for a whole picture in this phase. */
export async function phase(page: Page, wanted: number, limit_ms: number): Promise<void> {
  await shows(page, `phase ${wanted}`, limit_ms, (seen) => seen.mode?.phase === wanted);
}

/** The number in a row, as soon as it can be read. */
export function numberIn(page: Page, row: number, limit_ms: number): Promise<number> {
  return shows(page, `a number in row ${row}`, limit_ms, (seen) => seen.number(row));
}
