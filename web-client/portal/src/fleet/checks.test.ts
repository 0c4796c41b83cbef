import { describe, expect, it } from 'vitest';
import type { FiledCheck } from '../api/client';
import { figuresOf, findingsOf, verdictOf } from './checks';

type Report = FiledCheck['check']['report'];

function report(rest: Partial<Report>): Report {
  const numbers = { started_at_ms: 1, connect_ms: 0, first_frame_ms: 0, challenge_us: 0, width: 0, height: 0, frozen_ms: 0, bytes: 0, packets: 0, lost: 0 };
  const receipts = { receipts: 0, refused: 0, claimed_frames: 0, claimed_bytes: 0, claimed_us: 0 };
  const seen = { played_ms: 20_000, frames: 1196, age_p50_us: 24_400, age_p95_us: 30_000, rtt_us: 0, freezes: 1 };
  return { checker: 'k', node: 'n', session: 's', verdict: 'passed', findings: [], ...numbers, ...receipts, ...seen, ...rest };
}

describe('a report in words', () => {
  it('says what was measured and leaves out what is unknown', () => {
    expect(figuresOf(report({}))).toBe('60 frames a second, 24 ms old, 1 freeze');
    expect(figuresOf(report({ played_ms: 0, frames: 0, age_p50_us: 0, freezes: 0 }))).toBe('');
  });

  it('names verdict and findings', () => {
    const failed = report({ verdict: 'failed', findings: ['challenge_late', 'receipts_overstated'] });
    expect(verdictOf(failed).tone).toBe('bad');
    expect(findingsOf(failed)).toBe('the answer to the challenge came too late; receipts claim more than came');
  });
});
