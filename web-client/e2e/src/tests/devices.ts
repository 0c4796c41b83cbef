/** Every device of the player reaches a program, and nothing stays down. */

import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { DESKTOP, PHONE } from '../harness/browser.js';
import { numberIn, phase, shows } from '../harness/cells.js';
import { plugStandInPad, rumbles, setPad } from '../harness/pad.js';
import { listens, open, playing, serialAbove, sessionOf, watch } from '../harness/play.js';
import { probeScenario } from '../harness/scenario.js';
import { Fingers, type Place } from '../harness/touch.js';
import { sleep, until } from '../harness/wait.js';

/** Longer than a frame of the program. */
const PRESS_MS = 80;
/** An input that shows later than this was lost, not slow. */
const INPUT_LIMIT_MS = 6_000;

// --- Keys, by position: the lamps of benches/probe/src/card.rs at 640 × 360 ---

const LAMP_PX = 6;
/** USB HID usages. */
const [KEY_W, KEY_Z, SPACE, LEFT_BUTTON] = [26, 29, 44, 256] as const;

function lamp(page: Page, number: number): Promise<boolean> {
  const step = LAMP_PX + 1;
  const x = step + (number % 32) * step + LAMP_PX / 2;
  const y = 360 - 10 * step + Math.floor(number / 32) * step + LAMP_PX / 2;
  return page.evaluate((at) => (window.nearframeProbe.colour(at.x, at.y, 4)[1] ?? 0) > 150, { x, y });
}

function lamps(page: Page, what: string, numbers: readonly number[], lit: boolean): Promise<true> {
  return until(`${what}: lamps ${numbers.join(', ')} are ${lit ? 'lit' : 'dark'}`, INPUT_LIMIT_MS, async () => {
    const seen = await Promise.all(numbers.map((number) => lamp(page, number)));
    return seen.every((one) => one === lit) ? true : undefined;
  });
}

/** Two keys and a button, held. */
const HELD = [KEY_W, SPACE, LEFT_BUTTON] as const;

async function holdSome(page: Page): Promise<void> {
  await page.mouse.move(700, 450);
  await page.keyboard.down('KeyW');
  await page.keyboard.down('Space');
  await page.mouse.down();
  await lamps(page, 'held', HELD, true);
}

// X11 tells whole notches only.
for (const [title, fraction] of [['probe-stamp', 30], ['probe-x11', 120]] as const) {
  probeScenario(`keys by position, buttons, motion and wheel reach ${title}`, async ({ page, base }) => {
    await open(page, base, title);
    await page.mouse.move(700, 450);
    for (const [code, number] of [['KeyZ', KEY_Z], ['Space', SPACE]] as const) {
      await lamps(page, 'before', [number], false);
      await page.keyboard.down(code);
      await lamps(page, code, [number], true);
      await page.keyboard.up(code);
      await lamps(page, `${code} let go`, [number], false);
    }
    await page.mouse.down();
    await lamps(page, 'the left button', [LEFT_BUTTON], true);
    await page.mouse.up();
    await lamps(page, 'the left button let go', [LEFT_BUTTON], false);
    await sleep(300);
    let serial = (await watch(page, 300)).stamps.at(-1)?.[3] ?? 0;
    for (const act of [() => page.mouse.move(300, 300), () => page.mouse.wheel(0, 120), () => page.mouse.wheel(0, -fraction)]) {
      await act();
      serial = await serialAbove(page, serial, INPUT_LIMIT_MS);
    }
  });
}

probeScenario('what is held when the page loses the focus is let go', async ({ page, base }) => {
  await open(page, base, 'probe-stamp');
  await holdSome(page);
  await page.evaluate(() => {
    document.hasFocus = () => false;
    window.dispatchEvent(new Event('blur'));
  });
  await lamps(page, 'after the blur', HELD, false);
});

