/**
 * `<near-frame>`: the player as one element. Puts picture, controls and words together and gives each
 * input device to the title or to the interface; what happens in a session is `session/`'s.
 *
 * Invariant: every start makes a new `Play`, and at most one is open; leaving the document ends it.
 */

import { GamepadPoller } from '../input/gamepad';
import { fitPicture, type Picture } from '../input/geometry';
import { Scope } from '../scope';
import { keptSession, type KeptSession } from '../session/kept';
import { Play } from '../session/session';
import type { View } from '../session/view';
import type { QualityReport } from '../stats/report';
import { Statistics, type DebugLog, type PlayerStats } from '../stats/snapshot';
import { Bar } from './bar';
import { announcement, renderCard } from './cards';
import type { Controls } from './controls';
import type { TitleWish } from '../wire/control';
import { el, icon } from './dom';
import { MENU_POLL_MS, MenuPad } from './menu-pad';
import { isFullscreen, keepAwake, measureRefresh, toggleFullscreen } from './screen';
import type { QualityView } from './quality';
import { applyStyles } from './styles';
import type { TouchControls } from './touch-pad';

/** USB HID usage of Escape, for the button that presses it. */
const ESCAPE = 41;
/** Long enough for a title that looks at keys once a frame. */
const TAP_MS = 50;
/** The node is told of a new size when it has settled. */
const RESIZE_MS = 250;
const ELAPSED_MS = 250;
/** A player who starts has asked for a picture already: the controls are fetched beside it, and again if that failed. */
const FETCH_AGAIN_MS = 1_000;
/** State changes kept for `debug()`. */
const CHANGES_MAX = 256;
/** Until the first frame tells. */
const DEFAULT_PICTURE = { width: 1280, height: 720 };

export class NearFrame extends HTMLElement {
  static readonly observedAttributes = ['title-id', 'title-name', 'cover', 'start', 'pointer'];

  readonly #video = el('video', { playsinline: true, autoplay: true, disablepictureinpicture: true, 'aria-hidden': 'true' });
  readonly #audio = el('audio', { autoplay: true });
  readonly #stage = el('div', { class: 'stage' }, this.#video, this.#audio);
  readonly #cards = el('div');
  readonly #elapsed = el('span', { 'aria-hidden': 'true' });
  readonly #banner = el('div', { class: 'banner', hidden: true }, el('span', {}, 'Connection lost — reconnecting…'), this.#elapsed);
  readonly #soundChip = el('button', { class: 'chip', hidden: true, onclick: () => this.#play?.playSound() }, icon('sound'), 'Tap for sound');
  readonly #rotate = el('div', { class: 'chip rotate', hidden: true }, icon('rotate'), 'Turn your phone for a larger picture');
  readonly #live = el('div', { class: 'sr', role: 'status', 'aria-live': 'polite' });
  #scope = new Scope();
  #playScope = new Scope();
  #bar: Bar | undefined;
  #controls: Controls | undefined;
  #quality: QualityView | undefined;
  readonly #wishes = new Map<TitleWish['type'], TitleWish>();
  #play: Play | undefined;
  #poller: GamepadPoller | undefined;
  #view: View = { kind: 'idle' };
  #stats = new Statistics();
  #touch: TouchControls = { stick: false, buttons: [] };
  #autostarted = false;
  #refresh_hz = 60;
  #changes: { at_ms: number; view: string }[] = [];
  #statsBefore: PlayerStats | undefined;

