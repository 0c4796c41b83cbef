/** Where focus goes when a direction is pressed: geometry alone, no DOM. */

/** A direction on the screen. */
export type Direction = 'up' | 'down' | 'left' | 'right';

/** A box in CSS pixels, y downwards. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Sideways distance counts this much more than forwards distance: focus keeps to its row or column. */
const SIDEWAYS_WEIGHT = 3;
/** Boxes may overlap by this many pixels (borders, hover growth) and still count as beside each other. */
const OVERLAP_PX = 4;

/** Rotates boxes so that every direction becomes "down". */
function facing(box: Box, direction: Direction): Box {
  switch (direction) {
    case 'down':
      return box;
    case 'up':
      return { left: box.left, right: box.right, top: -box.bottom, bottom: -box.top };
    case 'right':
      return { left: box.top, right: box.bottom, top: box.left, bottom: box.right };
    case 'left':
      return { left: box.top, right: box.bottom, top: -box.right, bottom: -box.left };
  }
}

/** Gap between two spans; 0 where they overlap. */
function gap(a0: number, a1: number, b0: number, b1: number): number {
  return Math.max(0, b0 - a1, a0 - b1);
}

/** Index of the best box from `from` in `direction`; `undefined` where nothing lies there. */
export function nearest(from: Box, boxes: readonly Box[], direction: Direction): number | undefined {
  const here = facing(from, direction);
  let best: { index: number; cost: number } | undefined;
  boxes.forEach((box, index) => {
    const there = facing(box, direction);
    const forwards = there.top - here.bottom;
    if (forwards < -OVERLAP_PX) return;
    const sideways = gap(here.left, here.right, there.left, there.right);
    const offset = Math.abs((there.left + there.right) / 2 - (here.left + here.right) / 2);
    // The offset of the middles only decides between boxes that are equally far.
    const cost = Math.max(0, forwards) + sideways * SIDEWAYS_WEIGHT + offset / 1000;
    if (!best || cost < best.cost) best = { index, cost };
  });
  return best?.index;
}
