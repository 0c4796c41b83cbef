import { expect, it } from 'vitest';
import type { TitleOutlook } from '../api/client';
import { outlookWords } from './outlook-words';

const plain: TitleOutlook = { title: 't', known_by: 'nothing', quality: 'unknown', region: '', picture: { width: 1280, height: 720, fps: 60 } };

it.each([
  [{ rtt_ms: 7.6, known_by: 'measured', quality: 'excellent' }, '8 ms away · feels as if it ran here · 720p60', 'good'],
  [{ rtt_ms: 0.2, known_by: 'measured', quality: 'excellent' }, '1 ms away · feels as if it ran here · 720p60', 'good'],
  [{ rtt_ms: 120, known_by: 'history', quality: 'poor' }, 'about 120 ms away · far away: expect delay · 720p60', 'warn'],
  [{}, '720p60', 'unknown'],
  [{ wait: { place: 1 } }, 'Next in line · the wait cannot be told yet', 'warn'],
  [{ wait: { place: 4, likely_ms: 30_000, at_most_ms: 240_000 } }, '3 before you · probably 30 s, hardly over 4 min', 'warn'],
  [{ refused: [{ obstacle: 'region', words: 'outside the allowed regions', nodes: 2 }] }, 'No machine may run it for you right now', 'warn'],
] as const)('%o reads “%s”', (rest, text, tone) => {
  expect(outlookWords({ ...plain, ...rest } as TitleOutlook)).toMatchObject({ text, tone });
});
