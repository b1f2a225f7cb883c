// What the kernel sends of several runs or trials, checked once as it arrives.

export type Cell = number | string | boolean | null;
export type Better = "higher" | "lower" | null;

/** One setting, result or cost of all runs or trials, in their order. */
export interface Column {
  name: string;
  kind: string;
  better: Better;
  values: Cell[];
}

/** Metrics of one split of one run, at the same places; NaN where there is none. */
export interface Track {
  split: string;
  step: Float32Array;
  epoch: Float32Array;
  second: Float32Array;
  values: Map<string, Float32Array>;
}

export interface Aim {
  metric: string; // of a track: "val accuracy"
  column: string; // of the columns: "best.accuracy"
  better: Better;
  threshold: number;
}

export interface Compared {
  runs: { id: string; label: string; told: number[] }[];
  columns: Column[];
  tracks: Track[][];
  aim: Aim | null;
}

type Fields = Record<string, unknown>;

export class DataError extends Error {}

export function fields(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new DataError(`${what} is no object`);
  return value as Fields;
}

export function list<T>(value: unknown, what: string, read: (one: unknown, what: string) => T): T[] {
  if (!Array.isArray(value)) throw new DataError(`${what} is no list`);
  return value.map((one, i) => read(one, `${what}[${i}]`));
}

export function text(value: unknown, what: string): string {
  if (typeof value !== "string") throw new DataError(`${what} is no text`);
  return value;
}

export function number(value: unknown, what: string): number {
  if (typeof value !== "number") throw new DataError(`${what} is no number`);
  return value;
}

export function cell(value: unknown, what: string): Cell {
  if (value === null || typeof value === "string" || typeof value === "boolean" || typeof value === "number") return value;
  throw new DataError(`${what} is no plain value`);
}

export function better(value: unknown): Better {
  return value === "higher" || value === "lower" ? value : null;
}

export function column(value: unknown, what: string): Column {
  const given = fields(value, what);
  return {
    name: text(given["name"], `${what}.name`), kind: text(given["kind"], `${what}.kind`),
    better: better(given["better"]), values: list(given["values"], `${what}.values`, cell),
  };
}

/** The comparison; `points` are the columns of all tracks, one after the other, as float32. */
export function readCompared(data: unknown, points: DataView): Compared {
  const given = fields(data, "data");
  const bytes = points.buffer.slice(points.byteOffset, points.byteOffset + points.byteLength);
  const floats = new Float32Array(bytes as ArrayBuffer, 0, Math.floor(bytes.byteLength / 4));
  let at = 0;
  const take = (count: number): Float32Array => {
    if (at + count > floats.length) throw new DataError("the points are too few");
    return floats.subarray(at, (at += count));
  };
  const tracks: Track[][] = [];
  const runs = list(given["runs"], "runs", (one, what) => {
    const run = fields(one, what);
    tracks.push(list(run["tracks"], `${what}.tracks`, (track, where) => {
      const { split, count, metrics } = fields(track, where);
      const n = number(count, `${where}.count`);
      const [step, epoch, second] = [take(n), take(n), take(n)];
      const values = new Map(list(metrics, `${where}.metrics`, text).map((name) => [name, take(n)]));
      return { split: text(split, `${where}.split`), step, epoch, second, values };
    }));
    return { id: text(run["id"], `${what}.id`), label: text(run["label"], `${what}.label`), told: list(run["told"], `${what}.told`, number) };
  });
  const aim = given["aim"] === null ? null : fields(given["aim"], "aim");
  return {
    runs, tracks, columns: list(given["columns"], "columns", column),
    aim: aim && {
      metric: text(aim["metric"], "aim.metric"), column: text(aim["column"], "aim.column"),
      better: better(aim["better"]), threshold: number(aim["threshold"], "aim.threshold"),
    },
  };
}

/** A name as people read it: the part before the first dot says only where it stands. */
export function shortName(name: string): string {
  return name.replace(/^(config|tags)\./, "").replace(/^best\./, "best ").replace(/^last\./, "last ");
}
