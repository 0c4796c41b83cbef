/**
 * Which keyboard layout the player has, by its names in xkb. Keys travel by position; the title's side turns
 * positions into characters with this layout.
 *
 * A browser with `navigator.keyboard` tells what keys write, which names the layout; elsewhere the player's
 * language is the best guess. The player may choose another one.
 */

export interface KeyboardLayout {
  /** Such as `de`. */
  readonly layout: string;
  /** Such as `nodeadkeys`; empty for the usual one. */
  readonly variant: string;
}

interface KnownLayout extends KeyboardLayout {
  readonly name: string;
  /** What keys write that tell this layout from others, unshifted; no dead keys, which browsers name differently. */
  readonly writes: Readonly<Record<string, string>>;
  /** Languages whose speakers have it, most specific first. */
  readonly languages: readonly string[];
}

const QWERTY = { KeyQ: 'q', KeyW: 'w', KeyY: 'y', KeyA: 'a' } as const;
const QWERTZ = { KeyQ: 'q', KeyW: 'w', KeyY: 'z', KeyA: 'a' } as const;

function known(id: string, name: string, languages: string, writes: Readonly<Record<string, string>>): KnownLayout {
  const [layout = 'us', variant = ''] = id.split(':');
  return { layout, variant, name, writes, languages: languages === '' ? [] : languages.split(' ') };
}

/** Among equals the earlier one is taken, unless the player's language names another. */
export const LAYOUTS: readonly KnownLayout[] = [
  known('us', 'English (US)', 'en', { ...QWERTY, Semicolon: ';', Quote: "'", BracketLeft: '[', Backslash: '\\' }),
  known('gb', 'English (UK)', 'en-GB en-IE', { ...QWERTY, Semicolon: ';', Quote: "'", BracketLeft: '[', Backslash: '#' }),
  known('de', 'German', 'de de-AT', { ...QWERTZ, Semicolon: 'ö', Quote: 'ä', BracketLeft: 'ü', Minus: 'ß' }),
  known('ch', 'Swiss (German)', 'de-CH', { ...QWERTZ, Semicolon: 'ö', Quote: 'ä', BracketLeft: 'ü', Minus: "'" }),
  known('ch:fr', 'Swiss (French)', 'fr-CH', { ...QWERTZ, Semicolon: 'é', Quote: 'à', BracketLeft: 'è', Minus: "'" }),
  known('fr', 'French', 'fr', { KeyQ: 'a', KeyW: 'z', KeyY: 'y', KeyA: 'q', Semicolon: 'm', Digit2: 'é', Digit6: '-', Equal: '=' }),
  known('be', 'Belgian', 'fr-BE nl-BE', { KeyQ: 'a', KeyW: 'z', KeyY: 'y', KeyA: 'q', Semicolon: 'm', Digit2: 'é', Digit6: '§', Equal: '-' }),
  known('ca', 'Canadian (French)', 'fr-CA', { ...QWERTY, Semicolon: ';', Backquote: '#', Backslash: '<' }),
  known('es', 'Spanish', 'es', { ...QWERTY, Semicolon: 'ñ', Backslash: 'ç', Minus: "'", Equal: '¡' }),
  known('latam', 'Spanish (Latin America)', 'es-419 es-MX es-AR es-CO es-CL es-PE', { ...QWERTY, Semicolon: 'ñ', Quote: '{', Backslash: '}', Equal: '¿' }),
  known('it', 'Italian', 'it', { ...QWERTY, Semicolon: 'ò', Quote: 'à', BracketLeft: 'è', Minus: "'" }),
  known('pt', 'Portuguese', 'pt', { ...QWERTY, Semicolon: 'ç', Quote: 'º', Minus: "'", Equal: '«' }),
  known('br', 'Portuguese (Brazil)', 'pt-BR', { ...QWERTY, Semicolon: 'ç', Minus: '-', Equal: '=', Backquote: "'" }),
  known('nl', 'Dutch', '', { ...QWERTY, Semicolon: '+', Minus: '/', Equal: '°' }),
  known('se', 'Swedish', 'sv', { ...QWERTY, Semicolon: 'ö', Quote: 'ä', BracketLeft: 'å', Minus: '+' }),
  known('fi', 'Finnish', 'fi', { ...QWERTY, Semicolon: 'ö', Quote: 'ä', BracketLeft: 'å', Minus: '+' }),
  known('no', 'Norwegian', 'no nb nn', { ...QWERTY, Semicolon: 'ø', Quote: 'æ', BracketLeft: 'å' }),
  known('dk', 'Danish', 'da', { ...QWERTY, Semicolon: 'æ', Quote: 'ø', BracketLeft: 'å' }),
  known('is', 'Icelandic', 'is', { ...QWERTY, Semicolon: 'æ', BracketLeft: 'ð', Minus: 'ö' }),
  known('pl', 'Polish', 'pl', { ...QWERTY, Semicolon: ';', Quote: "'", BracketLeft: '[', Backslash: '\\' }),
  known('cz', 'Czech', 'cs', { ...QWERTZ, Semicolon: 'ů', Digit2: 'ě', BracketLeft: 'ú' }),
  known('sk', 'Slovak', 'sk', { ...QWERTZ, Semicolon: 'ô', Digit2: 'ľ', BracketLeft: 'ú' }),
  known('hu', 'Hungarian', 'hu', { ...QWERTZ, Semicolon: 'é', Quote: 'á', BracketLeft: 'ő', Minus: 'ü' }),
  known('si', 'Slovenian, Croatian', 'sl hr bs', { ...QWERTZ, Semicolon: 'č', Quote: 'ć', BracketLeft: 'š' }),
  known('ro', 'Romanian', 'ro', { ...QWERTY, Semicolon: 'ș', Quote: 'ț', BracketLeft: 'ă' }),
  known('tr', 'Turkish (Q)', 'tr', { ...QWERTY, KeyI: 'ı', Semicolon: 'ş', Quote: 'i', BracketLeft: 'ğ' }),
  known('tr:f', 'Turkish (F)', '', { KeyQ: 'f', KeyW: 'g', KeyY: 'd', KeyA: 'u' }),
  known('ru', 'Russian', 'ru', { KeyQ: 'й', KeyW: 'ц', KeyS: 'ы', Quote: 'э' }),
  known('ua', 'Ukrainian', 'uk', { KeyQ: 'й', KeyW: 'ц', KeyS: 'і', Quote: 'є' }),
  known('gr', 'Greek', 'el', { KeyW: 'ς', KeyY: 'υ', KeyA: 'α', KeyS: 'σ' }),
  known('il', 'Hebrew', 'he', { KeyA: 'ש', KeyS: 'ד', KeyY: 'ט' }),
  known('jp', 'Japanese', 'ja', { ...QWERTY, BracketLeft: '@', Equal: '^', Quote: ':' }),
  known('kr', 'Korean', 'ko', { ...QWERTY, Semicolon: ';', Quote: "'", BracketLeft: '[' }),
  known('us:dvorak', 'English (Dvorak)', '', { KeyQ: "'", KeyW: ',', KeyY: 'f', KeyS: 'o' }),
  known('us:colemak', 'English (Colemak)', '', { ...QWERTY, KeyY: 'j', KeyE: 'f', KeyS: 'r' }),
];

