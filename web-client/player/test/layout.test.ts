import { describe, expect, it, vi, afterEach } from 'vitest';
import { detectLayout, layoutById, layoutId, LAYOUTS, layoutOfKeys, layoutOfLanguage } from '../src/input/layout';

const id = (keys: Readonly<Record<string, string>>, ...languages: string[]): string | undefined => {
  const found = layoutOfKeys(new Map(Object.entries(keys)), languages);
  return found && layoutId(found);
};

/** As Chromium's `getLayoutMap()` gives them, dead keys and all. */
const US = { KeyQ: 'q', KeyW: 'w', KeyY: 'y', KeyA: 'a', Semicolon: ';', Quote: "'", BracketLeft: '[', Backslash: '\\', Minus: '-', Equal: '=' };
const GERMAN = { ...US, KeyY: 'z', KeyZ: 'y', Semicolon: 'ö', Quote: 'ä', BracketLeft: 'ü', Backslash: '#', Minus: 'ß', Equal: '´' };

describe('the layout of a keyboard', () => {
  it('is told by what its keys write', () => {
    expect(id(US, 'en-US')).toBe('us');
    expect(id({ ...US, Backslash: '#' }, 'en-GB')).toBe('gb');
    expect(id(GERMAN, 'en-US')).toBe('de');
    expect(id({ ...GERMAN, Minus: "'" })).toBe('ch');
    expect(id({ ...US, KeyQ: 'a', KeyW: 'z', KeyA: 'q', Semicolon: 'm', Digit2: 'é', Digit6: '-' })).toBe('fr');
    expect(id({ ...US, KeyQ: "'", KeyW: ',', KeyY: 'f', KeyS: 'o' })).toBe('us:dvorak');
    expect(id({ ...US, Semicolon: 'ş', KeyI: 'ı', Quote: 'i', BracketLeft: 'ğ' })).toBe('tr');
  });

  it('is the one of the player’s language where keys write the same', () => {
    expect(id(US, 'pl-PL', 'en')).toBe('pl');
    expect(id(US, 'de-DE')).toBe('us');
    const nordic = { ...US, Semicolon: 'ö', Quote: 'ä', BracketLeft: 'å', Minus: '+' };
    expect(id(nordic, 'fi-FI')).toBe('fi');
    expect(id(nordic, 'en-US')).toBe('se');
  });

  it('is not guessed from keys of no known layout', () => {
    expect(id({ KeyQ: 'ض', KeyW: 'ص', KeyY: 'غ', KeyA: 'ش' })).toBeUndefined();
    expect(id({ KeyQ: 'q' })).toBeUndefined();
  });

  it('is each one’s own: the keys of every layout lead back to it', () => {
    for (const known of LAYOUTS) {
      expect(id(known.writes, ...known.languages), known.name).toBe(layoutId(known));
      expect(layoutById(layoutId(known))).toEqual({ layout: known.layout, variant: known.variant });
    }
  });

  it('comes from the language where the browser does not tell', async () => {
    expect(layoutId(layoutOfLanguage(['pt-BR', 'en']))).toBe('br');
    expect(layoutId(layoutOfLanguage(['fr-CH']))).toBe('ch:fr');
    expect(layoutId(layoutOfLanguage(['sw', 'xx']))).toBe('us');
    vi.stubGlobal('navigator', { languages: ['de-AT'], keyboard: { getLayoutMap: () => Promise.reject(new Error('in a frame')) } });
    expect(await detectLayout()).toEqual({ layout: 'de', variant: '' });
  });
});
afterEach(() => vi.unstubAllGlobals());
