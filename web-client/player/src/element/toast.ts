/** One short message over the picture, with at most one thing to press; the newest replaces the one before. */

import type { Scope } from '../scope';
import { el, icon } from './dom';

/** Long enough to read a sentence twice. */
const SHOW_MS = 7_000;

export interface ToastAction {
  readonly label: string;
  readonly act: () => void;
}

export class Toast {
  readonly element = el('div', { class: 'toast', role: 'status', hidden: true });
  #stop: () => void = () => undefined;
  /** What the message shown now is about. */
  #topic = '';

  constructor(private readonly scope: Scope) {}

  /** Goes by itself. */
  show(topic: string, text: string, action?: ToastAction): void {
    this.#stop();
    this.#topic = topic;
    const parts: HTMLElement[] = [el('span', {}, text)];
    if (action) parts.push(el('button', { class: 'act', onclick: () => this.#act(action) }, action.label));
    parts.push(el('button', { 'aria-label': 'Dismiss', onclick: () => this.hide() }, icon('close')));
    this.element.replaceChildren(...parts);
    this.element.hidden = false;
    this.#stop = this.scope.timeout(SHOW_MS, () => this.hide());
  }

  /** Hides the message of this topic, or whichever is shown. */
  hide(topic = this.#topic): void {
    if (topic !== this.#topic) return;
    this.#stop();
    this.element.hidden = true;
  }

  #act({ act }: ToastAction): void {
    this.hide();
    act();
  }
}
