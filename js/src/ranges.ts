// Which stretch of values a chart shows, and which of its marks stand together.

/** Values fewer than this have no outliers. */
const ENOUGH = 24;
/** How many times the spread of the middle values a value must lie beyond them to be an outlier. */
const FAR = 3;

/**
 * Least and largest value without outliers: values beyond the 2nd and 98th percentile by more than
 * three times what lies between these. null where there are none, or too few values to tell.
 */
export function robust(values: readonly number[]): [number, number] | null {
  if (values.length < ENOUGH) return null;
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? NaN;
  const [low, high, least, most] = [at(0.02), at(0.98), at(0), at(1)];
  const reach = FAR * (high - low);
  if (!(reach > 0) || (most <= high + reach && least >= low - reach)) return null;
  return [least < low - reach ? low : least, most > high + reach ? high : most];
}

/** Positions in order, gathered: those less than `within` from the first of their group stand at its place. */
export function gathered(positions: readonly number[], within: number): { at: number; from: number; to: number }[] {
  const groups: { at: number; from: number; to: number }[] = [];
  positions.forEach((at, i) => {
    const last = groups.at(-1);
    if (last !== undefined && at - last.at < within) last.to = i + 1;
    else groups.push({ at, from: i, to: i + 1 });
  });
  return groups;
}
