/** A page that plays: what it shows, read from outside. */

import type { Page } from 'playwright-core';
import type { PlayerView, Stamp } from './globals.js';
import { sleep, until } from './wait.js';

/** Twice what a cold start takes on a loaded machine of two cores. */
const PICTURE_LIMIT_MS = 20_000;

const KEPT_LIMIT_MS = 5_000;
/** A node tells every second. */
const TOLD_LIMIT_MS = 8_000;

export async function open(page: Page, base: string, title: string): Promise<void> {
  await page.goto(new URL(`play/${title}?start=1`, base).href, { waitUntil: 'commit' });
  await playing(page);
}

/** Waits until the picture runs. */
export async function playing(page: Page): Promise<void> {
  await page.waitForFunction(() => document.querySelector('near-frame')?.view.kind === 'playing', undefined, {
    timeout: PICTURE_LIMIT_MS,
  });
  await page.waitForFunction(() => window.nearframeProbe.shown > 5, undefined, { timeout: PICTURE_LIMIT_MS });
}

export function view(page: Page): Promise<PlayerView> {
  return page.evaluate(() => document.querySelector('near-frame')?.view ?? { kind: 'idle' });
}

/** Waits until the element says `kind`; gives the view. */
export async function waitForView(page: Page, kind: PlayerView['kind'], limit_ms: number): Promise<PlayerView> {
  await page.waitForFunction((wanted) => document.querySelector('near-frame')?.view.kind === wanted, kind, {
    timeout: limit_ms,
  });
  return view(page);
}

/** Waits until the browser could go on with the session after its page is gone (player/src/session/kept.ts). */
export function kept(page: Page): Promise<true> {
  return until('the browser keeps the session', KEPT_LIMIT_MS, () =>
    page.evaluate(async () => {
      // Opening a database that is not there would make an empty one.
      if (!(await indexedDB.databases()).some(({ name }) => name === 'nearframe')) return undefined;
      const settled = <T>(request: IDBRequest<T>): Promise<T> =>
        new Promise((resolve, reject) => {
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(new Error('the browser does not open its storage', { cause: request.error }));
        });
      const database = await settled(indexedDB.open('nearframe'));
      try {
        return (await settled(database.transaction('kept').objectStore('kept').count())) > 0 ? true : undefined;
      } finally {
        database.close();
      }
    }),
  );
}

/** Waits until the node tells of itself: what the page told it before is in effect. */
export async function listens(page: Page): Promise<void> {
  const told = (): Promise<boolean> => page.evaluate(() => document.querySelector('near-frame')?.stats.session !== undefined);
  await until('the node tells of itself', TOLD_LIMIT_MS, async () => ((await told()) ? true : undefined));
}

/** The session that the page plays. */
export async function sessionOf(page: Page): Promise<string> {
  const { session } = await view(page);
  if (session === undefined) throw new Error('the page plays no session');
  return session;
}

/** Stamps of the frames shown during `ms`, and how many frames had none that could be read. */
export async function watch(page: Page, ms: number): Promise<{ stamps: readonly Stamp[]; shown: number; unreadable: number }> {
  await page.evaluate(() => {
    window.nearframeProbe.reset();
  });
  await sleep(ms);
  return page.evaluate(() => {
    const { frames, shown, unreadable } = window.nearframeProbe;
    return { stamps: frames, shown, unreadable };
  });
}

/** Waits until the newest stamp's input serial is above `serial`; gives the new one. */
export async function serialAbove(page: Page, serial: number, limit_ms: number): Promise<number> {
  const seen = await page.waitForFunction(
    (old) => {
      const newest = window.nearframeProbe.frames.at(-1)?.[3];
      return newest !== undefined && newest > old ? newest : undefined;
    },
    serial,
    { timeout: limit_ms },
  );
  return (await seen.jsonValue()) ?? 0;
}

/** The picture, scaled to 64×36: RGB rows. */
export async function picture(page: Page): Promise<number[]> {
  const pixels = await page.evaluate(() => window.nearframeProbe.picture(64, 36));
  if (pixels === undefined) throw new Error('there is no picture');
  return pixels;
}

export interface Area {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** An area of the picture, in the picture's own px: RGB rows of every fourth pixel of every fourth row. */
export function area(page: Page, wanted: Area): Promise<number[]> {
  return page.evaluate(({ x, y, width, height }) => {
    const { video } = window.nearframeProbe;
    const [columns, rows] = [width >> 2, height >> 2];
    const canvas = new OffscreenCanvas(columns, rows).getContext('2d', { willReadFrequently: true });
    if (video === undefined || canvas === null) throw new Error('there is no picture');
    canvas.imageSmoothingEnabled = false;
    canvas.drawImage(video, x, y, width, height, 0, 0, columns, rows);
    const { data } = canvas.getImageData(0, 0, columns, rows);
    return Array.from({ length: columns * rows * 3 }, (_, i) => data[Math.floor(i / 3) * 4 + (i % 3)] ?? 0);
  }, wanted);
}

/** How much of an area's pixels are of a kind, 0..1. */
export function share(pixels: readonly number[], is: (red: number, green: number, blue: number) => boolean): number {
  let count = 0;
  for (let i = 0; i < pixels.length; i += 3) if (is(pixels[i] ?? 0, pixels[i + 1] ?? 0, pixels[i + 2] ?? 0)) count += 1;
  return (count * 3) / pixels.length;
}

/** Mean difference per channel of two pictures, 0..255. */
export function difference(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? 0)), 0) / a.length;
}

export async function leave(page: Page): Promise<void> {
  await page.evaluate(() => document.querySelector('near-frame')?.leave());
  await waitForView(page, 'ended', 5_000);
}