probeScenario('what is let go while the connection is broken does not stay down', async ({ page, base }) => {
  await open(page, base, 'probe-stamp');
  await holdSome(page);
  await page.evaluate(() => window.nearframeProbe.connections.at(-1)?.close());
  await page.keyboard.up('KeyW');
  await page.keyboard.up('Space');
  await page.mouse.up();
  await page.waitForFunction(() => window.nearframeProbe.connections.length > 1, undefined, { timeout: INPUT_LIMIT_MS });
  await playing(page);
  await lamps(page, 'on the new connection', HELD, false);
});

probeScenario('what is held when the page is reloaded is let go', async ({ page, base }) => {
  await open(page, base, 'probe-stamp');
  await holdSome(page);
  const session = await sessionOf(page);
  await page.goto(new URL(`play/probe-stamp?session=${session}`, base).href, { waitUntil: 'commit' });
  await playing(page);
  assert.equal(await sessionOf(page), session, 'another session goes on');
  await lamps(page, 'in the new page', HELD, false);
});

// --- The mouse, captured ---

probeScenario('a program that locks the pointer gets relative motion, and only while it is locked', async ({ page, base }) => {
  await open(page, base, 'probe-lock');
  await phase(page, 1, INPUT_LIMIT_MS);
  await page.mouse.move(700, 450);
  await page.mouse.down();
  await page.mouse.up();
  const locked = (): Promise<boolean> => page.evaluate(() => document.pointerLockElement !== null);
  await until('the browser has captured the mouse', INPUT_LIMIT_MS, async () => ((await locked()) ? true : undefined));
  const start = await sums(page);
  await page.mouse.move(800, 450, { steps: 10 });
  await page.mouse.move(800, 510, { steps: 10 });
  // 100 px and 60 px of the page, in 1/256 px of the picture, of which the page shows a larger one.
  const larger = await page.evaluate(() => {
    const { video } = window.nearframeProbe;
    return video === undefined ? 0 : video.getBoundingClientRect().width / video.videoWidth;
  });
  const wanted = { x: (100 * 256) / larger, y: (60 * 256) / larger };
  const near = (value: number, target: number): boolean => Math.abs(value - target) < 0.1 * target;
  await shows(page, `a motion of ${wanted.x.toFixed(0)}, ${wanted.y.toFixed(0)}`, INPUT_LIMIT_MS, (seen) => {
    const [x, y] = [seen.signed(2), seen.signed(3)];
    return x !== undefined && y !== undefined && near(x - start.x, wanted.x) && near(y - start.y, wanted.y);
  });
  await page.evaluate(() => {
    document.exitPointerLock();
  });
  await until('the mouse is free', INPUT_LIMIT_MS, async () => ((await locked()) ? undefined : true));
});

/** The sums once they rest: what was moved before may still be on its way. */
async function sums(page: Page): Promise<{ x: number; y: number }> {
  let last = '';
  return until('the motion rests', INPUT_LIMIT_MS, async () => {
    const now = { x: (await numberIn(page, 2, INPUT_LIMIT_MS)) | 0, y: (await numberIn(page, 3, INPUT_LIMIT_MS)) | 0 };
    const rests = JSON.stringify(now) === last;
    last = JSON.stringify(now);
    await sleep(400);
    return rests ? now : undefined;
  });
}

// --- Text ---

/** FNV-1a, 32 bit. */
function fnv(text: string): number {
  return [...Buffer.from(text, 'utf8')].reduce((hash, byte) => Math.imul(hash ^ byte, 0x0100_0193), 0x811c_9dc5) >>> 0;
}

function arrives(page: Page, text: string): Promise<true> {
  const [bytes, hash] = [Buffer.byteLength(text), fnv(text)];
  return shows(page, `${bytes} bytes, ${JSON.stringify(text)}`, INPUT_LIMIT_MS, (seen) =>
    seen.number(2) === bytes && seen.number(3) === hash ? true : undefined,
  );
}

