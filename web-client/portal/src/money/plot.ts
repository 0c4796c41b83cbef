/**
 * Draws bars with uPlot, which is fetched when the first chart is shown: a page without one gets no byte of it. The
 * table beside a chart says the same exactly and to everybody; the picture is for the eye alone.
 */
import 'uplot/dist/uPlot.min.css';
import uPlot from 'uplot';
import type { Bar, Bars } from './bars';
import { exact, height } from './micros';
import { barLabel, rowLabel } from './time';

/** Tallest that a chart stands, in CSS pixels. */
const HEIGHT_PX = 220;
/** A bar takes this share of its place, at most so many pixels. */
const BAR: [number, number] = [0.72, 46];
/** Labels below the bars stand at least this far apart, in CSS pixels. */
const LABEL_PX = 64;

/** A bar's height, its lower part and its line in the legend. */
export interface Look {
  readonly value: (bar: Bar) => bigint;
  readonly label: string;
}

/** A chart that follows its place's width; `close` ends it. */
export interface Chart {
  close(): void;
}

function colour(place: Element, name: string): string {
  return getComputedStyle(place).getPropertyValue(name).trim();
}

/** Draws into `place`. Colours are those of its style now. */
export function draw(place: HTMLElement, { bars, by, currency }: Bars, { value, label }: Look): Chart {
  const text = colour(place, '--nf-muted');
  const line = colour(place, '--nf-line');
  const font = `12px ${colour(place, '--nf-font')}`;
  // Where none is pointed at, the newest that is not empty is told of.
  const newest = bars.findLastIndex((bar) => value(bar) > 0n);
  const told = (at: number | null | undefined): Bar | undefined => bars[at ?? newest];
  const money = (at: number | null | undefined): string => {
    const bar = told(at);
    return bar === undefined ? '–' : exact(value(bar), currency);
  };
  const when = (at: number | null | undefined): string => {
    const bar = told(at);
    return bar === undefined ? '–' : rowLabel(bar.at_ms, by);
  };
  const axis = { stroke: text, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
  const options: uPlot.Options = {
    width: Math.max(1, place.clientWidth),
    height: HEIGHT_PX,
    padding: [12, 8, 0, 0],
    cursor: { points: { show: false }, drag: { x: false, y: false } },
    legend: { live: true, markers: { show: false } },
    scales: { x: { time: false, range: [-0.5, bars.length - 0.5] }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    series: [
      { label: by === 'day' ? 'Day' : 'Hour', value: (_, __, ___, at) => when(at) },
      {
        label,
        fill: colour(place, '--nf-accent'),
        width: 0,
        ...(uPlot.paths.bars && { paths: uPlot.paths.bars({ size: BAR, radius: 0.12 }) }),
        points: { show: false },
        value: (_, __, ___, at) => money(at),
      },
    ],
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 32,
        space: LABEL_PX,
        incrs: [1, 2, 3, 4, 6, 7, 8, 12, 24],
        values: (_, at) => at.map((index) => (bars[index] === undefined ? '' : barLabel(bars[index].at_ms, by))),
      },
      { ...axis, size: 64, values: (_, amounts) => amounts.map((amount) => axisText(amount, currency)) },
    ],
  };
  const heights = bars.map((bar) => height(value(bar)));
  const plot = new uPlot(options, [bars.map((_, at) => at), heights], place);
  const sizes = new ResizeObserver(() => plot.setSize({ width: Math.max(1, place.clientWidth), height: HEIGHT_PX }));
  sizes.observe(place);
  return {
    close() {
      sizes.disconnect();
      plot.destroy();
    },
  };
}

/** A round amount beside a line of the grid. */
function axisText(amount: number, currency: string): string {
  const options = { notation: 'compact', maximumSignificantDigits: 3 } as const;
  if (!/^[A-Z]{3}$/.test(currency)) return new Intl.NumberFormat(undefined, options).format(amount);
  return new Intl.NumberFormat(undefined, { style: 'currency', currency, ...options }).format(amount);
}
