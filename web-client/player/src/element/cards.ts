/** What lies over the picture while nothing is played: start, progress, end, failure. */

import type { Waiting } from '../session/state';
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
      return view.waiting === undefined ? (STEPS.find(([step]) => step === view.step)?.[1] ?? '') : waitingText(view.waiting);
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
      return [cover(context, true), startingCard(view.step, view.waiting, context)];
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

/** What somebody who waits is told: no more than is known. */
export function waitingText({ place, likely_ms, at_most_ms, gathered }: Waiting): string {
  if (gathered !== undefined) return `Waiting for your group: ${gathered.joined} of ${gathered.size} are here.`;
  if (place === undefined) return 'Waiting for a free seat.';
  const words = `Every seat is taken. You are number ${place} in the queue`;
  if (likely_ms === undefined || at_most_ms === undefined) return `${words}. How long it takes cannot be told yet.`;
  return `${words}: probably ${duration(likely_ms)}, hardly more than ${duration(at_most_ms)}.`;
}

function duration(ms: number): string {
  const minutes = Math.ceil(ms / 60_000);
  if (ms < 55_000) return `${Math.max(5, Math.ceil(ms / 5_000) * 5)} seconds`;
  if (minutes < 90) return minutes === 1 ? 'a minute' : `${minutes} minutes`;
  return `${Math.ceil(minutes / 60)} hours`;
}

function startingCard(now: StartStep, waiting: Waiting | undefined, { name, leave }: CardContext): HTMLElement {
  const at = STEPS.findIndex(([step]) => step === now);
  const items = STEPS.map(([, label], i) => {
    const state = i < at ? 'done' : i === at ? 'now' : 'later';
    return el('li', { 'data-state': state, 'aria-current': i === at ? 'step' : false }, label);
  });
  const cancel = el('button', { class: 'quiet', onclick: leave }, waiting === undefined ? 'Cancel' : 'Stop waiting');
  const body = waiting === undefined ? el('ol', { class: 'steps' }, ...items) : el('p', { class: 'waiting' }, waitingText(waiting));
  return el('div', { class: 'card' }, el('h2', {}, name), body, el('div', { class: 'actions' }, cancel));
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
