// What the views of one comparison share: the run under the pointer, those that are kept, colours.

import type { Column } from "./data";
import { isNumber, scaleOf } from "./scale";

/** Colours that people with any sight for colours tell apart (Okabe and Ito), for a few runs. */
const FEW = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#3a9bd6", "#7a7f87"];
/** From low to high (viridis at five places, the ends less dark and light), for many. */
const MANY: [number, number, number][] = [[88, 50, 120], [59, 95, 140], [33, 145, 140], [94, 190, 98], [205, 190, 40]];

export class Link {
  hovered: number | null = null;
  /** By axis, what a person keeps of it. */
  readonly brushes = new Map<string, (index: number) => boolean>();
  readonly #heard = new Set<() => void>();

  constructor(signal: AbortSignal) {
    signal.addEventListener("abort", () => {
      this.#heard.clear();
    });
  }

  listen(heard: () => void): void {
    this.#heard.add(heard);
  }

  hover(index: number | null): void {
    if (index === this.hovered) return;
    this.hovered = index;
    this.#tell();
  }

  brush(axis: string, keeps: ((index: number) => boolean) | null): void {
    if (keeps) this.brushes.set(axis, keeps);
    else this.brushes.delete(axis);
    this.#tell();
  }

  keeps(index: number): boolean {
    return [...this.brushes.values()].every((one) => one(index));
  }

  #tell(): void {
    for (const heard of this.#heard) heard();
  }
}

/** A colour for each of `count`: its own where they are few, else by a column. */
export function coloursOf(count: number, by: Column | undefined): string[] {
  if (count <= FEW.length) return FEW.slice(0, count);
  const scale = by && by.values.some(isNumber) ? scaleOf(by.values) : null;
  return Array.from({ length: count }, (_, i) => {
    const at = scale ? scale.at(by?.values[i] ?? null) : i / (count - 1);
    return at === null ? "#8a919c" : between(by?.better === "lower" ? 1 - at : at);
  });
}

function between(at: number): string {
  const place = Math.min(Math.max(at, 0), 1) * (MANY.length - 1);
  const k = Math.min(Math.floor(place), MANY.length - 2);
  const [from, to] = [MANY[k] ?? [0, 0, 0], MANY[k + 1] ?? [0, 0, 0]];
  return `rgb(${from.map((one, i) => Math.round(one + ((to[i] ?? one) - one) * (place - k))).join(" ")})`;
}
