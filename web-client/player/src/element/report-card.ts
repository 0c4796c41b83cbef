/** How a play went, on the card after it. */

import type { QualityReport, Stretch } from '../stats/report';
import { drawing, el } from './dom';
import { verdictLines } from './stats-panel';

/** The drawing's own units: it is stretched to the card's width. */
const WIDTH = 480;
const HEIGHT = 64;
/** The scale reaches at least this far, so that a good play looks like one. */
const SCALE_MS = 50;

export function reportCard(report: QualityReport): HTMLElement {
  const tiles = reportRows(report).map(({ label, value, more }) =>
    el('div', {}, el('dt', {}, label), el('dd', {}, value, ...(more === undefined ? [] : [el('small', {}, more)]))),
  );
  const card = el('section', { class: 'report', 'aria-label': 'How it went' }, el('dl', {}, ...tiles));
  const drawn = timeline(report.timeline);
  if (drawn !== undefined) card.append(drawn);
  card.append(el('div', { class: 'verdict' }, ...verdictLines(report.verdict)));
  return card;
}

export interface ReportRow {
  readonly label: string;
  readonly value: string;
  readonly more?: string;
}

/** Each figure that was measured. */
export function reportRows(report: QualityReport): ReportRow[] {
  const { frame_age_ms: age, input_visible_ms: input, full_s, reduced_s, stalls, reconnections, used_bytes } = report;
  return [
    { label: 'Played', value: duration(report.played_s) },
    ...(age ? [{ label: 'Picture delay', value: `${ms(age.p50)} ms`, more: `95% within ${ms(age.p95)} ms` }] : []),
    ...(input ? [{ label: 'Input to picture', value: `${ms(input.p50)} ms`, more: `95% within ${ms(input.p95)} ms` }] : []),
    ...(full_s === undefined ? [] : [{ label: 'Full picture', value: duration(full_s) }]),
    ...(reduced_s === undefined ? [] : [{ label: 'Reduced picture', value: duration(reduced_s) }]),
    stalls.count === 0 ? { label: 'Stalls', value: 'None' } : { label: 'Stalls', value: String(stalls.count), more: `${stalls.total_s.toFixed(1)} s in all` },
    { label: 'Reconnections', value: reconnections === 0 ? 'None' : String(reconnections) },
    ...(used_bytes === undefined ? [] : [{ label: 'Data used', value: bytes(used_bytes) }]),
  ];
}

/** A line of the picture's delay over stripes where it was reduced or stood; nothing for a play of moments. */
function timeline(stretches: readonly Stretch[]): HTMLElement | undefined {
  const ages = stretches.map(({ age_ms }) => age_ms).filter((age_ms) => age_ms !== undefined);
  if (ages.length < 2) return undefined;
  const whole_s = stretches.reduce((sum, { seconds }) => sum + seconds, 0);
  const top_ms = Math.max(SCALE_MS, ...ages);
  const stripes: Stripe[] = [];
  let line = '';
  let x = 0;
  for (const { seconds, age_ms, reduced, stalled } of stretches) {
    const width = (seconds / whole_s) * WIDTH;
    if (stalled || reduced) extend(stripes, stalled ? 'stalled' : 'reduced', x, width);
    if (age_ms !== undefined) {
      const y = HEIGHT - 1 - (age_ms / top_ms) * (HEIGHT - 2);
      line += `${line === '' ? 'M' : 'L'}${(x + width / 2).toFixed(1)} ${y.toFixed(1)}`;
    }
    x += width;
  }
  const shapes = stripes.map(({ kind, left, right }) => {
    const place = { x: left.toFixed(1), y: '0', width: (right - left).toFixed(1), height: String(HEIGHT) };
    return ['rect', { class: kind, ...place }] as const;
  });
  const picture = drawing(`0 0 ${WIDTH} ${HEIGHT}`, ...shapes, ['path', { d: line, 'vector-effect': 'non-scaling-stroke' }]);
  picture.setAttribute('preserveAspectRatio', 'none');
  const keys = [el('span', {}, `Picture delay, up to ${ms(Math.max(...ages))} ms`)];
  if (stripes.some(({ kind }) => kind === 'reduced')) keys.push(el('span', { class: 'reduced' }, 'Reduced picture'));
  if (stripes.some(({ kind }) => kind === 'stalled')) keys.push(el('span', { class: 'stalled' }, 'Stalled'));
  return el('figure', {}, picture, el('figcaption', {}, ...keys));
}

interface Stripe {
  readonly kind: 'reduced' | 'stalled';
  readonly left: number;
  right: number;
}

/** Makes the last stripe longer where it is of the same kind and touches: seams between stripes would show. */
function extend(stripes: Stripe[], kind: Stripe['kind'], left: number, width: number): void {
  const last = stripes.at(-1);
  if (last?.kind === kind && last.right === left) last.right = left + width;
  else stripes.push({ kind, left, right: left + width });
}

function ms(value: number): string {
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}

/** `45 s`, `12 min 30 s`, `1 h 4 min`. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const [h, min, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (h > 0) return `${h} h ${min} min`;
  return min > 0 ? `${min} min ${s} s` : `${s} s`;
}

/** `640 MB`, `1.4 GB`: powers of 1000. */
export function bytes(count: number): string {
  if (count < 1e6) return `${Math.ceil(count / 1e3)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB` : `${(count / 1e9).toFixed(1)} GB`;
}
