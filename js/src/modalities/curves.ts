// Curves and intervals of a series as SVG paths, in a square of side 1.

const n = (value: number): string => String(Math.round(value * 1e4) / 1e4);

/** The least and the most of the values; a flat or empty curve lies in the middle. */
export function rangeOf(values: readonly (number | null)[]): [number, number] {
  const known = values.filter((one) => one !== null);
  const [low, high] = [known.reduce((a, b) => Math.min(a, b), Infinity), known.reduce((a, b) => Math.max(a, b), -Infinity)];
  if (!Number.isFinite(low)) return [0, 1];
  return high > low ? [low, high] : [low - 1, high + 1];
}

/** A curve; where a value is unknown it is broken. Values stand in the middle of their steps. */
export function curve(values: readonly (number | null)[]): string {
  const [low, high] = rangeOf(values);
  let path = "";
  let drawing = false;
  values.forEach((value, i) => {
    if (value !== null) path += `${drawing ? "L" : "M"}${n((i + 0.5) / values.length)} ${n(0.95 - 0.9 * ((value - low) / (high - low)))}${!drawing && typeof values[i + 1] !== "number" ? "h0" : ""}`;
    drawing = value !== null;
  });
  return path;
}

const LEVELS = 6;
const BINS = 240; // more than a narrow view has pixels apart

/** Intervals of a map by how strong they are: the strength of each level, and its area; finer where it is zoomed. */
export function bands(heat: Float32Array, least = 0, closer = 1): { level: number; path: string }[] {
  const bins = Math.min(heat.length, Math.round(BINS * closer));
  const levels = Array.from({ length: bins }, (_, i) => {
    const from = Math.floor((i * heat.length) / bins);
    const most = heat.subarray(from, Math.max(from + 1, Math.floor(((i + 1) * heat.length) / bins))).reduce((a, b) => Math.max(a, b), 0);
    return most < Math.max(least, 0.04) ? 0 : Math.min(LEVELS, Math.ceil(most * LEVELS));
  });
  const paths = new Map<number, string>();
  for (let i = 0; i < bins;) {
    let end = i + 1;
    while (end < bins && levels[end] === levels[i]) end++;
    const level = levels[i] ?? 0;
    if (level > 0) paths.set(level, `${paths.get(level) ?? ""}M${n(i / bins)} 0H${n(end / bins)}V1H${n(i / bins)}Z`);
    i = end;
  }
  return [...paths].map(([level, path]) => ({ level: level / LEVELS, path }));
}
