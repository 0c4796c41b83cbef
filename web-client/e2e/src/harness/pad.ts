/** A stand-in for a gamepad: what `navigator.getGamepads()` gives is set by the test; its rumble is kept. */

import type { Page } from 'playwright-core';
import { until } from './wait.js';

const SET_LIMIT_MS = 3_000;

export interface PadControls {
  /** Buttons that are down, in the W3C standard mapping. */
  readonly buttons?: readonly number[];
  /** Left stick x, y, right stick x, y, each −1 to 1. */
  readonly axes?: readonly number[];
}

export interface Rumble {
  readonly duration: number;
  readonly strongMagnitude: number;
  readonly weakMagnitude: number;
}

interface StandIn {
  readonly held: Set<number>;
  axes: readonly number[];
  known: boolean;
  readonly rumbles: Rumble[];
}

/** Has to happen before the page is opened. */
export async function plugStandInPad(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const pad: StandIn = { held: new Set(), axes: [0, 0, 0, 0], known: false, rumbles: [] };
    const button = (i: number): GamepadButton => ({ pressed: pad.held.has(i), touched: pad.held.has(i), value: pad.held.has(i) ? 1 : 0 });
    Object.assign(window, { standInPad: pad });
    navigator.getGamepads = () => [
      {
        id: 'stand-in',
        index: 0,
        connected: true,
        mapping: 'standard',
        axes: pad.axes,
        buttons: Array.from({ length: 17 }, (_, i) => button(i)),
        timestamp: performance.now(),
        vibrationActuator: {
          playEffect: (_: string, rumble: Rumble) => {
            pad.rumbles.push(rumble);
            return Promise.resolve('complete');
          },
        },
      } as unknown as Gamepad,
    ];
  });
}

/** A press may lead to another page, on which there is nothing to let go. */
export function setPad(page: Page, controls: PadControls): Promise<boolean> {
  return until('the pad can be set', SET_LIMIT_MS, () =>
    page
      .evaluate(({ buttons = [], axes = [0, 0, 0, 0] }) => {
        const { standInPad: pad } = window as unknown as { standInPad: StandIn };
        // Browsers show a pad to a page when it is first used there.
        if (!pad.known) window.dispatchEvent(new Event('gamepadconnected'));
        pad.known = true;
        pad.held.clear();
        for (const index of buttons) pad.held.add(index);
        pad.axes = axes;
        return true;
      }, controls)
      .catch(() => undefined),
  );
}

/** What the title asked the pad to do so far. */
export function rumbles(page: Page): Promise<readonly Rumble[]> {
  return page.evaluate(() => (window as unknown as { standInPad: StandIn }).standInPad.rumbles);
}
