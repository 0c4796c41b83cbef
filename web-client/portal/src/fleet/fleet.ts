/** Figures of the fleet page, derived from what the API gives. Pure. */
import type { FleetNode, FleetView } from '../api/client';

/** What an operator orders about a machine. */
export type OrderKind = 'ban' | 'drain';

/** An order, as the dialog asks for it. */
export interface Wish {
  readonly reason: string;
  readonly evidence: string;
  readonly end_sessions: boolean;
}

/** How a node stands, for words and colour. */
export interface Standing {
  readonly word: string;
  readonly tone: 'good' | 'warn' | 'bad' | 'off';
}

export function standingOf(node: FleetNode): Standing {
  if (node.banned) return { word: 'Shut out', tone: 'bad' };
  if (!node.online) return { word: 'Offline', tone: 'off' };
  if (node.draining) return { word: 'Draining', tone: 'warn' };
  if (node.busy >= node.slots) return { word: 'Full', tone: 'warn' };
  return { word: 'Open', tone: 'good' };
}

/** A place on the map with the nodes that stand there. */
export interface Spot {
  readonly x: number;
  readonly y: number;
  readonly nodes: readonly FleetNode[];
  readonly slots: number;
  readonly busy: number;
  readonly tone: Standing['tone'];
}

/** Nodes nearer to each other than this are one spot, degrees. */
const SPOT_DEGREES = 2;

/** Nodes by place: degrees east + 180 across, 90 − degrees north down. */
export function spotsOf(nodes: readonly FleetNode[]): Spot[] {
  const cells = new Map<string, FleetNode[]>();
  for (const node of nodes) {
    if (!node.place) continue;
    const key = node.place.map((degrees) => Math.round(degrees / SPOT_DEGREES)).join('/');
    cells.set(key, [...(cells.get(key) ?? []), node]);
  }
  return [...cells.values()].map((here) => {
    const mean = (at: number): number => here.reduce((sum, node) => sum + (node.place?.[at] ?? 0), 0) / here.length;
    const online = here.filter((node) => node.online && !node.banned);
    const tones = here.map((node) => standingOf(node).tone);
    const tone = (['good', 'warn', 'bad', 'off'] as const).find((one) => tones.includes(one)) ?? 'off';
    return {
      x: mean(1) + 180,
      y: 90 - mean(0),
      nodes: here,
      slots: sum(online, (node) => node.slots),
      busy: sum(online, (node) => node.busy),
      tone,
    };
  });
}

/** Radius of a spot, in degrees of the map: its area grows with its slots. */
export function radiusOf(slots: number): number {
  return Math.min(9, 1.6 + Math.sqrt(slots) * 0.7);
}

/** What stands above the fold. */
export interface Totals {
  readonly online: number;
  readonly slots: number;
  readonly busy: number;
  /** Median of the nodes' medians, ms. */
  readonly rtt_ms: number | undefined;
}

export function totalsOf({ nodes }: FleetView): Totals {
  const online = nodes.filter((node) => node.online && !node.banned);
  const rtts = online.flatMap(({ rtt_ms }) => (typeof rtt_ms === 'number' ? [rtt_ms] : [])).sort((a, b) => a - b);
  return {
    online: online.length,
    slots: sum(online, (node) => node.slots),
    busy: sum(online, (node) => node.busy),
    rtt_ms: rtts[Math.floor(rtts.length / 2)],
  };
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

/** `12 ms`, `0.8 ms`. */
export function milliseconds(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

/** A wait in words: no more than is known. */
export function waitText({ place, likely_ms, at_most_ms }: FleetView['queue'][number]['wait']): string {
  if (typeof likely_ms !== 'number' || typeof at_most_ms !== 'number') return `number ${place}; how long cannot be told yet`;
  return `number ${place}; probably ${seconds(likely_ms)}, hardly more than ${seconds(at_most_ms)}`;
}

function seconds(ms: number): string {
  return ms < 90_000 ? `${Math.max(1, Math.round(ms / 1000))} s` : `${Math.round(ms / 60_000)} min`;
}
