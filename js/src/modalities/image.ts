// A picture on the stage: under its map, with the strokes that are drawn on it.

import { button, h, setAttr, setHidden, setVar } from "../dom";
import { keptInstead, thumbnailOf } from "../kept";
import { createOutlines } from "../outlines";
import { Picture } from "../picture";
import { hasMaps, isReachable, MAP_NAMES, shownExplanation, shownMap, type State } from "../state";
import { createPlaceholder, createStrokeLayer, type StrokeLayer } from "../strokes";
import type { Context, Part } from "../view";
import type { Kind } from "./kind";

function placeholderText(state: State): string | null {
  const { explanation, explaining } = state;
  if (explanation?.picture) return null;
  if (explanation?.failed) return explanation.failed;
  if (explaining !== null) return `Explaining sample ${explaining}…`;
  const kept = keptInstead(state);
  if (kept !== null) return kept;
  if (!isReachable(state)) return "Choose a sample from the lists, or type its number.";
  return "The riskiest sample opens here by itself. Choose another from the lists, or type its number.";
}

export function createImage(context: Context): Part & { layer: StrokeLayer } {
  const { store, signal } = context;
  const picture = new Picture();
  const layer = createStrokeLayer(context);
  const outlines = createOutlines(context, layer.svg);
  const placeholder = createPlaceholder();
  const frame = h("div", { class: "cw-picture" }, picture.canvas, outlines.svg, layer.svg, placeholder.el);
  const four = ([...MAP_NAMES, ["off", "Picture"]] as const).map(([name, label]) => {
    const small = new Picture();
    const one = button("", { class: "cw-one-of-three", "aria-label": `Show ${label} alone` }, small.canvas, h("span", {}, label));
    one.addEventListener("click", () => {
      store.patch({ map: name });
    }, { signal });
    return { name, picture: small, el: one };
  });
  const side = h("div", { class: "cw-three", testid: "cw-side-by-side" }, ...four.map(({ el: one }) => one));
  const el = h("div", { class: "cw-place" }, frame, side, outlines.el);

  function show(state: State): void {
    const explanation = shownExplanation(state);
    const shown = shownMap(state);
    setAttr(frame, "data-empty", explanation?.picture ? null : true);
    const many = shown === "all" && explanation !== null && hasMaps(explanation);
    setHidden(side, !many);
    setHidden(frame, many);
    placeholder.show(placeholderText(state), explanation === null || keptInstead(state) === null ? null : thumbnailOf(state, explanation.index));
    if (!explanation?.picture) return;
    setVar(el, "--cw-ratio", (explanation.width / explanation.height).toFixed(4));
    if (many) for (const one of four) one.picture.paint(explanation, one.name, state);
    if (shown === "all") return;
    picture.paint(explanation, shown, state);
    setAttr(picture.canvas, "aria-label", `Sample ${explanation.index}, ${shown === "off" ? "without a map" : `with the ${shown} map`}`);
  }

  return {
    el,
    layer,
    keys: ["explanation", "map", "opacity", "threshold", "palette", "explaining", "at", "shelf", "connection", "drafts", "selected", "tool", "meaning", "pending", "cursor", "ledger", "entry", "outlines", "status"],
    update(state, changed) {
      const looks: readonly (keyof State)[] = ["explanation", "map", "opacity", "threshold", "palette", "explaining", "at", "shelf", "connection"];
      if (looks.some((key) => changed.has(key))) show(state);
      if (outlines.keys.some((key) => changed.has(key))) outlines.update(state, changed);
      layer.update(state);
    },
  };
}

export const IMAGE: Kind = {
  name: "image",
  plain: "Picture",
  first: "LiveCAM",
  about: "LiveCAM: which regions count. SmoothGrad: which pixels. Consensus: what both mark.",
  hint: "Draw on the picture, or say it in words. Enter submits.",
  example: "ignore borders",
  question: "Is the frame the right reason?",
  create: createImage,
  draws: () => false, // a picture has no content beside it
  focus: (_, box) => [...box],
  glance: () => undefined,
};
