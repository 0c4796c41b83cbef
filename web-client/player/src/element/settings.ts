/** The settings panel: keyboard layout, data limits, controls on the screen. What is chosen is kept and acted on at once. */

import { LAYOUTS, layoutId } from '../input/layout';
import { tellsNetworks } from '../network';
import { el, icon } from './dom';
import { CAPS_KBPS, MIN_OPACITY, savePreferences, type Preferences } from './preferences';

export interface SettingsActions {
  readonly changed: (preferences: Preferences) => void;
  readonly close: () => void;
}

export class SettingsPanel {
  readonly element: HTMLElement;
  readonly #layout = el('select', { id: 'layout' });
  readonly #automatic = el('option', { value: 'auto' }, 'Auto');
  readonly #opacity = el('input', { id: 'opacity', type: 'range', min: String(MIN_OPACITY * 100), max: '100', step: '5' });
  readonly #hidden = el('input', { id: 'touch', type: 'checkbox' });
  readonly #touch: HTMLElement;
  #preferences: Preferences;

  constructor(
    preferences: Preferences,
    private readonly actions: SettingsActions,
  ) {
    this.#preferences = preferences;
    const options = LAYOUTS.map((known) => ({ id: layoutId(known), name: known.name }));
    options.sort((a, b) => a.name.localeCompare(b.name));
    this.#layout.append(this.#automatic, ...options.map(({ id, name }) => el('option', { value: id }, name)));
    this.#layout.value = preferences.layout;
    // A layout that this release does not know follows the keyboard.
    if (this.#layout.value === '') this.#layout.value = 'auto';
    this.#opacity.value = String(preferences.touchOpacity * 100);
    this.#hidden.checked = !preferences.touchHidden;
    this.#layout.addEventListener('change', () => this.#change({ layout: this.#layout.value }));
    this.#opacity.addEventListener('input', () => this.#change({ touchOpacity: Number(this.#opacity.value) / 100 }));
    this.#hidden.addEventListener('change', () => this.#change({ touchHidden: !this.#hidden.checked }));
    const caps = tellsNetworks()
      ? [this.#cap('cap', 'Data limit on Wi-Fi and cable', 'cap_kbps'), this.#cap('mobile-cap', 'Data limit on mobile networks', 'mobileCap_kbps')]
      : [this.#cap('cap', 'Data limit', 'cap_kbps')];
    const close = el('button', { 'aria-label': 'Close settings', onclick: actions.close }, icon('close'));
    this.#touch = el(
      'div',
      { class: 'group', hidden: true },
      row('touch', 'Controls on the screen', this.#hidden),
      row('opacity', 'How clearly they show', this.#opacity),
    );
    this.element = el(
      'section',
      { class: 'settings', role: 'dialog', 'aria-label': 'Settings', hidden: true },
      el('header', {}, el('h2', {}, 'Settings'), close),
      row('layout', 'Keyboard layout', this.#layout),
      ...caps,
      el('p', { class: 'about' }, 'With a limit the picture is softer and takes less data. It is just as quick.'),
      this.#touch,
    );
  }

  get shown(): boolean {
    return !this.element.hidden;
  }

  set shown(shown: boolean) {
    this.element.hidden = !shown;
    if (shown) this.#layout.focus();
  }

  get preferences(): Preferences {
    return this.#preferences;
  }

  /** What `auto` stands for now. */
  set detected(id: string) {
    const name = LAYOUTS.find((known) => layoutId(known) === id)?.name ?? id;
    this.#automatic.textContent = `Auto · ${name}`;
  }

  /** Whether the title has controls for the screen. */
  set touchable(touchable: boolean) {
    this.#touch.hidden = !touchable;
  }

  #cap(id: string, label: string, field: 'cap_kbps' | 'mobileCap_kbps'): HTMLElement {
    const options = CAPS_KBPS.map((kbps) => el('option', { value: String(kbps) }, capLabel(kbps)));
    const select = el('select', { id }, el('option', { value: '' }, 'No limit'), ...options);
    select.value = String(this.#preferences[field] ?? '');
    select.addEventListener('change', () => this.#change({ [field]: select.value === '' ? null : Number(select.value) }));
    return row(id, label, select);
  }

  #change(change: Partial<Preferences>): void {
    this.#preferences = { ...this.#preferences, ...change };
    savePreferences(this.#preferences);
    this.actions.changed(this.#preferences);
  }
}

function row(id: string, label: string, control: HTMLElement): HTMLElement {
  return el('div', { class: 'row' }, el('label', { for: id }, label), control);
}

/** Such as `2 Mbit/s · 0.9 GB an hour`. */
export function capLabel(kbps: number): string {
  const gigabytes = (kbps * 1_000 * 3_600) / 8 / 1e9;
  return `${kbps / 1_000} Mbit/s · ${gigabytes.toFixed(1)} GB an hour`;
}
