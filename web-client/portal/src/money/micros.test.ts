import { describe, expect, it } from 'vitest';
import { decimal, exact, height, micros, percent, shown, total, totalText } from './micros';

describe('amounts', () => {
  it.each([
    ['0.000000', 0n],
    ['1.25', 1_250_000n],
    ['7', 7_000_000n],
    ['-0.000001', -1n],
    ['9007199254740993.000001', 9_007_199_254_740_993_000_001n],
  ])('%s is read to the last micro-unit', (text, value) => {
    expect(micros(text)).toBe(value);
    expect(micros(decimal(value))).toBe(value);
  });

  it.each(['', '.5', '1e3', '1.0000001', 'NaN', '+1'])('%j is no amount', (text) => {
    expect(() => micros(text)).toThrow('no amount');
  });

  it('are shown as they are, however small or large', () => {
    expect(exact(41n, 'EUR', 'en')).toBe('€0.000041');
    expect(exact(1_250_000n, 'EUR', 'en')).toBe('€1.25');
    expect(exact(1_435_340n, 'EUR', 'en')).toBe('€1.435340');
    expect(exact(-1_500_000n, 'CREDIT', 'en')).toBe('-1.50 CREDIT');
    expect(exact(9_007_199_254_740_993_000_001n, 'EUR', 'en')).toBe('€9,007,199,254,740,993.000001');
    expect(shown({ amount: '0.1', currency: 'EUR' }, 'en')).toBe('€0.10');
  });

  it('add up by currency without a float between', () => {
    const tenth = { amount: '0.1', currency: 'EUR' };
    const sums = total([tenth, tenth, tenth, { amount: '2', currency: 'USD' }]);
    expect([...sums]).toEqual([['EUR', 300_000n], ['USD', 2_000_000n]]);
    expect(totalText([tenth], 'nothing')).toContain('0.10');
    expect(totalText([], 'nothing')).toBe('nothing');
  });

  it('become a float for a bar alone', () => {
    expect(height(1_500_000n)).toBe(1.5);
    expect(percent(125)).toBe('12.5%');
  });
});
