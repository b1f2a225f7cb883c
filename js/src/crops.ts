// A small picture with what was marked in it.

import { h, s, setAttr, syncChildren } from "./dom";
import { fromRoi, pathOf, type Shape } from "./shapes";
import type { Marked } from "./modalities/kind";
import { showThumbnail } from "./thumbnails";

const shapes = new WeakMap<object, Shape | null>();

/** Outline of a stroke in a picture of side 1; "" where it cannot be drawn. */
export function outline(roi: Record<string, unknown>): string {
  if (!shapes.has(roi)) shapes.set(roi, fromRoi(roi));
  const shape = shapes.get(roi) ?? null;
  return shape === null ? "" : pathOf(shape).rim;
}

export function makeCrop(name = ""): HTMLElement {
  return h("span", { class: `cw-crop ${name}` }, h("img", { alt: "", draggable: "false" }),
    s("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" }));
}

export function showCrop(crop: HTMLElement, png: Uint8Array | null, marks: readonly Marked[]): void {
  const [image, svg] = crop.children as unknown as [HTMLImageElement, SVGSVGElement];
  showThumbnail(image, png);
  syncChildren(svg, marks, () => s("path", { class: "cw-given-rim", "vector-effect": "non-scaling-stroke" }), (path, mark) => {
    setAttr(path, "d", outline(mark.roi));
    setAttr(path, "data-kind", mark.kind);
  });
}
