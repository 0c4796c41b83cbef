/** What lies over the picture while nothing is played: start, progress, end, failure. */

import type { StartStep, View } from '../session/view';
import { el, icon } from './dom';

const STEPS: readonly (readonly [StartStep, string])[] = [
  ['finding', 'Finding a machine…'],
  ['connecting', 'Connecting…'],
  ['picture', 'Starting the picture…'],
];

export interface CardContext {
  readonly name: string;
  readonly cover: string | undefined;
  /** How the play went that has ended; none where nothing was played. */
  readonly report: HTMLElement | undefined;
  readonly start: () => void;
  readonly leave: () => void;
}

/** What a screen reader is told. */
export function announcement(view: View, name: string): string {
  switch (view.kind) {
    case 'idle':
      return '';
    case 'starting':
      return STEPS.find(([step]) => step === view.step)?.[1] ?? '';
    case 'playing':
      return `Playing ${name}. F8 opens the menu.`;
    case 'reconnecting':
      return 'Connection lost. Reconnecting.';
    case 'ended':
      return view.message;
    case 'failed':
      return `${view.problem.title}. ${view.problem.detail}`;
  }
}

/** Cover and card for a view; nothing where the picture is to be seen. */
export function renderCard(view: View, context: CardContext): HTMLElement[] {
  switch (view.kind) {
    case 'idle':
      return [cover(context, false), idleCard(context)];
    case 'starting':
      return [cover(context, true), startingCard(view.step, context)];
    case 'ended':
      return [cover(context, true), card(view.message, undefined, context.report, playAgain('Play again', context))];
    case 'failed':
      return [cover(context, true), card(view.problem.title, view.problem.detail, context.report, playAgain('Try again', context))];
    case 'playing':
    case 'reconnecting':
      return [];
  }
}

function cover({ cover: url }: CardContext, soft: boolean): HTMLElement {
  const element = el('div', { class: 'cover', 'data-soft': soft });
  if (url !== undefined) element.style.backgroundImage = `url(${JSON.stringify(url)})`;
  return element;
}

function idleCard({ name, start }: CardContext): HTMLElement {
  const button = el('button', { class: 'primary big', 'aria-label': `Play ${name}`, onclick: start }, icon('play'));
  return el('div', { class: 'card' }, button, el('h2', {}, name));
}

function startingCard(now: StartStep, { name, leave }: CardContext): HTMLElement {
  const at = STEPS.findIndex(([step]) => step === now);
  const items = STEPS.map(([, label], i) => {
    const state = i < at ? 'done' : i === at ? 'now' : 'later';
    return el('li', { 'data-state': state, 'aria-current': i === at ? 'step' : false }, label);
  });
  const cancel = el('button', { class: 'quiet', onclick: leave }, 'Cancel');
  return el('div', { class: 'card' }, el('h2', {}, name), el('ol', { class: 'steps' }, ...items), el('div', { class: 'actions' }, cancel));
}

function card(title: string, detail: string | undefined, report: HTMLElement | undefined, ...actions: HTMLElement[]): HTMLElement {
  const element = el('div', { class: 'card', role: 'group' }, el('h2', {}, title));
  if (detail !== undefined) element.append(el('p', {}, detail));
  if (report !== undefined) element.append(report);
  element.append(el('div', { class: 'actions' }, ...actions));
  return element;
}

function playAgain(label: string, { start }: CardContext): HTMLElement {
  return el('button', { class: 'primary', onclick: start }, label);
}
