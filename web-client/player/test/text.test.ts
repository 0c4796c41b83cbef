import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InputSender } from '../src/input/sender';
import { TextEntry, textPieces } from '../src/input/text';
import { Scope } from '../src/scope';
import { parseInput } from '../src/wire/input';

let scope: Scope;
let said: string[];
let entry: TextEntry;

beforeEach(() => {
  scope = new Scope();
  said = [];
  let now_ms = 0;
  const sender: InputSender = new InputSender({
    send: (bytes) => {
      const packet = parseInput(bytes);
      for (const { event } of packet.events) {
        if (event.kind === 'text') said.push(event.text);
        else if (event.kind === 'key') said.push(`${event.down ? '+' : '-'}${event.key}`);
      }
      sender.acknowledge(packet.first_serial + packet.events.length - 1);
    },
    now_ms: () => (now_ms += 100),
  });
  entry = new TextEntry(scope, () => sender, () => undefined);
  document.body.append(entry.element);
});
afterEach(() => {
  scope.close();
  document.body.replaceChildren();
});

const type = (inputType: string, data?: string): boolean =>
  entry.element.dispatchEvent(new InputEvent('beforeinput', { inputType, cancelable: true, ...(data === undefined ? {} : { data }) }));
const press = (init: KeyboardEventInit, legacyCode = 0): KeyboardEvent =>
  Object.defineProperty(new KeyboardEvent('keydown', init), 'keyCode', { value: legacyCode });

describe('text for one event', () => {
  it('is cut between characters, at most 64 bytes long', () => {
    const long = '😀é'.repeat(40);
    const pieces = textPieces(long);
    expect(pieces.join('')).toBe(long);
    for (const piece of pieces) expect(new TextEncoder().encode(piece).length).toBeLessThanOrEqual(64);
    expect(textPieces('')).toEqual([]);
    expect(textPieces('a'.repeat(64))).toHaveLength(1);
  });
});

describe('a phone’s keyboard', () => {
  it('writes text, and Enter and Backspace as keys, in their order', () => {
    entry.open('soft');
    expect(type('insertText', 'Hé')).toBe(false);
    type('deleteContentBackward');
    type('insertText', 'i');
    type('insertLineBreak');
    expect(said).toEqual(['Hé', '+42', '-42', 'i', '+40', '-40']);
  });

  it('writes what it composed when that is complete', () => {
    entry.open('soft');
    entry.element.dispatchEvent(new Event('compositionstart'));
    expect(type('insertCompositionText', 'wor')).toBe(true);
    expect(said).toEqual([]);
    entry.element.dispatchEvent(Object.assign(new Event('compositionend'), { data: 'word' }));
    expect(said).toEqual(['word']);
  });

  it('ends dictated lines by the key that ends them', () => {
    entry.open('soft');
    type('insertReplacementText', 'one\ntwo');
    expect(said).toEqual(['one', '+40', '-40', 'two']);
  });

  it('always has something to delete, and always forgets what was written', () => {
    entry.open('soft');
    expect(entry.element.value.length).toBeGreaterThan(0);
    const before = entry.element.value;
    entry.element.value += 'x';
    entry.element.dispatchEvent(new InputEvent('input'));
    expect(entry.element.value).toBe(before);
  });

  it('takes characters, and leaves shortcuts and named keys to be keys', () => {
    expect(entry.takes(press({ key: 'a' }))).toBe(false);
    entry.open('soft');
    expect(entry.takes(press({ key: 'a' }))).toBe(true);
    expect(entry.takes(press({ key: 'c', ctrlKey: true }))).toBe(false);
    expect(entry.takes(press({ key: 'ArrowUp' }))).toBe(false);
    expect(entry.takes(press({ key: 'F1' }))).toBe(false);
    expect(entry.takes(press({ key: '😀' }))).toBe(true);
  });

  it('does not send a clipboard as typing', () => {
    entry.open('soft');
    expect(type('insertFromPaste', 'secret')).toBe(false);
    expect(said).toEqual([]);
  });
});

describe('an input method on a desktop', () => {
  it('takes what it composes, and nothing else: a key is never text too', () => {
    entry.open('composing');
    expect(entry.takes(press({ key: 'a' }))).toBe(false);
    expect(entry.takes(press({ key: 'Process' }))).toBe(true);
    expect(entry.takes(press({ key: 'a', isComposing: true }))).toBe(true);
    // A dead key that the browser composes by itself shows as taken; any other is a key like all others.
    expect(entry.takes(press({ key: 'Dead' }))).toBe(false);
    expect(entry.takes(press({ key: 'Dead' }, 229))).toBe(true);
  });

  it('has no place to write to once the field is left', () => {
    entry.open('composing');
    entry.element.dispatchEvent(new FocusEvent('blur'));
    expect(entry.mode).toBe('off');
    expect(entry.takes(press({ key: 'Process' }))).toBe(false);
  });
});
