/**
 * Everything the player's hands, voice and clipboard do while a title plays, and what the title asks of them:
 * keyboard, mouse, fingers, text, pointer lock, cursor, microphone. `near-frame.ts` says when they are the
 * title's; nothing here knows a session's life.
 */

import { Clipboard } from '../input/clipboard';
import { captureKeyboard } from '../input/keyboard';
import { detectLayout, layoutById, layoutId, type KeyboardLayout } from '../input/layout';
import { Microphone, type MicrophoneState } from '../input/microphone';
import type { Picture } from '../input/geometry';
import { capturePointer } from '../input/pointer';
import { PointerLock, type LockState } from '../input/pointer-lock';
import type { InputSender } from '../input/sender';
import { TextEntry, type TextMode } from '../input/text';
import { networkKind, watchNetwork } from '../network';
import type { Scope } from '../scope';
import type { Play } from '../session/session';
import type { TitleWish } from '../wire/control';
import { CursorView } from './cursor';
import { capOn, loadPreferences, type Preferences } from './preferences';
import { SettingsPanel } from './settings';
import { Toast } from './toast';
import { TouchLayoutView } from './touch-layout';
import { TouchPad, type TouchControls } from './touch-pad';

const LOCK_HINTS: Readonly<Partial<Record<LockState, string>>> = {
  ready: 'Click to capture the mouse. Esc frees it.',
  again: 'The mouse is free. Click the picture to capture it again.',
  refused: 'This browser does not let the game capture the mouse. Looking around may stop at the edges.',
};

export interface ControlsHost {
  readonly stage: HTMLElement;
  readonly picture: () => Picture;
  /** Whether there is a picture to point at. */
  readonly pointed: () => boolean;
  /** Whether keys go to the title now, rather than to page or menu. */
  readonly keysWanted: () => boolean;
  readonly shortcut: (event: KeyboardEvent) => boolean;
  readonly usedPointer: () => void;
  readonly onText: (mode: TextMode) => void;
  readonly onTextWelcome: (welcome: boolean) => void;
  readonly onMicrophone: (state: MicrophoneState) => void;
  readonly closeSettings: () => void;
}

export class Controls {
  readonly text: TextEntry;
  readonly settings: SettingsPanel;
  readonly microphone: Microphone;
  readonly #toast: Toast;
  readonly #pad: TouchPad;
  readonly #layout: TouchLayoutView;
  readonly #lock: PointerLock;
  readonly #cursor: CursorView;
  readonly #clipboard: Clipboard;
  #play: Play | undefined;
  #shown = false;
  #detected: KeyboardLayout = { layout: 'us', variant: '' };
  /** What the page's author asked for; the title may ask as well. */
  #pageWantsLock = false;
  #titleWantsLock = false;
  #textWelcome = false;
  /** The data limit that the node knows of; `undefined` where it knows nothing yet. */
  #told_kbps: number | null | undefined;

