// From values to places on an axis: numbers evenly or by their logarithms, words one after the other.

import { axisLabels } from "../format";
import type { Cell } from "./data";

export interface Scale {
  /** From 0 to 1; null where the value has no place. */
  at(value: Cell): number | null;
  ticks: { at: number; label: string }[];
}

const DECADES = 100; // largest by smallest, from which on settings are spread by their logarithms

const OWN_MARKS = 6;

export function isNumber(value: Cell | undefined): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** Whether these are settings such as learning rates, of several sizes. */
export function spansDecades(values: readonly Cell[]): boolean {
  const numbers = values.filter(isNumber);
  return numbers.length > 0 && Math.min(...numbers) > 0 && Math.max(...numbers) / Math.min(...numbers) >= DECADES;
}

/** An axis for these values; `own`: where they are few, each is a mark. */
export function scaleOf(values: readonly Cell[], log = false, own = false): Scale {
  const known = values.filter((one) => one !== null && !Number.isNaN(one));
  if (known.every(isNumber)) return numeric(known, log, own ? [...new Set(known)].sort((a, b) => a - b) : []);
  const words = [...new Set(known.map(String))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const place = new Map(words.map((word, i) => [word, words.length === 1 ? 0.5 : i / (words.length - 1)]));
  const every = Math.ceil(words.length / 8);
  return {
    at: (value) => (value === null ? null : (place.get(String(value)) ?? null)),
    ticks: words.flatMap((word, i) => (i % every === 0 ? [{ at: place.get(word) ?? 0, label: word }] : [])),
  };
}

function numeric(values: readonly number[], log: boolean, own: readonly number[]): Scale {
  let low = Infinity;
  let high = -Infinity;
  for (const one of values) {
    if (log && one <= 0) continue;
    low = Math.min(low, one);
    high = Math.max(high, one);
  }
  if (low > high) return { at: () => null, ticks: [] };
  const f = log ? Math.log10 : (one: number): number => one;
  if (low === high) {
    const by = low === 0 ? 1 : Math.abs(low) / 2;
    [low, high] = log ? [low / 2, high * 2] : [low - by, high + by];
  }
  const [from, to] = [f(low), f(high)];
  const at = (value: Cell): number | null => (isNumber(value) && (!log || value > 0) ? (f(value) - from) / (to - from) : null);
  const few = own.length > 0 && own.length <= OWN_MARKS;
  const marks = few ? own : log ? decades(low, high) : evenly(low, high, values.every(Number.isInteger));
  const labels = few ? marks.map(tersely) : axisLabels(marks, !log);
  return { at, ticks: marks.map((one, i) => ({ at: at(one) ?? 0, label: labels[i] ?? "" })) };
}

/** Three places of it. */
function tersely(one: number): string {
  const rounded = Number(one.toPrecision(3));
  return Math.abs(rounded) < 1e-3 && rounded !== 0 ? rounded.toExponential().replace("e+", "e") : String(rounded);
}

/** Round numbers between two, three or some more; whole ones where `whole`. */
export function evenly(low: number, high: number, whole = false): number[] {
  const rough = Math.max((high - low) / 4, whole ? 1 : 0);
  const size = 10 ** Math.floor(Math.log10(rough));
  const ends = (step: number): [number, number] => [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
  const step = size * ([10, 5, 2].find((one) => {
    const [first, last] = ends(one * size);
    return last - first >= 2;
  }) ?? 1);
  const [first, last] = ends(step);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function decades(low: number, high: number): number[] {
  const powers: number[] = [];
  for (let k = Math.ceil(Math.log10(low) - 1e-9); k <= Math.log10(high) + 1e-9; k++) powers.push(Number(`1e${k}`));
  return powers.length >= 2 ? powers : [low, high];
}
