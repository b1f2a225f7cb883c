// Other samples that show what was ignored in one: the stroke is applied to those that a person
// leaves picked.

import { button, h, setAttr, setHidden, setText, syncChildren } from "./dom";
import type { Hits } from "./protocol";
import { showGlance } from "./modalities/kinds";
import { isReachable } from "./state";
import { showThumbnail } from "./thumbnails";
import type { Context, Part } from "./view";

/** How far the search is, and what to do with what it found. */
export function hitsText(hits: Hits): string {
  if (hits.error !== "") return hits.error;
  return `${hits.count} more look the same${hits.done ? "" : ` so far; ${hits.searched} of ${hits.total} searched`}. Take out those that do not.`;
}

export function createHits({ store, actions, signal }: Context): Part {
  const apply = button("", { class: "cw-button cw-primary", testid: "cw-hits-confirm" });
  const grid = h("div", { class: "cw-hits", testid: "cw-hits" });
  const el = h("div", { class: "cw-alike-page" }, apply, grid);
  grid.addEventListener("click", (event) => {
    const index = Number((event.target as Element).closest("button")?.getAttribute("data-index") ?? NaN);
    if (Number.isNaN(index)) return;
    const unpicked = new Set(store.state.unpicked);
    if (!unpicked.delete(index)) unpicked.add(index);
    store.patch({ unpicked });
  }, { signal });
  apply.addEventListener("click", () => {
    const { hits, unpicked } = store.state;
    if (hits === null) return;
    const index = unpicked.size === 0 ? null : hits.items.map((one) => one.index).filter((one) => !unpicked.has(one));
    void actions.send({ kind: "confirm", intervention: hits.intervention, index });
  }, { signal });

  return {
    el,
    keys: ["hits", "unpicked", "connection", "glances"],
    update(state) {
      const { hits, unpicked } = state;
      if (hits === null) return;
      const count = unpicked.size === 0 ? hits.count : hits.items.filter((one) => !unpicked.has(one.index)).length;
      setText(apply, count === 1 ? "Ignore it there too" : `Ignore it in these ${count} too`);
      apply.disabled = count === 0 || !isReachable(state);
      setHidden(apply, hits.items.length === 0);
      syncChildren(grid, hits.items, () => button("", { class: "cw-hit", testid: "cw-hit" }, h("img", { class: "cw-thumb", alt: "" }), h("span", { class: "cw-glance" })), (one, item) => {
        const [image, glance] = one.children as unknown as [HTMLImageElement, HTMLElement];
        const instead = showGlance(glance, state.glances.get(item.index));
        showThumbnail(image, instead ? null : item.thumbnail);
        setAttr(one, "data-kind", instead ? glance.getAttribute("data-kind") : null);
        setAttr(one, "data-index", item.index);
        setAttr(one, "aria-pressed", String(!unpicked.has(item.index)));
        setAttr(one, "aria-label", `Sample ${item.index}, alike ${item.score.toFixed(2)}`);
        setAttr(one, "title", `Sample ${item.index}`);
      });
    },
  };
}
