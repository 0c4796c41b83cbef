/** The bar at the top while playing: leave, Esc, keyboard, microphone, sound, statistics, settings, fullscreen. Hides by itself. */

import type { Scope } from '../scope';
import type { MicrophoneState } from '../input/microphone';
import { el, icon, type IconName } from './dom';

/** Long enough to find a button, short enough not to cover the picture. */
const SHOW_MS = 2_600;
/** A mouse this near to the upper edge wants the bar. */
const EDGE_PX = 56;

export interface BarActions {
  readonly leave: () => void;
  readonly escape: () => void;
  readonly toggleText: () => void;
  readonly toggleMicrophone: () => void;
  readonly toggleSettings: () => void;
  readonly toggleStats: () => void;
  readonly toggleFullscreen: () => void;
  readonly setVolume: (volume: number, muted: boolean) => void;
  /** The menu was opened (keys and pads go to it) or closed (they go to the title). */
  readonly onMenu: (open: boolean) => void;
}

export class Bar {
  readonly element: HTMLElement;
  readonly handle: HTMLElement;
  readonly #name = el('span', { class: 'name' });
  readonly #text: HTMLButtonElement;
  readonly #microphone: HTMLButtonElement;
  readonly #settings: HTMLButtonElement;
  readonly #mute: HTMLButtonElement;
  readonly #stats: HTMLButtonElement;
  readonly #fullscreen: HTMLButtonElement;
  readonly #volume = el('input', { type: 'range', min: '0', max: '100', value: '100', 'aria-label': 'Volume' });
  #muted = false;
  #open = false;
  #stopHiding: () => void = () => undefined;

  constructor(
    private readonly scope: Scope,
    private readonly actions: BarActions,
  ) {
    const leave = button('leave', 'Leave the game', actions.leave);
    this.#text = button('keyboard', 'Type text', actions.toggleText);
    this.#microphone = button('silent', 'Turn the microphone on', actions.toggleMicrophone);
    this.#settings = button('settings', 'Settings', actions.toggleSettings);
    for (const toggle of [this.#text, this.#microphone]) toggle.setAttribute('aria-pressed', 'false');
    this.#settings.setAttribute('aria-expanded', 'false');
    this.#mute = button('sound', 'Mute', () => this.#setSound(Number(this.#volume.value), !this.#muted));
    this.#stats = button('stats', 'Statistics', actions.toggleStats);
    this.#stats.setAttribute('aria-pressed', 'false');
    this.#fullscreen = button('fullscreen', 'Fullscreen', actions.toggleFullscreen);
    const escape = el('button', { 'aria-label': 'Press Escape in the game', onclick: actions.escape }, 'Esc');
    const hint = el('span', { class: 'hint' }, 'Menu ', el('kbd', {}, 'F8'), ' Statistics ', el('kbd', {}, 'F3'));
    this.element = el(
      'div',
      { class: 'bar', role: 'toolbar', 'aria-label': 'Game menu', 'data-away': true },
      ...[leave, this.#name, hint, escape, this.#text, this.#microphone, this.#mute, this.#volume],
      ...[this.#stats, this.#settings, this.#fullscreen],
    );
    this.handle = el('button', { class: 'handle', 'aria-label': 'Game menu', onclick: () => this.toggle() }, icon('menu'));
    this.#volume.addEventListener('input', () => this.#setSound(Number(this.#volume.value), false));
    scope.listen(this.element, 'focusin', () => this.#reveal());
    scope.listen(this.element, 'pointermove', () => this.peek());
  }

  get open(): boolean {
    return this.#open;
  }

  set name(name: string) {
    this.#name.textContent = name;
  }

  set fullscreen(on: boolean) {
    this.#fullscreen.replaceChildren(icon(on ? 'windowed' : 'fullscreen'));
    this.#fullscreen.setAttribute('aria-label', on ? 'Leave fullscreen' : 'Fullscreen');
  }

  set statsShown(shown: boolean) {
    this.#stats.setAttribute('aria-pressed', String(shown));
  }

  /** What limits the picture, in a sentence; nothing where all is well. */
  set limited(why: string | undefined) {
    this.#stats.toggleAttribute('data-limited', why !== undefined);
    const label = why === undefined ? 'Statistics' : `Statistics. ${why}`;
    this.#stats.setAttribute('aria-label', label);
    this.#stats.title = label;
  }

  set settingsShown(shown: boolean) {
    this.#settings.setAttribute('aria-expanded', String(shown));
  }

  /** Whether the field for text is open. */
  set typing(typing: boolean) {
    this.#text.setAttribute('aria-pressed', String(typing));
  }

  /** Whether the title waits for text. */
  set textWelcome(welcome: boolean) {
    this.#text.toggleAttribute('data-welcome', welcome);
  }

  set microphone({ kind }: MicrophoneState) {
    const live = kind === 'live';
    this.#microphone.replaceChildren(icon(live ? 'microphone' : 'silent'));
    this.#microphone.setAttribute('aria-pressed', String(live || kind === 'asking'));
    this.#microphone.toggleAttribute('data-live', live);
    const label = live ? 'Turn the microphone off' : 'Turn the microphone on';
    this.#microphone.setAttribute('aria-label', label);
    this.#microphone.title = label;
  }

  /** A mouse moved over the picture at `y` px from its top. */
  mouseAt(y: number): void {
    if (y < EDGE_PX) this.peek();
  }

  /** Shows the bar for a moment, without taking keys from the title. */
  peek(): void {
    this.#reveal();
    if (!this.#open) this.#stopHiding = this.scope.timeout(SHOW_MS, () => this.#hide());
  }

  toggle(): void {
    this.setOpen(!this.#open);
  }

  /** Opens the bar as a menu that keys and pads work, or closes it. */
  setOpen(open: boolean): void {
    if (open === this.#open) return;
    this.#open = open;
    if (open) {
      this.#reveal();
      this.element.querySelector('button')?.focus();
    } else this.#hide();
    this.actions.onMenu(open);
  }

  #reveal(): void {
    this.#stopHiding();
    this.element.removeAttribute('data-away');
  }

  #hide(): void {
    this.#stopHiding();
    this.element.setAttribute('data-away', '');
  }

  #setSound(volume: number, muted: boolean): void {
    this.#muted = muted;
    this.#mute.replaceChildren(icon(muted || volume === 0 ? 'muted' : 'sound'));
    this.#mute.setAttribute('aria-label', muted ? 'Unmute' : 'Mute');
    this.actions.setVolume(volume / 100, muted);
  }
}

function button(name: IconName, label: string, act: () => void): HTMLButtonElement {
  return el('button', { 'aria-label': label, title: label, onclick: act }, icon(name));
}
