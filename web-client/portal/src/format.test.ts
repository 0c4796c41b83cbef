import { describe, expect, it } from 'vitest';
import { ago, bytes, duration, keyName, keyNames, list, money, padName, shortHash, spokenDuration } from './format';

describe('durations', () => {
  it.each([
    [0, '0:00', '0 seconds'],
    [7.4, '0:07', '7 seconds'],
    [59.6, '1:00', '1 minute'],
    [249, '4:09', '4 minutes 9 seconds'],
    [3849, '1:04:09', '1 hour 4 minutes 9 seconds'],
    [-3, '0:00', '0 seconds'],
  ])('%d s is %s', (seconds, shown, spoken) => {
    expect(duration(seconds)).toBe(shown);
    expect(spokenDuration(seconds)).toBe(spoken);
  });
});

describe('money', () => {
  it.each([
    ['1.250000', 'EUR', '€1.25'],
    ['0.000000', 'EUR', '€0.00'],
    ['0.004200', 'EUR', '€0.0042'],
    ['-0.004200', 'EUR', '-€0.0042'],
    ['1234.500000', 'USD', '$1,234.50'],
    ['1.500000', 'CREDIT', '1.50 CREDIT'],
    ['x', 'EUR', 'x EUR'],
  ])('%s %s is %s', (amount, currency, shown) => {
    expect(money({ amount, currency }, 'en-US')).toBe(shown);
  });
});

describe('sizes and times', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [12_400_000, '12.4 MB'],
    [999_600, '1.0 MB'],
    [4e14, '400 TB'],
  ])('%d bytes are %s', (n, shown) => {
    expect(bytes(n)).toBe(shown);
  });

  it('says how long ago', () => {
    const now = Date.UTC(2026, 5, 15, 12);
    expect(ago(now - 10_000, now, 'en')).toBe('just now');
    expect(ago(now - 5 * 60_000, now, 'en')).toBe('5 minutes ago');
    expect(ago(now - 26 * 3_600_000, now, 'en')).toBe('yesterday');
    expect(ago(now - 40 * 86_400_000, now, 'en')).toBe('May 6, 2026');
  });
});

describe('names', () => {
  it('calls keys what is printed on them, and known groups by one name', () => {
    expect(['KeyW', 'Digit3', 'ArrowUp', 'ShiftLeft', 'NumpadEnter', 'PageDown'].map(keyName)).toEqual([
      'W',
      '3',
      '↑',
      'Shift',
      'Num Enter',
      'Page Down',
    ]);
    expect(keyNames(['KeyW', 'KeyA', 'Space', 'KeyS', 'KeyD', 'ArrowUp'])).toEqual(['W A S D', 'Space', '↑']);
  });

  it('calls pad controls by words', () => {
    expect(['A', 'LeftStick', 'RightTrigger', 'DPad'].map(padName)).toEqual(['A', 'Left stick', 'Right trigger', 'D-pad']);
  });

  it('shortens hashes and joins lists', () => {
    expect(shortHash('9f2c41d07b7b7b7b7b7b77ab')).toBe('9f2c41…77ab');
    expect(list(['a', 'b', 'c'])).toBe('a, b, and c');
  });
});
