import { describe, expect, it } from 'vitest';
import { nearest, type Box } from './spatial';

const at = (column: number, row: number): Box => ({
  left: column * 120,
  top: row * 120,
  right: column * 120 + 100,
  bottom: row * 120 + 100,
});
/** Three columns, two rows, row by row. */
const GRID = [at(0, 0), at(1, 0), at(2, 0), at(0, 1), at(1, 1), at(2, 1)];
const MIDDLE = GRID[1] as Box;

describe('nearest', () => {
  it('keeps to the row and to the column', () => {
    expect(nearest(MIDDLE, GRID, 'right')).toBe(2);
    expect(nearest(MIDDLE, GRID, 'left')).toBe(0);
    expect(nearest(MIDDLE, GRID, 'down')).toBe(4);
  });

  it('finds nothing past the edge, and never the box itself', () => {
    expect(nearest(MIDDLE, GRID, 'up')).toBeUndefined();
    expect(nearest(at(2, 1), GRID, 'right')).toBeUndefined();
    expect(nearest(MIDDLE, [MIDDLE], 'down')).toBeUndefined();
  });

  it('takes a box straight ahead before a closer one to the side', () => {
    const ahead = at(0, 3);
    const aside = at(2, 1);
    expect(nearest(at(0, 0), [aside, ahead], 'down')).toBe(1);
  });

  it('goes from a wide box to the one below its middle', () => {
    const wide: Box = { left: 0, top: 0, right: 340, bottom: 100 };
    expect(nearest(wide, [at(0, 1), at(1, 1), at(2, 1)], 'down')).toBe(1);
  });

  it('accepts neighbours that overlap by a border', () => {
    const below: Box = { left: 0, top: 98, right: 100, bottom: 200 };
    expect(nearest(at(0, 0), [below], 'down')).toBe(0);
  });
});
