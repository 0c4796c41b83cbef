/**
 * Arrow keys and a gamepad move the focus over what can be pressed on a page; A presses, B goes back.
 *
 * Deliberately not for playing: while a game has the controls, `setFocusNav(false)` gives them all to it.
 * **Invariant:** an arrow key that finds nothing to move to still scrolls the page.
 */
import { type Command, PadReader } from './pad';
import { type Box, type Direction, nearest } from './spatial';

const FOCUSABLE = 'a[href], button:not(:disabled), input:not(:disabled), [tabindex="0"]';
/** How often a connected gamepad is read: well below what a thumb notices. */
const POLL_MS = 30;
/** A target further than this share of the window's height is scrolled to, not jumped to. */
const REACH = 0.9;

const ARROWS: Readonly<Record<string, Direction>> = {
  ArrowUp: 'up',
  ArrowDown: 'down',
  ArrowLeft: 'left',
  ArrowRight: 'right',
};

let enabled = true;

/** Gives arrow keys and pads to the page (`true`) or to the game in it (`false`). */
export function setFocusNav(on: boolean): void {
  enabled = on;
}

/** Follows keys and pads until the returned function is called. `back` is what B and Escape do. */
export function followFocus(back: () => void): () => void {
  const scope = new AbortController();
  const { signal } = scope;
  addEventListener('keydown', (event) => onKey(event, back), { signal });
  const stopPads = followPads((command) => obey(command, back), signal);
  return () => {
    scope.abort();
    stopPads();
  };
}

function onKey(event: KeyboardEvent, back: () => void): void {
  const modified = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
  if (!enabled || modified || event.defaultPrevented) return;
  // An open dialog closes itself.
  if (event.key === 'Escape' && !document.querySelector('dialog[open]')) back();
  const direction = ARROWS[event.key];
  if (direction && !ownsArrows(event.target) && move(direction)) event.preventDefault();
}

/** Fields and the player use arrow keys themselves. */
function ownsArrows(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('input, textarea, select, near-frame') !== null;
}

function obey(command: Command, back: () => void): void {
  if (!enabled) return;
  const dialog = document.querySelector<HTMLDialogElement>('dialog[open]');
  if (command === 'back') {
    if (dialog) dialog.close();
    else back();
    return;
  }
  // The player's own cards follow the pad themselves.
  if (document.activeElement?.closest('near-frame')) return;
  if (command !== 'activate') {
    if (!move(command)) scrollBy({ top: command === 'down' ? 160 : command === 'up' ? -160 : 0 });
  } else if (document.activeElement instanceof HTMLElement && document.activeElement !== document.body) {
    document.activeElement.click();
  }
}

/** An open dialog keeps the focus inside. */
function field(): ParentNode {
  return document.querySelector('dialog[open]') ?? document;
}

function isShown(element: HTMLElement): boolean {
  const box = element.getBoundingClientRect();
  return box.width > 1 && box.height > 1 && element.checkVisibility();
}

/** Moves the focus; `false` where nothing lies in that direction. */
export function move(direction: Direction): boolean {
  const all = [...field().querySelectorAll<HTMLElement>(FOCUSABLE)].filter(isShown);
  const current = document.activeElement;
  const at = all.find((element) => element === current);
  const target = at ? beside(at, all, direction) : entry(all);
  if (!target) return false;
  target.focus({ preventScroll: true });
  (target.closest('[data-focus-box]') ?? target).scrollIntoView({ block: 'nearest', inline: 'nearest' });
  return true;
}

function beside(from: HTMLElement, all: readonly HTMLElement[], direction: Direction): HTMLElement | undefined {
  const others = all.filter((element) => element !== from);
  const here = boxOf(from);
  const boxes = others.map(boxOf);
  const index = nearest(here, boxes, direction);
  const box = index === undefined ? undefined : boxes[index];
  if (index === undefined || !box) return undefined;
  const away = Math.max(box.top - here.bottom, here.top - box.bottom);
  return away > innerHeight * REACH ? undefined : others[index];
}

/** A link that covers more than its text, as a card's does, says so with `data-focus-box` around it. */
function boxOf(element: HTMLElement): Box {
  return (element.closest('[data-focus-box]') ?? element).getBoundingClientRect();
}

/** Where the first press lands: the page's main content, else whatever comes first. */
function entry(all: readonly HTMLElement[]): HTMLElement | undefined {
  return all.find((element) => element.closest('main')) ?? all[0];
}

function followPads(obeyed: (command: Command) => void, signal: AbortSignal): () => void {
  let timer: ReturnType<typeof setInterval> | undefined;
  let reader = new PadReader();
  const poll = (): void => {
    const pads = navigator.getGamepads().filter((pad) => pad !== null);
    if (!document.hasFocus() || !enabled) {
      // What is pressed elsewhere, or in a game, is not a press here.
      reader = new PadReader();
      return;
    }
    for (const command of reader.read(pads, performance.now())) obeyed(command);
  };
  const start = (): void => {
    timer ??= setInterval(poll, POLL_MS);
  };
  const stop = (): void => {
    clearInterval(timer);
    timer = undefined;
  };
  addEventListener('gamepadconnected', start, { signal });
  addEventListener(
    'gamepaddisconnected',
    () => {
      if (navigator.getGamepads().every((pad) => pad === null)) stop();
    },
    { signal },
  );
  return stop;
}