/** The name by which a choice is kept and shown in a list: `de`, `us:dvorak`. */
export function layoutId({ layout, variant }: KeyboardLayout): string {
  return variant === '' ? layout : `${layout}:${variant}`;
}

export function layoutById(id: string): KeyboardLayout | undefined {
  const found = LAYOUTS.find((entry) => layoutId(entry) === id);
  return found && { layout: found.layout, variant: found.variant };
}

/** The layout whose keys write what these keys write; among equals the one of the player's language. */
export function layoutOfKeys(writes: ReadonlyMap<string, string>, languages: readonly string[]): KeyboardLayout | undefined {
  const share = ({ writes: expected }: KnownLayout): number => {
    const codes = Object.entries(expected).filter(([code]) => writes.has(code));
    if (codes.length < 3) return 0;
    return codes.filter(([code, key]) => writes.get(code) === key).length / codes.length;
  };
  const scored = LAYOUTS.map((entry) => ({ entry, share: share(entry) }));
  const best = Math.max(...scored.map((candidate) => candidate.share));
  // Below this more keys are foreign than dead: a layout that is not in the list.
  if (best < 0.7) return undefined;
  const equals = scored.filter((candidate) => candidate.share === best).map((candidate) => candidate.entry);
  return byLanguage(equals, languages) ?? equals[0];
}

/** The usual layout where this language is spoken. */
export function layoutOfLanguage(languages: readonly string[]): KeyboardLayout {
  return byLanguage(LAYOUTS, languages) ?? { layout: 'us', variant: '' };
}

function byLanguage(layouts: readonly KnownLayout[], languages: readonly string[]): KnownLayout | undefined {
  for (const language of languages) {
    const [short = ''] = language.split('-');
    for (const wanted of [language, short]) {
      const found = layouts.find((entry) => entry.languages.some((name) => name.toLowerCase() === wanted.toLowerCase()));
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

interface KeyboardMap {
  getLayoutMap(): Promise<ReadonlyMap<string, string>>;
}

/** The layout of the keyboard in front of the player, as well as the browser tells. */
export async function detectLayout(): Promise<KeyboardLayout> {
  const { languages } = navigator;
  const keyboard = (navigator as { keyboard?: Partial<KeyboardMap> }).keyboard;
  try {
    const writes = await keyboard?.getLayoutMap?.();
    const found = writes && layoutOfKeys(writes, languages);
    if (found !== undefined) return { layout: found.layout, variant: found.variant };
  } catch {
    // A page in a frame may not ask; its language still tells.
  }
  const { layout, variant } = layoutOfLanguage(languages);
  return { layout, variant };
}
