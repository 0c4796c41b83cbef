/** A series as an SVG path. Pure. */

/** Points drawn at most: more than a small graph has pixels for. */
const MAX_POINTS = 120;

/** Maximum of each of at most `MAX_POINTS` equal stretches, so that no spike disappears. */
export function thin(values: readonly number[]): number[] {
  const stretch = Math.ceil(values.length / MAX_POINTS);
  if (stretch <= 1) return [...values];
  const points: number[] = [];
  for (let at = 0; at < values.length; at += stretch) {
    points.push(Math.max(...values.slice(at, at + stretch)));
  }
  return points;
}

/** An `M … L …` path over `width` × `height`, 0 at the bottom and `top` at the top. */
export function path(values: readonly number[], width: number, height: number, top: number): string {
  const points = thin(values);
  if (points.length < 2 || top <= 0) return '';
  const step = width / (points.length - 1);
  return points
    .map((value, index) => {
      const y = height * (1 - Math.min(1, Math.max(0, value / top)));
      return `${index === 0 ? 'M' : 'L'}${(index * step).toFixed(1)} ${y.toFixed(1)}`;
    })
    .join(' ');
}
