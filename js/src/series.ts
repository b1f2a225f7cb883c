// Chart data: points of one metric in growing typed arrays, thinned for drawing, and several
// metrics brought onto one axis of steps.

/** Points of one metric, in order of step. */
export class Series {
  steps = new Float64Array(256);
  values = new Float64Array(256);
  length = 0;

  constructor(readonly name: string) {}

  static of(name: string, pairs: Float64Array): Series {
    const made = new Series(name);
    made.append(pairs);
    return made;
  }

  /** Add pairs (step, value); points older than the newest are dropped, the same step replaces. */
  append(pairs: Float64Array): void {
    for (let i = 0; i + 1 < pairs.length; i += 2) {
      const step = pairs[i] ?? NaN;
      const newest = this.length > 0 ? (this.steps[this.length - 1] ?? -Infinity) : -Infinity;
      if (!(step >= newest)) continue;
      if (step > newest) this.#grow();
      this.steps[this.length - 1] = step;
      this.values[this.length - 1] = pairs[i + 1] ?? NaN;
    }
  }

  /** The newest value that is defined, or null. */
  last(): number | null {
    for (let i = this.length - 1; i >= 0; i--) {
      const value = this.values[i] ?? NaN;
      if (Number.isFinite(value)) return value;
    }
    return null;
  }

  /** How many points are at or before `step`. */
  count(step: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.steps[middle] ?? Infinity) <= step) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The newest value at or before `step`, or null. */
  at(step: number): number | null {
    const value = this.values[this.count(step) - 1] ?? NaN;
    return Number.isFinite(value) ? value : null;
  }

  #grow(): void {
    if (this.length === this.steps.length) {
      const steps = new Float64Array(this.length * 2);
      const values = new Float64Array(this.length * 2);
      steps.set(this.steps);
      values.set(this.values);
      this.steps = steps;
      this.values = values;
    }
    this.length++;
  }
}

/** Of the positions `from` to `to` those to draw: all, or of each run the lowest, the highest and one that is no number. */
export function thin(values: Float64Array, from: number, to: number, limit: number): number[] {
  const length = to - from;
  if (length <= limit) return Array.from({ length }, (_, i) => from + i);
  const at = (i: number): number => values[i] ?? NaN;
  const kept = [from];
  const buckets = Math.floor(limit / (values.subarray(from, to).some(Number.isNaN) ? 3 : 2)) - 1;
  let i = from + 1;
  for (let b = 1; b <= buckets; b++) {
    const end = from + 1 + Math.floor((b * (length - 2)) / buckets);
    let low = i;
    let high = i;
    let unknown = i;
    for (; i < end; i++) {
      if (at(i) < at(low) || Number.isNaN(at(low))) low = i;
      if (at(i) > at(high) || Number.isNaN(at(high))) high = i;
      if (Number.isNaN(at(i))) unknown = i;
    }
    if (!Number.isNaN(at(unknown))) unknown = low;
    kept.push(...new Set([low, high, unknown].sort((x, y) => x - y)));
  }
  kept.push(to - 1);
  return kept;
}

/**
 * One axis of steps and a column a series. Of the steps `first` to `last`, and one point beyond
 * each, at most `limit` points a series, smoothed (`keep`, see there, for each point that is drawn).
 * A column is undefined where its line only passes, and null where the line is interrupted: at a
 * point that is no number or not above `floor`, and from there to its neighbours.
 */
export function align(series: readonly Series[], limit: number, [first, last]: readonly [number, number], keep = 0, floor = -Infinity): [number[], ...(number | null | undefined)[][]] {
  const shown = series.map((one) => {
    const from = Math.max(0, one.count(first) - 2);
    const to = Math.min(one.length, one.count(last) + 1);
    // All points make the mean: of those that are left of many, each second one is a spike.
    const values = smoothed(one.values.subarray(0, one.length), keep ** Math.min(1, limit / (to - from)));
    return { values, drawn: thin(values, from, to, limit) };
  });
  const next = series.map(() => 0); // of each line's drawn points, the first not yet taken
  const steps: number[] = [];
  const columns = series.map((): (number | null | undefined)[] => []);
  const place = (s: number): number => shown[s]?.drawn[next[s] ?? 0] ?? NaN;
  for (;;) {
    let step = Infinity;
    series.forEach((one, s) => {
      step = Math.min(step, one.steps[place(s)] ?? Infinity);
    });
    if (step === Infinity) return [steps, ...columns];
    steps.push(step);
    columns.forEach((column, s) => {
      const at = place(s);
      if (series[s]?.steps[at] !== step) {
        column.push(column.at(-1) === null ? null : undefined);
        return;
      }
      next[s] = (next[s] ?? 0) + 1;
      const value = shown[s]?.values[at] ?? NaN;
      const known = Number.isFinite(value) && value > floor;
      for (let i = column.length - 1; !known && i >= 0 && column[i] === undefined; i--) column[i] = null;
      column.push(known ? value : null);
    });
  }
}

/**
 * Running mean that forgets: each value counts `keep` (0 to 1) times what it counted one before.
 * Lines of few points, such as one an epoch, stay as they are: the mean would only be late.
 */
export function smoothed(values: Float64Array, keep: number): Float64Array {
  if (keep === 0 || values.length < 50) return values;
  let sum = 0;
  let weight = 0;
  return values.map((one) => {
    if (!Number.isFinite(one)) return NaN;
    sum = keep * sum + one;
    weight = keep * weight + 1;
    return sum / weight;
  });
}

/** First and last step of all series, so that every chart shows the same stretch of the run. */
export function stretch(all: Iterable<Series>): [number, number] {
  let first = Infinity;
  let last = -Infinity;
  for (const one of all) {
    if (one.length === 0) continue;
    first = Math.min(first, one.steps[0] ?? Infinity);
    last = Math.max(last, one.steps[one.length - 1] ?? -Infinity);
  }
  return first < last ? [first, last] : [0, Math.max(1, last)];
}

/** "train/loss" is the line "train" of the chart "loss"; a bare name is a chart of its own. */
export function splitName(name: string): { split: string; metric: string } {
  const slash = name.indexOf("/");
  return slash < 0 ? { split: "", metric: name } : { split: name.slice(0, slash), metric: name.slice(slash + 1) };
}

const FIRST = ["loss", "accuracy", "iou"];
const SPLITS = ["train", "val"];

function rank(order: readonly string[], name: string): number {
  const at = order.indexOf(name);
  return at < 0 ? order.length : at;
}

/** Charts in order (loss, accuracy, overlap, the others by name), each with its lines in order. */
export function chartsOf(all: Iterable<Series>): { metric: string; lines: Series[] }[] {
  const charts = new Map<string, Series[]>();
  for (const one of all) {
    const { metric } = splitName(one.name);
    const lines = charts.get(metric);
    if (lines) lines.push(one);
    else charts.set(metric, [one]);
  }
  const bySplit = (a: Series, b: Series): number =>
    rank(SPLITS, splitName(a.name).split) - rank(SPLITS, splitName(b.name).split) || (a.name < b.name ? -1 : 1);
  return [...charts]
    .map(([metric, lines]) => ({ metric, lines: lines.sort(bySplit) }))
    .sort((a, b) => rank(FIRST, a.metric) - rank(FIRST, b.metric) || (a.metric < b.metric ? -1 : 1));
}
