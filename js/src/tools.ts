// The tools beside the picture: with which one a stroke is drawn, and how drawing is taken back.

import { button, h, setAttr, setHidden, setVar } from "./dom";
import { icon, type IconName } from "./icons";
import { draftsOf, type Tool } from "./state";
import type { StrokeLayer } from "./strokes";
import type { Context, Part } from "./view";

const TOOLS: readonly (readonly [Tool, string])[] = [
  ["box", "Box (B)"], ["polygon", "Polygon (G): click its corners, or draw round the region"], ["brush", "Brush (U)"], ["eraser", "Eraser (E)"],
];
export const RADII = [0.02, 0.25] as const;

export function createTools({ store, actions, signal }: Context, layer: StrokeLayer): Part {
  const tools = TOOLS.map(([tool, title]) => {
    const one = button("", { class: "cw-segment cw-icon", testid: `cw-shape-${tool}`, "aria-label": title.split(" (")[0] ?? tool, title }, icon(tool));
    one.addEventListener("click", () => {
      layer.pen.cancel();
      store.patch({ tool });
    }, { signal });
    return one;
  });
  const act = (name: IconName | null, testid: string, label: string, title: string, run: () => void): HTMLButtonElement => {
    const one = button(name === null ? "+" : "", { class: "cw-button cw-icon", testid, "aria-label": label, title }, ...(name === null ? [] : [icon(name)]));
    one.addEventListener("click", run, { signal });
    return one;
  };
  const add = act(null, "cw-add-box", "Add stroke", "Put a stroke in the middle (A); arrow keys move it", () => {
    const id = actions.addStroke({ kind: store.state.meaning, shape: layer.pen.centred(draftsOf(store.state).length) });
    if (id !== null) layer.focusStroke(id);
  });
  const undo = act("undo", "cw-undo-draw", "Take back the last change of the drawing", "Take back (Ctrl+Z)", () => {
    actions.undoDrawing();
  });
  const redo = act("redo", "cw-redo-draw", "Redo the change of the drawing", "Redo (Ctrl+Shift+Z)", () => {
    actions.undoDrawing(false);
  });
  const remove = act("remove", "cw-delete-box", "Delete stroke", "Delete the selected stroke (Delete)", () => {
    if (store.state.selected !== null) actions.removeStroke(store.state.selected);
  });
  const radius = h("input", { type: "range", min: RADII[0], max: RADII[1], step: 0.01, class: "cw-range", testid: "cw-radius", "aria-label": "Size of the brush" });
  radius.addEventListener("input", () => {
    store.patch({ radius: Number(radius.value) });
  }, { signal });
  const size = h("label", { class: "cw-size", title: "Size of the brush ([ and ])" }, radius);
  const el = h("div", { class: "cw-tools" },
    h("div", { class: "cw-segments", role: "group", "aria-label": "Drawing tool" }, ...tools),
    h("div", { class: "cw-edits", role: "group", "aria-label": "Changes of the drawing" }, add, undo, redo, remove), size);

  return {
    el,
    keys: ["tool", "pending", "radius", "explanation", "drafts", "edits", "selected", "at", "shelf"],
    update(state) {
      const drafts = draftsOf(state);
      const drawable = state.explanation !== null && state.explanation.picture !== null;
      TOOLS.forEach(([tool], i) => {
        const one = tools[i];
        if (one) setAttr(one, "aria-pressed", String(tool === state.tool));
      });
      setHidden(size, state.tool !== "brush" && state.tool !== "eraser");
      if (Number(radius.value) !== state.radius) radius.value = String(state.radius);
      setVar(radius, "--cw-at", ((state.radius - RADII[0]) / (RADII[1] - RADII[0])).toFixed(3));
      const edits = state.explanation === null ? undefined : state.edits[state.explanation.index];
      undo.disabled = state.pending.length === 0 && (edits?.past.length ?? 0) === 0;
      redo.disabled = (edits?.future.length ?? 0) === 0;
      add.disabled = !drawable || state.tool === "eraser";
      remove.disabled = !drafts.some((one) => one.id === state.selected);
    },
  };
}
