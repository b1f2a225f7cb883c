// Of a picture whose pixels have a class each: ground truth and prediction as outlines over it, the
// region that the map is of, and what stands where the pointer or the cross is.

import { button, h, s, setAttr, setHidden, setText } from "./dom";
import type { Point } from "./geometry";
import type { Explanation } from "./protocol";
import { className, shownExplanation, type State } from "./state";
import type { Context, Part } from "./view";

const NO_CLASS = 255;

/** The borders between cells of different values, as an SVG path in fractions of the raster. */
export function borders(cells: Uint8Array, width: number, height: number): string {
  let path = "";
  const n = (share: number): string => String(Math.round(share * 1e5) / 1e5);
  const differ = (a: number, b: number): boolean => cells[a] !== cells[b];
  for (let x = 1; x < width; x++) {
    for (let y = 0; y < height; y++) {
      const from = y;
      while (y < height && differ(y * width + x, y * width + x - 1)) y++;
      if (y > from) path += `M${n(x / width)} ${n(from / height)}V${n(y / height)}`;
    }
  }
  for (let y = 1; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = x;
      while (x < width && differ(y * width + x, (y - 1) * width + x)) x++;
      if (x > from) path += `M${n(from / width)} ${n(y / height)}H${n(x / width)}`;
    }
  }
  return path;
}

/** Whether the pixels of a sample have a class each. */
export function hasPlaces(explanation: Explanation | null): explanation is Explanation {
  return (explanation?.masks.said ?? null) !== null;
}

function classAt(mask: Uint8Array | null, explanation: Explanation, { x, y }: Point): number | null {
  if (mask === null) return null;
  const column = Math.min(explanation.map_width - 1, Math.floor(x * explanation.map_width));
  const row = Math.min(explanation.map_height - 1, Math.floor(y * explanation.map_height));
  const found = mask[row * explanation.map_width + column] ?? NO_CLASS;
  return found === NO_CLASS ? null : found;
}

/** What is at a point: the class of the ground truth, and that of the model. */
export function placeWords(state: State, at: Point): string {
  const explanation = shownExplanation(state);
  if (!hasPlaces(explanation)) return "";
  const { truth, said } = explanation.masks;
  const real = classAt(truth, explanation, at);
  const given = className(state, classAt(said, explanation, at));
  return real === null ? `no label, seen as ${given}` : className(state, real) === given ? `${given}, seen right` : `${className(state, real)}, seen as ${given}`;
}

export function createOutlines({ store, signal }: Context, over: SVGSVGElement): Part & { svg: SVGSVGElement } {
  const path = (name: string): SVGPathElement => s("path", { class: name, "vector-effect": "non-scaling-stroke" });
  const drawn = { truth: [path("cw-halo"), path("cw-truth")], said: [path("cw-halo"), path("cw-said")], region: [path("cw-halo"), path("cw-region")] };
  const svg = s("svg", { class: "cw-outlines", viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true", testid: "cw-outlines" },
    ...drawn.region, ...drawn.truth, ...drawn.said);
  const toggle = button("Outlines", { class: "cw-segment", testid: "cw-outlines-toggle", title: "Ground truth and prediction as outlines (V)" });
  toggle.addEventListener("click", () => {
    store.patch({ outlines: !store.state.outlines });
  }, { signal });
  const place = h("bdi", { class: "cw-place-words", dir: "auto", testid: "cw-place-words" });
  const el = h("div", { class: "cw-outline-key" }, toggle,
    h("span", { class: "cw-key-truth", title: "Solid: the mask of the data" }, "truth"),
    h("span", { class: "cw-key-said", title: "Dashed: what the model says" }, "model"),
    h("span", { class: "cw-key-region", title: "Thick: the region that the map is of" }, "explained"), place);
  over.addEventListener("pointermove", (event) => {
    const box = over.getBoundingClientRect();
    if (box.width > 0) setText(place, placeWords(store.state, { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height }));
  }, { signal });
  over.addEventListener("pointerleave", () => {
    setText(place, "");
  }, { signal });

  const known = new WeakMap<Uint8Array, string>();
  function outline(mask: Uint8Array, explanation: Explanation): string {
    const found = known.get(mask) ?? borders(mask, explanation.map_width, explanation.map_height);
    known.set(mask, found);
    return found;
  }

  return {
    el,
    svg,
    keys: ["explanation", "outlines", "at", "shelf", "cursor", "status"],
    update(state) {
      const explanation = shownExplanation(state);
      const there = hasPlaces(explanation);
      setHidden(el, !there);
      setAttr(over, "aria-description", there ? "Enter at the cross, or a press that draws nothing, explains the region there." : null);
      setAttr(svg, "visibility", there && state.outlines ? null : "hidden");
      setAttr(toggle, "aria-pressed", String(state.outlines));
      if (!there) return;
      for (const name of ["truth", "said", "region"] as const) {
        const mask = explanation.masks[name];
        for (const one of drawn[name]) setAttr(one, "d", mask === null ? null : outline(mask, explanation));
      }
      if (state.cursor !== null) setText(place, placeWords(state, state.cursor));
    },
  };
}
