/** Fingers on a phone's screen, as the browser's own input gives them. */

import type { CDPSession, Locator, Page } from 'playwright-core';
import { sleep } from './wait.js';

export interface Place {
  readonly x: number;
  readonly y: number;
}

export class Fingers {
  private constructor(private readonly cdp: CDPSession) {}

  static async of(page: Page): Promise<Fingers> {
    return new Fingers(await page.context().newCDPSession(page));
  }

  /** Fingers numbered by their place in the list; those that were down elsewhere have moved. */
  async down(places: readonly Place[]): Promise<void> {
    await this.#send('touchStart', places);
  }

  async move(places: readonly Place[]): Promise<void> {
    await this.#send('touchMove', places);
  }

  async up(): Promise<void> {
    await this.#send('touchEnd', []);
  }

  async cancel(): Promise<void> {
    await this.#send('touchCancel', []);
  }

  /** One finger, held for a while. */
  async press(place: Place, ms: number): Promise<void> {
    await this.down([place]);
    await sleep(ms);
    await this.up();
  }

  async #send(type: 'touchStart' | 'touchMove' | 'touchEnd' | 'touchCancel', places: readonly Place[]): Promise<void> {
    await this.cdp.send('Input.dispatchTouchEvent', { type, touchPoints: places.map((place, id) => ({ ...place, id })) });
  }
}

/** The middle of an element. */
export async function middle(element: Locator): Promise<Place> {
  const box = await element.boundingBox();
  if (box === null) throw new Error('what is to be touched is not shown');
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}
