import { describe, expect, it } from 'vitest';
import { path, thin } from './curve';

describe('a curve', () => {
  it('spans the whole box', () => {
    expect(path([0, 5, 10], 100, 40, 10)).toBe('M0.0 40.0 L50.0 20.0 L100.0 0.0');
  });

  it('is empty with less than two points', () => {
    expect(path([3], 100, 40, 10)).toBe('');
  });

  it('keeps the box when a value is above the top', () => {
    expect(path([99, 0], 100, 40, 10)).toBe('M0.0 0.0 L100.0 40.0');
  });

  it('never loses a spike by thinning', () => {
    const values = Array.from({ length: 5000 }, (_, index) => (index === 3333 ? 900 : 1));
    const points = thin(values);
    expect(points.length).toBeLessThanOrEqual(120);
    expect(Math.max(...points)).toBe(900);
  });
});
