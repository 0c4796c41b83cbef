/** Keyboard → key events by physical position. */

import type { Scope } from '../scope';
import { KEY_CODES } from '../wire/keys';
import type { InputSender } from './sender';
import { eventTime } from './time';

/** Keys that stay the browser's even while playing: leaving fullscreen and the developer tools. */
const BROWSER_KEYS: ReadonlySet<string> = new Set(['F11', 'F12']);

export interface KeyboardOptions {
  /** Where keys go; none while nothing is played. */
  readonly sender: () => InputSender | undefined;
  /** Whether keys go to the title now, rather than to the page. */
  readonly wanted: () => boolean;
  /** Tried first; true if the key was one of the player's own shortcuts. */
  readonly shortcut: (event: KeyboardEvent) => boolean;
  /** The press is on its way to becoming text. */
  readonly becomesText: (event: KeyboardEvent) => boolean;
  /** The press goes to the title behind the clipboard, and the browser must see it. */
  readonly pastes: (event: KeyboardEvent) => boolean;
  /** A key is let go: what waited behind the clipboard goes first. */
  readonly settle: () => void;
  /** A key went to the title. */
  readonly used: () => void;
}

export function captureKeyboard(scope: Scope, options: KeyboardOptions): void {
  scope.listen<KeyboardEvent>(window, 'keydown', (event) => down(event, options), { capture: true });
  scope.listen<KeyboardEvent>(
    window,
    'keyup',
    (event) => {
      const code = KEY_CODES.get(event.code);
      if (code === undefined) return;
      options.settle();
      if (options.wanted()) event.preventDefault();
      options.sender()?.key(code, false, eventTime(event));
      // macOS sends no keyup for keys released while Command is held.
      if (event.code.startsWith('Meta')) options.sender()?.releaseAll();
    },
    { capture: true },
  );
}

function down(event: KeyboardEvent, options: KeyboardOptions): void {
  if (options.shortcut(event)) {
    event.preventDefault();
    event.stopPropagation();
    return;
  }
  const code = KEY_CODES.get(event.code);
  if (code === undefined || !options.wanted() || options.becomesText(event) || options.pastes(event)) return;
  if (isBrowserShortcut(event)) return;
  event.preventDefault();
  if (event.repeat) return;
  options.used();
  options.sender()?.key(code, true, eventTime(event));
}

function isBrowserShortcut(event: KeyboardEvent): boolean {
  if (BROWSER_KEYS.has(event.code)) return true;
  return event.metaKey && !event.code.startsWith('Meta');
}