probeScenario('text from an input method reaches a program that listens, whole and in order', async ({ page, base }) => {
  await open(page, base, 'probe-text');
  await phase(page, 1, INPUT_LIMIT_MS);
  await page.locator('near-frame textarea:focus').waitFor({ state: 'attached', timeout: INPUT_LIMIT_MS });
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('Input.imeSetComposition', { text: 'に', selectionStart: 1, selectionEnd: 1 });
  await cdp.send('Input.imeSetComposition', { text: 'にほん', selectionStart: 3, selectionEnd: 3 });
  await cdp.send('Input.insertText', { text: '日本' });
  await arrives(page, '日本');
  await page.keyboard.insertText('Grüße 🎮');
  await arrives(page, '日本Grüße 🎮');
});

probeScenario('text typed on a phone\'s keyboard reaches the program', async ({ page, base }) => {
  await open(page, base, 'probe-text');
  await phase(page, 1, INPUT_LIMIT_MS);
  await page.keyboard.press('F8');
  await page.getByRole('button', { name: 'Type text' }).click();
  await page.locator('near-frame textarea:focus').waitFor({ state: 'attached', timeout: INPUT_LIMIT_MS });
  await page.keyboard.insertText('naïve');
  await arrives(page, 'naïve');
});

/** What a German keyboard writes, as far as it tells a layout. */
const GERMAN = { KeyQ: 'q', KeyW: 'w', KeyY: 'z', KeyZ: 'y', KeyA: 'a', Semicolon: 'ö', Quote: 'ä', BracketLeft: 'ü', Minus: 'ß' } as const;

probeScenario('a German keyboard writes umlauts, capitals and dead keys', async ({ page, base }) => {
  await page.addInitScript((writes) => {
    Object.defineProperty(navigator, 'keyboard', { value: { getLayoutMap: () => Promise.resolve(new Map(Object.entries(writes))) } });
  }, GERMAN);
  await open(page, base, 'probe-type');
  await phase(page, 0, INPUT_LIMIT_MS);
  await listens(page);
  let text = '';
  const types = async (code: string, written: string): Promise<void> => {
    await page.keyboard.press(code, { delay: PRESS_MS });
    text += written;
    await arrives(page, text);
  };
  for (const [code, written] of [['KeyZ', 'y'], ['Quote', 'ä'], ['Semicolon', 'ö'], ['BracketLeft', 'ü'], ['Minus', 'ß']] as const) await types(code, written);
  await page.keyboard.down('ShiftLeft');
  await types('BracketLeft', 'Ü');
  await page.keyboard.up('ShiftLeft');
  // The dead acute, and the right Alt as third level: é and @.
  await types('Equal', '');
  await types('KeyE', 'é');
  await page.keyboard.down('AltRight');
  await types('KeyQ', '@');
  await page.keyboard.up('AltRight');
});

// --- Gamepad ---

/** W3C standard mapping. */
const [A, X, UP] = [0, 2, 12] as const;

probeScenario('a gamepad reaches the program, and its rumble comes back', async ({ page, base }) => {
  await plugStandInPad(page);
  await open(page, base, 'probe-pad');
  await setPad(page, {});
  await phase(page, 1, INPUT_LIMIT_MS);
  await shows(page, 'no button', INPUT_LIMIT_MS, (seen) => seen.number(2) === 0);

  await setPad(page, { buttons: [A] });
  // BTN_SOUTH is bit 0.
  await shows(page, 'A', INPUT_LIMIT_MS, (seen) => seen.number(2) === 1);
  const shake = await until('the pad is told to shake', INPUT_LIMIT_MS, async () =>
    (await rumbles(page)).find(({ strongMagnitude }) => strongMagnitude > 0),
  );
  assert(Math.abs(shake.strongMagnitude - 0.75) < 0.02 && Math.abs(shake.weakMagnitude - 0.25) < 0.02, JSON.stringify(shake));
  await setPad(page, { buttons: [X, UP], axes: [1, -1, 0.5, 0] });
  // BTN_X (0x133 in Linux, "north") is bit 3 of an Xbox 360 pad's X.
  await shows(page, 'X, up and both sticks', INPUT_LIMIT_MS, (seen) => {
    const [buttons, left, right, rest] = [2, 3, 4, 5].map((row) => seen.number(row));
    if (left === undefined || right === undefined || rest === undefined) return false;
    const [x, y] = [(left << 16) >> 16, left >> 16];
    const half = (right << 16) >> 16;
    return buttons === 1 << 3 && x > 32_000 && y < -32_000 && Math.abs(half - 16_384) < 400 && ((rest >>> 18) & 3) === 0;
  });
  await until('the pad is told to rest', INPUT_LIMIT_MS, async () => {
    const last = (await rumbles(page)).at(-1);
    return last !== undefined && (last.strongMagnitude === 0 || last.duration === 0) ? true : undefined;
  });
  await setPad(page, {});
  await shows(page, 'everything let go', INPUT_LIMIT_MS, (seen) => seen.number(2) === 0 && seen.number(3) === 0 && seen.number(4) === 0);
}, DESKTOP);

