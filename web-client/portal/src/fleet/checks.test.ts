import { describe, expect, it } from 'vitest';
import { report } from '../../dev/fixtures';
import { figuresOf, findingsOf, verdictOf } from './checks';

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
