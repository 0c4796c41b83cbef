/** The small sign over the picture while something limits it: never for a moment's trouble, and gone when all is well. */

import { isTrouble, type Verdict } from '../stats/verdict';
import type { Limit } from '../wire/control';
import { drawing, el } from './dom';

/** Seconds of trouble before the sign comes, and of none before it goes. */
const COMES_AFTER = 5;
const GOES_AFTER = 3;

/** Paths on a 24 × 24 grid, stroked: a radio signal, a machine's rack, a screen, a gauge. */
const SIGNS: Readonly<Record<Exclude<Limit, 'none'>, string>> = {
  network: 'M2.500 9a14 14 0 0 1 19 0M5.800 12.500a9 9 0 0 1 12.400 0M9 16a4.500 4.500 0 0 1 6 0M12 19.500h.01',
  node: 'M4 4h16v7H4zM4 13h16v7H4zM8 7.500h.01M8 16.500h.01M12 7.500h4M12 16.500h4',
  device: 'M3 4h18v12H3zM8 20h8M12 16v4M9 8l6 4M15 8l-6 4',
  data_cap: 'M4 17a8 8 0 1 1 16 0M12 17l4-5',
};

export function sign(limit: Exclude<Limit, 'none'>): SVGSVGElement {
  return drawing('0 0 24 24', ['path', { d: SIGNS[limit] }]);
}

export class QualitySign {
  readonly element = el('div', { class: 'sign', role: 'img', hidden: true });
  #trouble = 0;
  #well = 0;

  /** A second with this verdict; says what limits the picture where the sign shows. */
  second(verdict: Verdict): string | undefined {
    if (isTrouble(verdict)) {
      this.#trouble += 1;
      this.#well = 0;
      if (this.#trouble > COMES_AFTER) this.#show(verdict);
    } else {
      this.#well += 1;
      if (this.element.hidden || this.#well >= GOES_AFTER) this.hide();
    }
    return this.element.hidden ? undefined : (this.element.getAttribute('aria-label') ?? undefined);
  }

  hide(): void {
    this.#trouble = 0;
    this.#well = 0;
    this.element.hidden = true;
  }

  #show(verdict: Verdict): void {
    if (verdict.limit === 'none') return;
    this.element.hidden = false;
    if (this.element.getAttribute('aria-label') === verdict.sentence) return;
    this.element.setAttribute('aria-label', verdict.sentence);
    this.element.replaceChildren(sign(verdict.limit));
  }
}
