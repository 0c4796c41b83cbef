/** The statistics overlay: figures once a second and two small graphs. */

import type { PlayerStats } from '../stats/snapshot';
import type { Quantiles } from '../stats/window';
import { el } from './dom';

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

export class StatsPanel {
  readonly element: HTMLElement;
  readonly #list = el('dl');
  readonly #age = el('canvas', { 'aria-hidden': 'true' });
  readonly #bitrate = el('canvas', { 'aria-hidden': 'true' });

  constructor() {
    this.element = el(
      'section',
      { class: 'stats', 'aria-label': 'Statistics', hidden: true },
      ...[this.#list, el('div', {}, 'Frame age, two minutes'), this.#age, el('div', {}, 'Bitrate, two minutes'), this.#bitrate],
    );
  }

  get shown(): boolean {
    return !this.element.hidden;
  }

  set shown(shown: boolean) {
    this.element.hidden = !shown;
  }

  update(stats: PlayerStats): void {
    if (!this.shown) return;
    const cells = statsRows(stats).flatMap(([label, value]) => [
      el('dt', {}, label),
      el('dd', { 'data-unmeasured': value === undefined }, value ?? UNMEASURED),
    ]);
    this.#list.replaceChildren(...cells);
    drawSparkline(this.#age, stats.history.frame_age_ms, '#ffab7d');
    drawSparkline(this.#bitrate, stats.history.bitrate_bps, '#7cc4ff');
  }
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
