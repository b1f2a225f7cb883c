// How strongly a map marks each place, as shares of its strongest; and the legend beside it.

import { h } from "../dom";
import { shownExplanation, shownMap, type State } from "../state";

/** The map of the sample that is shown, 0 to 1; null where none is to be seen. */
export function shownHeat(state: State): Float32Array | null {
  const name = shownMap(state);
  const map = name === "off" || name === "all" ? null : (shownExplanation(state)?.maps[name] ?? null);
  return map === null ? null : heatOf(map);
}

export function heatOf(cells: Uint8Array): Float32Array {
  return Float32Array.from(cells, (one) => one / 255);
}

/** The strongest of some places. */
export function strongest(heat: Float32Array | null, units: readonly number[]): number {
  return units.reduce((most, unit) => Math.max(most, heat?.[unit] ?? 0), 0);
}

/** How strongly a place is coloured, with what the person has set of the map's looks. */
export function shade(value: number, { opacity, threshold }: { opacity: number; threshold: number }): number {
  return value < threshold || value < 0.05 ? 0 : value * opacity;
}

export function legend(): HTMLElement {
  return h("span", { class: "cw-heat-key", title: "How much of the model’s answer hangs on it, next to what counts most" },
    h("span", {}, "less"), h("span", { class: "cw-heat-ramp", "aria-hidden": "true" }), h("span", {}, "more"));
}