/** benches/probe/src/card.rs: the lamps of a pad's buttons begin here. */
const PAD_LAMPS = 261;

probeScenario('a gamepad reaches a program that only knows X11', async ({ page, base }) => {
  await plugStandInPad(page);
  await open(page, base, 'probe-x11');
  const [south, north] = [PAD_LAMPS, PAD_LAMPS + 3];
  await setPad(page, {});
  await setPad(page, { buttons: [A] });
  await lamps(page, 'A', [south], true);
  await setPad(page, { buttons: [X] });
  await lamps(page, 'X', [north], true);
  await lamps(page, 'A let go', [south], false);
  await setPad(page, {});
  await lamps(page, 'everything let go', [south, north], false);
});

// --- Fingers ---

const NO_FINGER = 0xffff_ffff;

probeScenario('several fingers reach a program as fingers', async ({ page, base }) => {
  await open(page, base, 'probe-touch');
  await phase(page, 0, INPUT_LIMIT_MS);
  const hand = await Fingers.of(page);
  const [first, second, moved] = [{ x: 100, y: 90 }, { x: 500, y: 270 }, { x: 320, y: 180 }];
  await hand.down(await onScreen(page, [first]));
  await fingers(page, [first]);
  await hand.down(await onScreen(page, [first, second]));
  await fingers(page, [first, second]);
  await hand.move(await onScreen(page, [first, moved]));
  await fingers(page, [first, moved]);
  await hand.up();
  await fingers(page, []);
  // What the system takes away is let go as well.
  await hand.down(await onScreen(page, [second]));
  await fingers(page, [second]);
  await hand.cancel();
  await fingers(page, []);
}, PHONE);

/** Places of the picture, in its own px, on the screen. */
async function onScreen(page: Page, places: readonly Place[]): Promise<Place[]> {
  const shown = await page.evaluate(() => {
    const { video } = window.nearframeProbe;
    if (video === undefined) throw new Error('there is no picture');
    const box = video.getBoundingClientRect();
    const scale = Math.min(box.width / video.videoWidth, box.height / video.videoHeight);
    return { left: box.left + (box.width - scale * video.videoWidth) / 2, top: box.top + (box.height - scale * video.videoHeight) / 2, scale };
  });
  return places.map(({ x, y }) => ({ x: shown.left + x * shown.scale, y: shown.top + y * shown.scale }));
}

/** Waits until these fingers are down at these places, and no others. */
async function fingers(page: Page, places: readonly Place[]): Promise<void> {
  await shows(page, `fingers at ${JSON.stringify(places)}`, INPUT_LIMIT_MS, (seen) => {
    const points = [2, 3, 4, 5, 6, 7].map((row) => seen.number(row));
    if (points.includes(undefined)) return false;
    const down = points.filter((point) => point !== undefined && point !== NO_FINGER).map((point = 0) => ({ x: point & 0xffff, y: point >>> 16 }));
    const near = (a: Place, b: Place): boolean => Math.abs(a.x - b.x) <= 3 && Math.abs(a.y - b.y) <= 3;
    return down.length === places.length && places.every((place) => down.some((point) => near(point, place)));
  });
}
