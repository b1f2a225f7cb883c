// The slider over the recorded maps of the sample that is shown: where the model looked earlier.

import { h, setAttr, setText, setVar } from "./dom";
import { shelfKey, timelineOf } from "./state";
import type { Context, Part } from "./view";

export function createTimeline({ store, actions, signal }: Context): Part {
  const slider = h("input", { type: "range", min: 0, max: 0, step: 1, value: 0, class: "cw-range", testid: "cw-timeline", "aria-label": "Recorded maps of this sample, oldest to newest" });
  const label = h("output", { class: "cw-timeline-at", testid: "cw-timeline-at" });
  const el = h("label", { class: "cw-labelled cw-timeline", title: "Where the model looked earlier (comma and full stop)" }, h("span", {}, "earlier"), slider, label);

  slider.addEventListener("input", () => {
    const entries = timelineOf(store.state);
    const at = Number(slider.value);
    actions.scrub(at >= entries.length - 1 ? null : (entries[at]?.step ?? null));
  }, { signal });

  return {
    el,
    keys: ["explanation", "timeline", "at", "shelf"],
    update(state) {
      const entries = timelineOf(state);
      const last = Math.max(entries.length - 1, 0);
      const found = state.at === null ? last : entries.findIndex((one) => one.step === state.at);
      const at = found < 0 ? last : found;
      slider.disabled = entries.length < 2;
      setAttr(slider, "max", last);
      if (Number(slider.value) !== at) slider.value = String(at);
      setVar(slider, "--cw-at", (at / Math.max(last, 1)).toFixed(3));
      const entry = entries[at];
      const missing = state.at !== null && state.explanation !== null && !state.shelf.has(shelfKey(state.explanation.index, state.at));
      setText(label, entry === undefined ? "none yet" : missing ? "fetching…" : `step ${entry.step} · ${at + 1} of ${entries.length}`);
      setAttr(slider, "aria-valuetext", label.textContent);
    },
  };
}
