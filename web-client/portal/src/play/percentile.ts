/** Order statistics over small arrays. */

/** The value below which `share` (0 to 1) of the values lie, by nearest rank; `undefined` without values. */
export function percentile(values: readonly number[], share: number): number | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.ceil(Math.min(1, Math.max(0, share)) * sorted.length);
  return sorted[Math.max(0, rank - 1)];
}
