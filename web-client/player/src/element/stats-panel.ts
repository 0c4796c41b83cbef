/** The statistics overlay: what the picture is and what limits it, figures once a second, two small graphs. */

import type { PlayerStats } from '../stats/snapshot';
import { pathNote, type Verdict } from '../stats/verdict';
import type { Quantiles } from '../stats/window';
import { el } from './dom';
import { sign } from './quality-sign';

const UNMEASURED = 'unmeasured';

type Row = readonly [string, string | undefined];

function ms(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${value.toFixed(1)} ms`;
}

function quantiles(value: Quantiles | undefined): string | undefined {
  return value === undefined ? undefined : `${value.p50.toFixed(1)} / ${value.p95.toFixed(1)} ms`;
}

function mbit(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${(value / 1e6).toFixed(2)} Mbit/s`;
}

function percent(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${(value * 100).toFixed(2)} %`;
}

/** Label and value of each line; a value that could not be measured is `undefined`. */
export function statsRows(stats: PlayerStats): Row[] {
  const { rtc, session, trace } = stats;
  const size = rtc?.width === undefined || rtc.height === undefined ? undefined : `${rtc.width} × ${rtc.height}`;
  const stages = trace && [trace.drawn_ms, trace.converted_ms, trace.encoded_ms, trace.sent_ms, trace.shown_ms];
  return [
    ['Frames shown', stats.fps === undefined ? undefined : `${stats.fps.toFixed(1)} fps`],
    ['Picture', [size, rtc?.codec].filter((part) => part !== undefined).join(' ') || undefined],
    ['Frame age p50 / p95', quantiles(stats.frame_age_ms)],
    ['Input→visible p50 / p95', quantiles(stats.input_visible_ms)],
    ['Bitrate', mbit(rtc?.bitrate_bps)],
    ['Allowed', mbit(stats.target_bps)],
    ['Jitter buffer', ms(rtc?.jitter_buffer_ms)],
    ['Decode', ms(rtc?.decode_ms)],
    ['Loss', percent(rtc?.loss)],
    ['Round trip', ms(rtc?.rtt_ms ?? stats.clock_rtt_ms)],
    ['Freezes', rtc?.freezes?.toString()],
    ['Draw·convert·encode·send·show', stages && `${stages.map((stage) => stage.toFixed(1)).join(' ')} ms`],
    ['Matched frames', percent(stats.matched)],
    ['Node', stats.node],
    ['Encoder', session?.encoder],
    ['Adapter', session?.adapter],
    ['Conversion', session?.conversion],
    ['Path', rtc?.path],
    ['Receipts signed', String(stats.receipts.signed) + (stats.receipts.refused > 0 ? `, ${stats.receipts.refused} refused` : '')],
  ];
}

/** Such as `960 × 540 at 60 of 1280 × 720`; `undefined` before anything is known of the picture. */
export function pictureNow({ quality, session, rtc }: PlayerStats): string | undefined {
  const width = quality?.width ?? rtc?.width;
  const height = quality?.height ?? rtc?.height;
  if (width === undefined || height === undefined) return undefined;
  const fps = quality?.fps ?? session?.fps;
  const now = `${width} × ${height}${fps === undefined ? '' : ` at ${fps}`}`;
  if (session === undefined) return now;
  const slower = fps !== undefined && fps < session.fps;
  const whole = `${session.width} × ${session.height}${slower ? ` at ${session.fps}` : ''}`;
  return slower || width < session.width || height < session.height ? `${now} of ${whole}` : now;
}

export class StatsPanel {
  readonly element: HTMLElement;
  readonly #now = el('p', { class: 'now' });
  readonly #verdict = el('div', { class: 'verdict' });
  readonly #note = el('p', { class: 'note' });
  readonly #list = el('dl');
  readonly #age = el('canvas', { 'aria-hidden': 'true' });
  readonly #bitrate = el('canvas', { 'aria-hidden': 'true' });

  constructor() {
    this.element = el(
      'section',
      { class: 'stats', 'aria-label': 'Statistics', hidden: true },
      ...[this.#now, this.#verdict, this.#list, this.#note, el('div', {}, 'Frame age, two minutes'), this.#age, el('div', {}, 'Bitrate, two minutes'), this.#bitrate],
    );
  }

  get shown(): boolean {
    return !this.element.hidden;
  }

  set shown(shown: boolean) {
    this.element.hidden = !shown;
  }

  /** `verdict`: none before the first seconds were seen. */
  update(stats: PlayerStats, verdict: Verdict | undefined): void {
    if (!this.shown) return;
    this.#now.textContent = pictureNow(stats) ?? '';
    this.#verdict.replaceChildren(...(verdict === undefined ? [] : verdictLines(verdict)));
    const said = verdict?.cause === 'tcp' || verdict?.cause === 'relay';
    this.#note.textContent = (!said && stats.rtc && pathNote(stats.rtc)) || '';
    const cells = statsRows(stats).flatMap(([label, value]) => [
      el('dt', {}, label),
      el('dd', { 'data-unmeasured': value === undefined }, value ?? UNMEASURED),
    ]);
    this.#list.replaceChildren(...cells);
    drawSparkline(this.#age, stats.history.frame_age_ms, '#ffab7d');
    drawSparkline(this.#bitrate, stats.history.bitrate_bps, '#7cc4ff');
  }
}

/** What limits the picture, and what to do about it. */
export function verdictLines({ limit, sentence, advice }: Verdict): HTMLElement[] {
  const why = el('p', { 'data-limit': limit }, ...(limit === 'none' ? [] : [sign(limit)]), sentence);
  return advice === '' ? [why] : [why, el('p', {}, advice)];
}

/** A line from the oldest value at the left to the newest at the right, from zero to the largest. */
function drawSparkline(canvas: HTMLCanvasElement, values: readonly number[], colour: string): void {
  const context = canvas.getContext('2d');
  if (context === null) return;
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
  canvas.width = width;
  canvas.height = height;
  const top = Math.max(...values, 1e-9);
  context.strokeStyle = colour;
  context.lineWidth = 1.5 * ratio;
  context.beginPath();
  values.forEach((value, i) => {
    const x = (i / Math.max(1, values.length - 1)) * width;
    const y = height - ratio - (value / top) * (height - 2 * ratio);
    if (i === 0) context.moveTo(x, y);
    else context.lineTo(x, y);
  });
  context.stroke();
}
