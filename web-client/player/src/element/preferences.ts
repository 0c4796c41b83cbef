/** What the player has chosen, kept by the browser for this site. Without storage it is kept for this page. */

const KEY = 'nearframe-player';

export interface Preferences {
  /** A layout's id, such as `us:dvorak`; `auto` follows the keyboard. */
  readonly layout: string;
  /** Opacity of the controls on the screen, 0.2..=1. */
  readonly touchOpacity: number;
  readonly touchHidden: boolean;
}

const DEFAULTS: Preferences = { layout: 'auto', touchOpacity: 0.7, touchHidden: false };
export const MIN_OPACITY = 0.2;

export function loadPreferences(): Preferences {
  try {
    return readPreferences(JSON.parse(localStorage.getItem(KEY) ?? 'null'));
  } catch {
    return DEFAULTS;
  }
}

export function savePreferences(preferences: Preferences): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(preferences));
  } catch {
    // Full or forbidden: the choice holds for this page.
  }
}

/** Each field on its own: one that an older release wrote differently does not take the others with it. */
export function readPreferences(value: unknown): Preferences {
  const json = (typeof value === 'object' && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
  const { layout, touchOpacity, touchHidden } = json;
  return {
    layout: typeof layout === 'string' && layout.length <= 32 ? layout : DEFAULTS.layout,
    touchOpacity: typeof touchOpacity === 'number' && touchOpacity >= MIN_OPACITY && touchOpacity <= 1 ? touchOpacity : DEFAULTS.touchOpacity,
    touchHidden: touchHidden === true,
  };
}
