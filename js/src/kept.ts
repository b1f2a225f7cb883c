// What a page without a kernel still has of a sample whose maps were not kept: its small picture and
// what the lists say of it.

import { plural } from "./format";
import type { Explanation } from "./protocol";
import { hasMaps, type State } from "./state";

/** PNG of a sample that one of the lists shows; null where none does. */
export function thumbnailOf(state: State, index: number): Uint8Array | null {
  const lists = [state.queue, state.suspects, state.hits];
  for (const list of lists) {
    const found = list?.items.find((one) => one.index === index)?.thumbnail;
    if (found) return found;
  }
  return null;
}

/** The sample without maps, as far as the lists know it. */
export function withoutMaps(state: State, index: number): Explanation {
  const row = state.queue?.items.find((one) => one.index === index);
  const known = row !== undefined && row.target >= 0;
  return {
    index, failed: null, target: known ? row.target : null, predicted: known ? row.predicted : null, top: [], explained: null, labels: [], agreement: null,
    quality: null, quality_reason: null, bbox: null, model_step: null, method: "", seconds: null, purpose: "person",
    width: 0, height: 0, picture: null, map_width: 0, map_height: 0, maps: { livecam: null, smoothgrad: null, consensus: null }, masks: { truth: null, said: null, region: null },
    content: state.glances.get(index)?.content ?? null, shares: [],
  };
}

/** Whether maps of the sample may be seen: on this page, or in a run folder, of which only its reader knows. */
export function isKept(state: State, index: number): boolean {
  return state.connection === "replay" || (state.explanation?.index === index && hasMaps(state.explanation)) || [...state.shelf.values()].some((one) => one.index === index && hasMaps(one));
}

/** Whether nobody can make maps any more: what is not kept will not come. */
export function isFinal(state: State): boolean {
  return ["saved", "gone", "replay"].includes(state.connection);
}

/** In place of maps that nobody can make any more: what is kept; null where maps are there or may come. */
export function keptInstead(state: State): string | null {
  const { explanation, connection } = state;
  if (explanation === null || explanation.failed !== null || hasMaps(explanation) || !isFinal(state)) return null;
  const { index } = explanation;
  const of = [
    explanation.content !== null ? "what it is" : thumbnailOf(state, index) === null ? "" : "its small picture",
    state.queue?.items.some((one) => one.index === index) ? "its row in the list" : "",
  ].filter((one) => one !== "").join(" and ");
  const others = new Set([...state.shelf.values()].filter(hasMaps).map((one) => one.index)).size;
  const rest = connection === "replay" || others === 0 ? "" : ` This page holds maps of ${plural(others, "other sample")}.`;
  return `No map of sample ${index} was kept${of === "" ? "" : `, only ${of}`}.${rest}`;
}
