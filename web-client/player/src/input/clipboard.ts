/**
 * The clipboard both ways. The player's is read when the player pastes, never otherwise; the title's is
 * written when the player has just copied, and is offered with a button else: a title must not be able to
 * change what a player pastes elsewhere.
 */

import type { Scope } from '../scope';
import { KEY_CODES } from '../wire/keys';
import type { InputSender } from './sender';

/** A copy that the title answers within this belongs to the player's press. */
const COPY_ANSWER_MS = 2_000;
/** Browsers tell of a paste before the next task; without one the key goes alone. */
const PASTE_MS = 60;
const CONTROL = KEY_CODES.get('ControlLeft') ?? 0;
const V = KEY_CODES.get('KeyV') ?? 0;

export interface ClipboardOptions {
  readonly sender: () => InputSender | undefined;
  readonly wanted: () => boolean;
  /** Tells the node; false where the text is too long. */
  readonly send: (text: string) => boolean;
  /** The title's text waits for the player's consent. */
  readonly offer: (text: string) => void;
  readonly tooLong: () => void;
}

export class Clipboard {
  #copied_ms = Number.NEGATIVE_INFINITY;
  /** Presses the key that the clipboard goes ahead of. */
  #pending: (() => void) | undefined;

  constructor(
    private readonly scope: Scope,
    private readonly options: ClipboardOptions,
  ) {
    scope.listen<ClipboardEvent>(document, 'paste', (event) => this.#pasted(event));
  }

  /** Looks at a press before it goes to the title; true where the key is pressed later, behind the clipboard. */
  key(event: KeyboardEvent): boolean {
    const control = event.ctrlKey || event.metaKey;
    if (control && ['KeyC', 'KeyX', 'Insert'].includes(event.code)) this.#copied_ms = performance.now();
    const pastes = (control && !event.altKey && event.code === 'KeyV') || (event.shiftKey && event.code === 'Insert');
    const code = KEY_CODES.get(event.code);
    if (!pastes || event.repeat || code === undefined) return false;
    const press = event.metaKey ? (): void => this.#tapControlV() : (): void => this.options.sender()?.key(code, true);
    const stop = this.scope.timeout(PASTE_MS, () => this.#settle());
    this.#settle();
    this.#pending = () => {
      stop();
      press();
    };
    return true;
  }

  /** The key was let go: what still waits is pressed first. */
  settle(): void {
    this.#settle();
  }

  /** The title put text on its clipboard. */
  fromTitle(text: string): void {
    if (performance.now() - this.#copied_ms > COPY_ANSWER_MS || !document.hasFocus()) {
      this.options.offer(text);
      return;
    }
    this.write(text).catch(() => this.options.offer(text));
  }

  /** From a gesture where the browser wants one. */
  write(text: string): Promise<void> {
    return navigator.clipboard.writeText(text);
  }

  #pasted(event: ClipboardEvent): void {
    if (!this.options.wanted()) return;
    const text = event.clipboardData?.getData('text/plain') ?? '';
    event.preventDefault();
    if (text !== '' && !this.options.send(text)) this.options.tooLong();
    this.#settle();
  }

  #settle(): void {
    const press = this.#pending;
    this.#pending = undefined;
    press?.();
  }

  /** Command + V of a Mac is Control + V in every title; macOS tells of no release while Command is held. */
  #tapControlV(): void {
    const sender = this.options.sender();
    sender?.releaseAll();
    for (const down of [true, false]) {
      for (const key of down ? [CONTROL, V] : [V, CONTROL]) sender?.key(key, down);
    }
  }
}
