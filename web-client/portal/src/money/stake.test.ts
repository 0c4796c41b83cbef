import { describe, expect, it } from 'vitest';
import { fate, mayAppeal, standing, typed } from './stake';

const eur = (amount: string) => ({ amount, currency: 'EUR' });

describe('stakes in words', () => {
  it('takes amounts as people type them, and nothing else', () => {
    expect(typed(' 12,5 ')).toBe('12.5');
    expect(typed('0.000001')).toBe('0.000001');
    for (const wrong of ['', '0', '0.00', '-1', '1e3', '1.2.3', '1.0000001', 'ten']) expect(typed(wrong)).toBeUndefined();
  });

  it('says what is missing, and when a stake is free', () => {
    expect(standing({ staked: eur('0.000000'), least: eur('0.000000') })).toContain('nothing has to be');
    expect(standing({ staked: eur('4.000000'), least: eur('5.000000') })).toContain('missing');
    expect(standing({ staked: eur('5.000000'), least: eur('5.000000') })).toBe('Staked.');
    expect(standing({ staked: eur('4.000000'), least: eur('5.000000'), releases_at_ms: 1_764_000_000_000 })).toContain('Notice');
  });

  it('lets a host appeal only while nothing is taken and nothing was said', () => {
    const at = { takes_at_ms: 100 };
    expect(mayAppeal({ ...at, state: 'pending' }, 99)).toBe(true);
    expect(mayAppeal({ ...at, state: 'pending' }, 100)).toBe(false);
    for (const state of ['appealed', 'confirmed', 'taken', 'freed'] as const) {
      expect(mayAppeal({ ...at, state }, 99)).toBe(false);
      expect(fate({ ...at, state }, 99)).not.toBe('');
    }
  });
});
