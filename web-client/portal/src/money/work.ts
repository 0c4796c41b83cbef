/** Kinds of work in the words of the pages. */
import type { PriceRate } from './api';

export const WORK: Readonly<Record<PriceRate['work'], string>> = {
  interactive: 'A player’s session',
  batch: 'A session that may be interrupted',
  reserve: 'A seat that stands by',
};
