/** What the player has chosen, kept by the browser for this site. Without storage it is kept for this page. */

import type { NetworkKind } from '../network';

const KEY = 'nearframe-player';

export interface Preferences {
  /** A layout's id, such as `us:dvorak`; `auto` follows the keyboard. */
  readonly layout: string;
  /** Opacity of the controls on the screen, 0.2..=1. */
  readonly touchOpacity: number;
  readonly touchHidden: boolean;
  /** The most that video may take, kbit/s; `null` for no limit. On mobile networks, where the browser tells them apart… */
  readonly mobileCap_kbps: number | null;
  /** …and on all others. */
  readonly cap_kbps: number | null;
}

const DEFAULTS: Preferences = { layout: 'auto', touchOpacity: 0.7, touchHidden: false, mobileCap_kbps: null, cap_kbps: null };
/** What can be chosen: a small clear picture, one for a phone, one for a large screen. */
export const CAPS_KBPS = [2_000, 4_000, 8_000] as const;
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
  const { layout, touchOpacity, touchHidden, mobileCap_kbps, cap_kbps } = json;
  return {
    layout: typeof layout === 'string' && layout.length <= 32 ? layout : DEFAULTS.layout,
    touchOpacity: typeof touchOpacity === 'number' && touchOpacity >= MIN_OPACITY && touchOpacity <= 1 ? touchOpacity : DEFAULTS.touchOpacity,
    touchHidden: touchHidden === true,
    mobileCap_kbps: readCap(mobileCap_kbps),
    cap_kbps: readCap(cap_kbps),
  };
}

function readCap(value: unknown): number | null {
  return CAPS_KBPS.find((cap) => cap === value) ?? null;
}

/** The limit that holds on such a network. */
export function capOn(network: NetworkKind, { mobileCap_kbps, cap_kbps }: Preferences): number | null {
  return network === 'mobile' ? mobileCap_kbps : cap_kbps;
}
