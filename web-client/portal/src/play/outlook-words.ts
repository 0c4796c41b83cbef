/** What a visitor is told to expect, in a line. Pure. */
import type { TitleOutlook } from '../api/client';

export interface OutlookWords {
  readonly text: string;
  /** Where the figures come from. */
  readonly detail: string;
  readonly tone: 'good' | 'warn' | 'unknown';
}

const QUALITY = {
  excellent: 'feels as if it ran here',
  good: 'quick answers',
  fair: 'playable, a little behind',
  poor: 'far away: expect delay',
  unknown: '',
} as const;

const KNOWN_BY = {
  measured: 'Measured by this browser just now.',
  history: 'From what your network measured before.',
  distance: 'Estimated from distance.',
  nothing: 'Nothing is known about the way yet.',
} as const;

export function outlookWords({ rtt_ms, known_by, quality, picture, wait, refused = [] }: TitleOutlook): OutlookWords {
  const detail = KNOWN_BY[known_by];
  if (wait) return { text: waiting(wait), detail, tone: 'warn' };
  if (refused.length > 0 && typeof rtt_ms !== 'number') return { text: 'No machine may run it for you right now', detail, tone: 'warn' };
  const size = picture ? `${picture.height}p${picture.fps}` : '';
  if (typeof rtt_ms !== 'number') return { text: size, detail, tone: 'unknown' };
  const about = known_by === 'measured' ? '' : 'about ';
  const parts = [`${about}${rtt_ms < 1 ? '1' : Math.round(rtt_ms)} ms away`, QUALITY[quality], size];
  const tone = quality === 'excellent' || quality === 'good' ? 'good' : quality === 'poor' ? 'warn' : 'unknown';
  return { text: parts.filter(Boolean).join(' · '), detail, tone };
}

function waiting({ place, likely_ms, at_most_ms }: NonNullable<TitleOutlook['wait']>): string {
  const line = place === 1 ? 'Next in line' : `${place - 1} before you`;
  if (typeof likely_ms !== 'number' || typeof at_most_ms !== 'number') return `${line} · the wait cannot be told yet`;
  const minutes = (ms: number): string => (ms < 90_000 ? `${Math.max(1, Math.round(ms / 1000))} s` : `${Math.round(ms / 60_000)} min`);
  return `${line} · probably ${minutes(likely_ms)}, hardly over ${minutes(at_most_ms)}`;
}
