/**
 * Text as the player composed it: from a phone's keyboard, from an input method, from dictation. A hidden
 * field takes it; what is complete goes out as text events, Enter and Backspace as keys, in their order.
 *
 * Physical keys stay `keyboard.ts`'s. Invariant: a press is sent as a key or becomes text, never both.
 */

import type { Scope } from '../scope';
import { MAX_TEXT } from '../wire/input';
import type { InputSender } from './sender';

/** USB HID usages. */
const ENTER = 40;
const BACKSPACE = 42;
/** `keyCode` of a press that an input method has taken (UI Events, section "Legacy key attributes"). */
const TAKEN = 229;
/** Phones tell of Backspace only where there is something to delete. */
const SOMETHING = '\u00a0\u00a0';
/** More at once is a paste or a dictation gone wrong; a title would choke on it. */
const MAX_AT_ONCE = 2_048;

/**
 * `off` · `soft`: opened by the player, whose keyboard is on the screen: characters become text · `composing`:
 * opened for a title's text field: keys stay keys, and only what an input method composes becomes text.
 */
export type TextMode = 'off' | 'soft' | 'composing';

/** `text` in pieces that one event carries, cut between characters. */
export function textPieces(text: string): string[] {
  const encoder = new TextEncoder();
  const pieces: string[] = [];
  let piece = '';
  let bytes = 0;
  for (const character of text) {
    const length = encoder.encode(character).length;
    if (bytes + length > MAX_TEXT) {
      pieces.push(piece);
      [piece, bytes] = ['', 0];
    }
    piece += character;
    bytes += length;
  }
  return piece === '' ? pieces : [...pieces, piece];
}

export class TextEntry {
  readonly element: HTMLTextAreaElement;
  #mode: TextMode = 'off';
  #composing = false;

  constructor(
    scope: Scope,
    private readonly sender: () => InputSender | undefined,
    private readonly onMode: (mode: TextMode) => void,
  ) {
    const element = document.createElement('textarea');
    const attributes = {
      class: 'text-entry', 'aria-label': 'Text for the game', tabindex: '-1', rows: '1', autocomplete: 'off',
      autocorrect: 'off', autocapitalize: 'none', spellcheck: 'false', enterkeyhint: 'enter',
    };
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    this.element = element;
    scope.listen<InputEvent>(element, 'beforeinput', (event) => this.#before(event));
    scope.listen(element, 'input', () => {
      if (!this.#composing) this.#empty();
    });
    scope.listen(element, 'compositionstart', () => {
      this.#composing = true;
    });
    scope.listen<CompositionEvent>(element, 'compositionend', (event) => {
      this.#composing = false;
      this.#send(event.data);
      this.#empty();
    });
    scope.listen(element, 'blur', () => this.close());
  }

  get mode(): TextMode {
    return this.#mode;
  }

  /** On a phone only inside a gesture does the keyboard come up. */
  open(mode: Exclude<TextMode, 'off'>): void {
    this.#mode = mode;
    this.#empty();
    this.element.focus({ preventScroll: true });
    this.onMode(mode);
  }

  close(): void {
    if (this.#mode === 'off') return;
    this.#mode = 'off';
    this.#composing = false;
    this.element.blur();
    this.onMode('off');
  }

  /** Whether this press is on its way to becoming text, and no key of the title's. */
  takes(event: KeyboardEvent): boolean {
    if (this.#mode === 'off') return false;
    if (event.isComposing || event.key === 'Process' || legacyCode(event) === TAKEN) return true;
    const shortcut = event.ctrlKey || event.altKey || event.metaKey;
    return this.#mode === 'soft' && !shortcut && isCharacter(event.key);
  }

  #before(event: InputEvent): void {
    if (this.#composing || event.isComposing || event.inputType === 'insertCompositionText') return;
    event.preventDefault();
    switch (event.inputType) {
      case 'insertLineBreak':
      case 'insertParagraph':
        this.#tap(ENTER);
        break;
      case 'deleteContentBackward':
      case 'deleteWordBackward':
      case 'deleteSoftLineBackward':
        this.#tap(BACKSPACE);
        break;
      case 'insertFromPaste':
        // The clipboard has a way of its own.
        break;
      default:
        this.#send(event.data ?? '');
    }
  }

  /** Lines within the text are ended by the key that ends them. */
  #send(text: string): void {
    const lines = text.slice(0, MAX_AT_ONCE).split(/\r\n|\r|\n/);
    lines.forEach((line, i) => {
      if (i > 0) this.#tap(ENTER);
      for (const piece of textPieces(line)) this.sender()?.push({ kind: 'text', text: piece });
    });
  }

  /** Both at once: titles see a key by its press, however short. */
  #tap(key: number): void {
    const sender = this.sender();
    sender?.key(key, true);
    sender?.key(key, false);
  }

  #empty(): void {
    this.element.value = SOMETHING;
    this.element.setSelectionRange(SOMETHING.length, SOMETHING.length);
  }
}

/** Named keys are longer: `Enter`, `F1`. */
function isCharacter(key: string): boolean {
  return key.length === 1 || (key.length === 2 && (key.codePointAt(0) ?? 0) > 0xffff);
}

/** Deprecated, and the only thing by which some input methods show themselves. */
function legacyCode(event: object): unknown {
  return 'keyCode' in event ? event.keyCode : undefined;
}