  constructor(
    scope: Scope,
    private readonly host: ControlsHost,
  ) {
    const sender = (): InputSender | undefined => this.#play?.input;
    const { stage, picture } = host;
    this.#toast = new Toast(scope);
    this.#pad = new TouchPad(scope);
    this.#layout = new TouchLayoutView(scope, { picture, used: () => this.#usedPointer('touch') });
    this.text = new TextEntry(scope, sender, (mode) => host.onText(mode));
    this.#lock = new PointerLock(scope, stage, (state) => this.#hint(state));
    this.#cursor = new CursorView(scope, stage, picture);
    this.microphone = new Microphone((track) => this.#play?.microphone(track), (state) => this.#microphoneIs(state));
    scope.add(() => this.microphone.off());
    this.settings = new SettingsPanel(loadPreferences(), { changed: (to) => this.#prefer(to), close: host.closeSettings });
    this.#clipboard = new Clipboard(scope, {
      sender,
      wanted: () => host.keysWanted(),
      send: (text) => this.#play?.clipboard(text) ?? true,
      offer: (text) => this.#offerCopy(text),
      tooLong: () => this.#toast.show('clipboard', 'The text on your clipboard is too long for the game.'),
    });
    captureKeyboard(scope, {
      sender,
      wanted: () => host.keysWanted(),
      shortcut: (event) => host.shortcut(event),
      becomesText: (event) => this.text.takes(event),
      pastes: (event) => this.#clipboard.key(event),
      settle: () => this.#clipboard.settle(),
      used: () => this.usedOther(),
    });
    capturePointer(scope, stage, sender, {
      wanted: () => host.pointed(),
      lock: this.#lock,
      touches: () => (this.#layout.available ? 'mouse' : 'direct'),
      picture,
      used: (type) => this.#usedPointer(type),
    });
    scope.listen(window, 'focus', () => this.#detect());
    watchNetwork(scope, () => this.#tellCap());
    const coarse = matchMedia('(pointer: coarse)').matches;
    this.#pad.wanted = coarse;
    this.#layout.wanted = coarse;
    this.#prefer(this.settings.preferences);
    this.#detect();
  }

  /** What lies over the picture and below the menu, lowest first. */
  get below(): HTMLElement[] {
    return [this.text.element, this.#pad.element, this.#layout.element];
  }

  /** What lies over the menu. */
  get above(): HTMLElement[] {
    return [this.settings.element, this.#toast.element];
  }

  configure(touch: TouchControls): void {
    const layouts = touch.layouts ?? [];
    this.#layout.configure(layouts);
    this.#pad.configure(this.#layout.available ? { stick: false, buttons: [] } : touch);
    this.settings.touchable = this.#layout.available || this.#pad.available;
  }

  /** The play that hands work on, and whether its picture shows; none gives everything back to the page. */
  connect(play: Play | undefined, shown: boolean): void {
    const changed = play !== this.#play;
    if (changed || !shown) this.#letGo(changed);
    this.#play = play;
    this.#shown = shown;
    const sender = shown ? play?.input : undefined;
    this.#pad.connect(sender);
    this.#layout.connect(sender);
    this.#wantLock();
    if (shown && this.#textWelcome) this.#welcomeText(true);
  }

  /** The node listens: it is told of keyboard, data limit and microphone. */
  greeted(): void {
    this.#tellLayout();
    this.#told_kbps = undefined;
    this.#tellCap();
    if (this.microphone.track !== undefined) this.#play?.microphone(this.microphone.track);
  }

  obey(wish: TitleWish): void {
    switch (wish.type) {
      case 'cursor':
        this.#cursor.cursor = wish.cursor;
        break;
      case 'pointer_locked':
        this.#titleWantsLock = wish.locked;
        this.#wantLock();
        break;
      case 'text_input':
        this.#welcomeText(wish.active);
        break;
      case 'clipboard':
        this.#clipboard.fromTitle(wish.text);
        break;
      case 'warning':
        this.#toast.show('warning', wish.text);
        break;
    }
  }

  set pageWantsLock(wanted: boolean) {
    this.#pageWantsLock = wanted;
    this.#wantLock();
  }

  /** From a button: a phone's keyboard comes only inside a gesture. */
  toggleText(): void {
    if (this.text.mode === 'soft') this.text.close();
    else this.text.open('soft');
  }

  /** The menu opened: what is held is let go, and the mouse is free. */
  pause(): void {
    this.#play?.input.releaseAll();
    this.#layout.releaseAll();
    this.#lock.release();
  }

  /** The picture or the element has another size. */
  place(): void {
    this.#layout.place();
  }

  /** Another device than the screen is in the player's hands. */
  usedOther(): void {
    this.#toast.hide('lock');
    this.#play?.input.setFocused(true);
    this.#pad.wanted = false;
    this.#layout.wanted = false;
  }

  #usedPointer(type: string): void {
    this.#play?.input.setFocused(true);
    if (type === 'touch') {
      this.#pad.wanted = true;
      this.#layout.wanted = true;
    }
    this.host.usedPointer();
  }

  #letGo(ended: boolean): void {
    this.#layout.releaseAll();
    this.text.close();
    if (!ended) return;
    this.#titleWantsLock = false;
    this.#textWelcome = false;
    this.#cursor.reset();
    this.microphone.off();
    this.host.onTextWelcome(false);
    this.#toast.hide();
  }

  #wantLock(): void {
    this.#lock.wanted = this.#shown && (this.#pageWantsLock || this.#titleWantsLock);
  }

  #hint(state: LockState): void {
    const text = LOCK_HINTS[state];
    const mouse = matchMedia('(any-pointer: fine)').matches;
    if (text === undefined || !mouse) this.#toast.hide('lock');
    else this.#toast.show('lock', text);
  }

  /** With a real keyboard the field opens by itself, so that an input method has something to write to. */
  #welcomeText(welcome: boolean): void {
    this.#textWelcome = welcome;
    this.host.onTextWelcome(welcome);
    if (!welcome) {
      if (this.text.mode === 'composing') this.text.close();
    } else if (this.text.mode === 'off' && !matchMedia('(pointer: coarse)').matches && this.host.keysWanted()) {
      this.text.open('composing');
    }
  }

  #offerCopy(text: string): void {
    const copy = (): void => {
      this.#clipboard.write(text).catch(() => this.#toast.show('clipboard', 'The browser did not allow copying.'));
    };
    this.#toast.show('clipboard', 'The game has text for your clipboard.', { label: 'Copy', act: copy });
  }

  #microphoneIs(state: MicrophoneState): void {
    this.host.onMicrophone(state);
    if (state.kind === 'failed') this.#toast.show('microphone', state.why);
    else if (state.kind === 'live') this.#toast.show('microphone', 'The game hears you now.');
    else this.#toast.hide('microphone');
  }

  #prefer({ touchOpacity, touchHidden }: Preferences): void {
    for (const part of [this.#pad, this.#layout]) {
      part.opacity = touchOpacity;
      part.hidden = touchHidden;
    }
    this.#tellLayout();
    this.#tellCap();
  }

  #detect(): void {
    void detectLayout().then((layout) => {
      const changed = layoutId(layout) !== layoutId(this.#detected);
      this.#detected = layout;
      this.settings.detected = layoutId(layout);
      if (changed) this.#tellLayout();
    });
  }

  #tellLayout(): void {
    const { layout, variant } = layoutById(this.settings.preferences.layout) ?? this.#detected;
    this.#play?.keyboard(layout, variant);
  }

  #tellCap(): void {
    const kbps = capOn(networkKind(), this.settings.preferences);
    if (kbps === this.#told_kbps) return;
    this.#told_kbps = kbps;
    this.#play?.dataCap(kbps);
  }
}