  constructor() {
    super();
    this.#video.muted = true;
    const root = this.attachShadow({ mode: 'open' });
    applyStyles(root);
    const dismiss = el('button', { 'aria-label': 'Dismiss', onclick: () => this.#rotate.remove() }, icon('close'));
    this.#rotate.append(dismiss);
  }

  connectedCallback(): void {
    this.#scope = new Scope();
    if (!this.hasAttribute('tabindex')) this.tabIndex = 0;
    this.#build();
    this.#capture();
    this.#render();
    measureRefresh(this.#scope, (refresh_hz) => {
      this.#refresh_hz = refresh_hz;
      this.#tellDisplay();
    });
    this.#autostart();
  }

  disconnectedCallback(): void {
    this.leave();
    this.#playScope.close();
    this.#scope.close();
  }

  attributeChangedCallback(): void {
    if (!this.isConnected || this.#bar === undefined) return;
    this.#bar.name = this.#name;
    this.#followPointer();
    if (this.#view.kind !== 'playing') this.#render();
    this.#autostart();
  }

  /** What is going on; the same object that `nearframe-state` events carry. */
  get view(): View {
    return this.#view;
  }

  /** Statistics of the running play, or of the last one. */
  get stats(): PlayerStats {
    return this.#stats.snapshot();
  }

  /** How the last play went; none before it has ended, and where no picture was shown. */
  get report(): QualityReport | undefined {
    return this.#quality?.report;
  }

  get touch(): TouchControls {
    return this.#touch;
  }

  set touch(touch: TouchControls) {
    this.#touch = touch;
    this.#controls?.configure(touch);
  }

  /** Starts the title named by `title-id`; does nothing while one runs. */
  start(): void {
    this.#start(undefined);
  }

  /**
   * Goes on with a session that an earlier page of this browser began. False where this browser cannot, and
   * where one runs already.
   */
  async continue(session: string): Promise<boolean> {
    const kept = await keptSession(session);
    return kept?.title === this.getAttribute('title-id') && this.#start(kept);
  }

  #start(kept: KeptSession | undefined): boolean {
    const title = this.getAttribute('title-id');
    if (title === null || !this.isConnected || isRunning(this.#view)) return false;
    this.#autostarted = true;
    this.#playScope.close();
    this.#playScope = this.#scope.child();
    const play = this.#newPlay(title, kept);
    this.#play = play;
    this.#stats = play.stats;
    this.#quality?.begin(play.stats);
    this.#poller = new GamepadPoller(play.input, () => this.#controls?.usedOther());
    this.#playScope.add(() => play.leave());
    this.#fetchParts();
    keepAwake(this.#playScope);
    play.start();
    this.focus({ preventScroll: true });
    return true;
  }

  /** Ends the play and gives its machine back. */
  leave(): void {
    this.#play?.leave();
  }

  override async requestFullscreen(options?: FullscreenOptions): Promise<void> {
    if ('requestFullscreen' in HTMLElement.prototype && document.fullscreenEnabled) await super.requestFullscreen(options);
    else this.setAttribute('data-fill', '');
  }

  /** Raw values for benches and tests. */
  debug(): DebugLog {
    const { frames, first_frame_ms } = this.#stats;
    return {
      frame_ages_ms: frames.ages_ms.newest(),
      input_visible_ms: frames.inputs_ms.newest(),
      shown_at_ms: frames.shown_at_ms.newest(),
      first_frame_ms,
      frames_matched: frames.matched,
      frames_unmatched: frames.unmatched,
      keyframes: frames.keyframes,
      state_changes: [...this.#changes],
    };
  }

  get #name(): string {
    return this.getAttribute('title-name') ?? this.getAttribute('title-id') ?? '';
  }

  #autostart(): void {
    if (!this.hasAttribute('start') || this.#autostarted || this.#view.kind !== 'idle') return;
    this.start();
  }

  #build(): void {
    const bar = new Bar(this.#scope, {
      leave: () => this.leave(),
      escape: () => this.#pressEscape(),
      toggleText: () => this.#toggleText(),
      toggleMicrophone: () => this.#controls?.microphone.toggle(),
      toggleSettings: () => this.#showSettings(this.#controls?.settings.shown !== true),
      toggleStats: () => this.#toggleStats(),
      toggleFullscreen: () => void toggleFullscreen(this).catch(() => undefined).then(() => this.#screenChanged()),
      setVolume: (volume, muted) => {
        this.#audio.volume = volume;
        this.#audio.muted = muted;
      },
      onMenu: (open) => this.#menuChanged(open),
    });
    bar.name = this.#name;
    this.#bar = bar;
    const parts = [this.#stage, this.#banner, this.#soundChip, this.#rotate];
    const styles = this.shadowRoot?.querySelectorAll('style') ?? [];
    this.shadowRoot?.replaceChildren(...styles, ...parts, bar.handle, bar.element, this.#cards, this.#live);
    this.#controls = undefined;
    this.#quality = undefined;
  }

  /** What hands and eyes need comes beside the first start, never ahead of it: a catalogue has no use for it. */
  #fetchParts(): void {
    const scope = this.#scope;
    const bar = this.#bar;
    if (bar === undefined || this.#controls !== undefined) return;
    Promise.all([import('./controls'), import('./quality')])
      .then(([controls, quality]) => {
        if (scope.closed || this.#controls !== undefined) return;
        this.#addControls(this.#newControls(controls.Controls, bar));
        this.#addQuality(quality, bar);
      })
      .catch(() => scope.timeout(FETCH_AGAIN_MS, () => this.#fetchParts()));
  }

  #addQuality({ QualityView: Make, QUALITY_STYLES }: typeof import('./quality'), bar: Bar): void {
    if (this.shadowRoot !== null) applyStyles(this.shadowRoot, QUALITY_STYLES);
    this.#quality = new Make(this.#scope, {
      renewBuffers: () => this.#play?.renewBuffers(),
      reattach: () => this.#play?.reattach(),
      limited: (why) => {
        bar.limited = why;
      },
    });
    this.#banner.before(...this.#quality.elements);
    if (isRunning(this.#view)) this.#quality.begin(this.#stats);
  }

  #addControls(controls: Controls): void {
    this.#controls = controls;
    this.#stage.after(...controls.below);
    this.#cards.before(...controls.above);
    controls.configure(this.#touch);
    this.#followPointer();
    controls.connect(isRunning(this.#view) ? this.#play : undefined, hasPicture(this.#view));
    controls.greeted();
    for (const wish of this.#wishes.values()) controls.obey(wish);
  }

  /** What the title wished last of each kind is kept: it may come before the controls do. */
  #obey(wish: TitleWish): void {
    this.#wishes.set(wish.type, wish);
    this.#controls?.obey(wish);
  }

  #newControls(Make: typeof Controls, bar: Bar): Controls {
    return new Make(this.#scope, {
      stage: this.#stage,
      picture: () => this.#picture(),
      pointed: () => hasPicture(this.#view),
      keysWanted: () => this.#keysWanted(),
      shortcut: (event) => this.#shortcut(event),
      usedPointer: () => {
        this.#focusGame();
        bar.setOpen(false);
        this.#showSettings(false);
      },
      onText: (mode) => {
        bar.typing = mode === 'soft';
      },
      onTextWelcome: (welcome) => {
        bar.textWelcome = welcome;
      },
      onMicrophone: (state) => {
        bar.microphone = state;
      },
      closeSettings: () => {
        this.#showSettings(false);
        this.#focusGame();
      },
    });
  }

  #followPointer(): void {
    if (this.#controls !== undefined) this.#controls.pageWantsLock = this.getAttribute('pointer') === 'relative';
  }

  #newPlay(title: string, kept: KeptSession | undefined): Play {
    this.#wishes.clear();
    return new Play({
      ...(kept && { kept }),
      ...(this.hasAttribute('group') && { group: this.getAttribute('group') ?? '' }),
      server: this.getAttribute('server') ?? location.origin,
      title,
      video: this.#video,
      audio: this.#audio,
      onView: (view) => this.#setView(view),
      onStats: () => this.#statsChanged(),
      onSoundBlocked: (blocked) => {
        this.#soundChip.hidden = !blocked;
      },
      onRumble: (rumble) => this.#poller?.rumble(rumble),
      onFastTick: () => this.#fastTick(),
      onGreeted: () => {
        this.#tellDisplay();
        this.#controls?.greeted();
      },
      onWish: (wish) => this.#obey(wish),
    });
  }

  #setView(view: View): void {
    const cut = this.#view.kind === 'reconnecting';
    this.#view = view;
    if (this.#changes.length < CHANGES_MAX) this.#changes.push({ at_ms: performance.now(), view: view.kind });
    if (!isRunning(view)) {
      this.#playScope.close();
      this.#quality?.end(performance.now(), cut);
    }
    this.#render();
    this.dispatchEvent(new CustomEvent<View>('nearframe-state', { detail: view, bubbles: true, composed: true }));
  }

  #statsChanged(): void {
    this.#statsBefore = this.#stats.snapshot();
    this.#quality?.second(this.#statsBefore, performance.now());
    this.dispatchEvent(new CustomEvent<PlayerStats>('nearframe-stats', { detail: this.#statsBefore, bubbles: true, composed: true }));
  }

  #render(): void {
    const view = this.#view;
    const shown = hasPicture(view);
    const cover = this.getAttribute('cover') ?? undefined;
    const report = this.#quality?.card();
    const cards = renderCard(view, { name: this.#name, cover, report, start: () => this.start(), leave: () => this.leave() });
    const hadFocus = this.#cards.contains(this.shadowRoot?.activeElement ?? null);
    this.#cards.replaceChildren(...cards);
    this.#banner.hidden = view.kind !== 'reconnecting';
    this.#stage.toggleAttribute('data-dim', view.kind === 'reconnecting');
    this.#rotate.hidden = !shown || this.#video.videoHeight > this.#video.videoWidth;
    if (!shown) {
      this.#soundChip.hidden = true;
      this.#bar?.setOpen(false);
      this.#showSettings(false);
    }
    if (this.#bar !== undefined) {
      this.#bar.element.hidden = !shown;
      this.#bar.handle.hidden = !shown;
    }
    // Screen readers pass keys on to an application; words and buttons are read in a group.
    this.setAttribute('role', shown ? 'application' : 'group');
    this.setAttribute('aria-label', this.#name);
    this.#controls?.connect(isRunning(view) ? this.#play : undefined, shown);
    this.#live.textContent = announcement(view, this.#name);
    if (hadFocus || document.activeElement === this) this.#moveFocus(shown);
  }

  /** A keyboard's focus never falls back to the page when a card goes. */
  #moveFocus(shown: boolean): void {
    const button = this.#cards.querySelector<HTMLElement>('button.primary, button');
    if (shown || button === null) this.#focusGame();
    else button.focus({ preventScroll: true });
  }

  #capture(): void {
    const scope = this.#scope;
    scope.listen<PointerEvent>(this.#stage, 'pointermove', (event) => {
      if (event.pointerType === 'mouse' && hasPicture(this.#view)) this.#bar?.mouseAt(event.clientY - this.getBoundingClientRect().top);
    });
    scope.listen(document, 'pointerlockchange', () => {
      if (!document.pointerLockElement && hasPicture(this.#view)) this.#bar?.peek();
    });
    // A button pressed with mouse or finger gives the keys back to the title at once.
    scope.listen(this, 'click', () => {
      if (hasPicture(this.#view) && this.#bar?.open !== true && this.#controls?.settings.shown !== true) this.#focusGame();
    });
    scope.listen(document, 'fullscreenchange', () => this.#screenChanged());
    scope.listen(window, 'blur', () => this.#play?.input.setFocused(false));
    scope.listen(window, 'focus', () => this.#play?.input.setFocused(true));
    for (const gesture of ['pointerdown', 'keydown']) {
      scope.listen(window, gesture, () => {
        if (!this.#soundChip.hidden) this.#play?.playSound();
      }, { capture: true });
    }
    this.#followSize();
    const menu = this.#menuPad();
    scope.interval(MENU_POLL_MS, () => {
      if (!document.hasFocus()) return;
      if (hasPicture(this.#view) && this.#bar?.open !== true) menu.watch(performance.now());
      else menu.navigate();
    });
    scope.interval(ELAPSED_MS, () => {
      if (this.#view.kind === 'reconnecting') this.#elapsed.textContent = `${Math.floor((performance.now() - this.#view.since_ms) / 1000)} s`;
    });
  }

  #followSize(): void {
    let stop = (): void => undefined;
    const observer = new ResizeObserver(() => {
      this.#controls?.place();
      stop();
      stop = this.#scope.timeout(RESIZE_MS, () => this.#tellDisplay());
    });
    observer.observe(this);
    this.#scope.add(() => observer.disconnect());
  }

  #menuPad(): MenuPad {
    const buttons = (): HTMLElement[] => {
      const settings = this.#controls?.settings;
      const within = settings?.shown === true ? settings.element : this.#bar?.open === true ? this.#bar.element : this.#cards;
      return [...within.querySelectorAll<HTMLElement>('button')];
    };
    const focused = (): HTMLElement | undefined => buttons().find((button) => button === this.shadowRoot?.activeElement);
    return new MenuPad({
      press: () => (focused() ?? (this.#ownsFocus ? buttons()[0] : undefined))?.click(),
      back: () => this.#bar?.setOpen(false),
      move: (step) => {
        const all = buttons();
        const at = focused();
        const next = at === undefined ? 0 : (all.indexOf(at) + step + all.length) % all.length;
        if (this.#ownsFocus) all[next]?.focus();
      },
      openMenu: () => this.#bar?.setOpen(true),
      toggleStats: () => this.#toggleStats(),
    });
  }

  /** Whether a pad's press is meant for this element and not for the page around it. */
  get #ownsFocus(): boolean {
    const active = document.activeElement;
    return active === null || active === document.body || active === this;
  }

  #keysWanted(): boolean {
    const focused = this.shadowRoot?.activeElement ?? null;
    const game = focused === null || focused === this.#controls?.text.element;
    return hasPicture(this.#view) && this.#bar?.open !== true && this.#ownsFocus && game;
  }

  #shortcut(event: KeyboardEvent): boolean {
    if (!hasPicture(this.#view) || !this.#ownsFocus) return false;
    if (event.code === 'Escape' && this.#controls?.settings.shown === true) {
      this.#showSettings(false);
      this.#focusGame();
      return true;
    }
    if (event.code === 'F3' || (event.code === 'KeyS' && event.ctrlKey && event.shiftKey)) {
      if (!event.repeat) this.#toggleStats();
      return true;
    }
    if (event.code === 'F8' || (event.code === 'Escape' && this.#bar?.open === true)) {
      if (!event.repeat) this.#bar?.toggle();
      return true;
    }
    return false;
  }

  #menuChanged(open: boolean): void {
    if (open) this.#controls?.pause();
    else if (hasPicture(this.#view)) this.#focusGame();
  }

  /** Keys go to the title; while it is typed in, through the field that takes text. */
  #focusGame(): void {
    const text = this.#controls?.text;
    if (text !== undefined && text.mode !== 'off') text.element.focus({ preventScroll: true });
    else this.focus({ preventScroll: true });
  }

  #toggleText(): void {
    this.#bar?.setOpen(false);
    this.#controls?.toggleText();
  }

  #showSettings(shown: boolean): void {
    const settings = this.#controls?.settings;
    if (settings === undefined || settings.shown === shown) return;
    if (shown) this.#bar?.setOpen(false);
    settings.shown = shown;
    if (shown) this.#controls?.pause();
    if (this.#bar !== undefined) this.#bar.settingsShown = shown;
  }

  #toggleStats(): void {
    this.#quality?.toggle(this.#statsBefore ?? this.#stats.snapshot());
    if (this.#bar !== undefined) this.#bar.statsShown = this.#quality?.panel.shown === true;
  }

  #pressEscape(): void {
    const input = this.#play?.input;
    input?.key(ESCAPE, true);
    this.#playScope.timeout(TAP_MS, () => input?.key(ESCAPE, false));
    this.#bar?.setOpen(false);
    this.focus({ preventScroll: true });
  }

  #screenChanged(): void {
    if (this.#bar !== undefined) this.#bar.fullscreen = isFullscreen(this);
  }

  #fastTick(): void {
    const menu = this.#bar?.open === true || this.#controls?.settings.shown === true;
    if (document.hasFocus() && !menu) this.#poller?.poll();
  }

  #picture(): Picture {
    // The title's own size: what is sent may be smaller, while motion and pointers are in the title's pixels.
    const { width, height } = this.#stats.session ?? DEFAULT_PICTURE;
    return fitPicture(width, height, this.#video.getBoundingClientRect());
  }

  #tellDisplay(): void {
    const ratio = window.devicePixelRatio || 1;
    const { shown_width, shown_height } = this.#picture();
    this.#play?.display(Math.round(shown_width * ratio), Math.round(shown_height * ratio), this.#refresh_hz);
  }
}

function isRunning(view: View): boolean {
  return view.kind === 'starting' || view.kind === 'playing' || view.kind === 'reconnecting';
}

function hasPicture(view: View): boolean {
  return view.kind === 'playing' || view.kind === 'reconnecting';
}

declare global {
  interface HTMLElementTagNameMap {
    'near-frame': NearFrame;
  }
  interface HTMLElementEventMap {
    'nearframe-state': CustomEvent<View>;
    'nearframe-stats': CustomEvent<PlayerStats>;
  }
}
