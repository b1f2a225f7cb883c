// The tools under the picture: what a stroke means, with which tool it is drawn, where it holds,
// how strongly, and Submit.

import { button, h, setAttr, setHidden, setText, setVar } from "./dom";
import { plural, share } from "./format";
import { icon, type IconName } from "./icons";
import type { Scope, StrokeKind } from "./protocol";
import { draftsOf, isReachable, shownExplanation, strengthOf, type Tool } from "./state";
import type { StrokeLayer } from "./strokes";
import type { Context, Part } from "./view";

const TOOLS: readonly (readonly [Tool, string])[] = [
  ["box", "Box (B)"], ["polygon", "Polygon (G): click its corners, or draw round the region"], ["brush", "Brush (U)"], ["eraser", "Eraser (E)"],
];
const SCOPES: readonly (readonly [Scope | "", string])[] = [
  ["", "sample and alike"], ["sample", "only this sample"], ["class", "its class"], ["everywhere", "everywhere"],
];
export const RADII = [0.02, 0.25] as const;

export function createTools({ store, actions, signal }: Context, layer: StrokeLayer): Part {
  const kinds: [StrokeKind, HTMLButtonElement][] = [
    ["look", button("Look here", { class: "cw-button cw-tool cw-tool-look", testid: "cw-tool-look", title: "Strokes drawn now say: look here (L)" })],
    ["ignore", button("Ignore this", { class: "cw-button cw-tool cw-tool-ignore", testid: "cw-tool-ignore", title: "Strokes drawn now say: ignore this (I)" })],
  ];
  for (const [kind, one] of kinds) {
    one.addEventListener("click", () => {
      store.patch({ meaning: kind });
    }, { signal });
  }
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
  const size = h("label", { class: "cw-labelled", title: "Size of the brush ([ and ])" }, h("span", {}, "size"), radius);

  const scope = h("select", { class: "cw-input cw-select", testid: "cw-scope", "aria-label": "Where the strokes hold", title: "Where the strokes hold; alike: what is ignored here is ignored in the like places of other samples too" },
    ...SCOPES.map(([value, label]) => h("option", { value }, label)));
  scope.addEventListener("change", () => {
    store.patch({ scope: scope.value === "" ? null : (scope.value as Scope) });
  }, { signal });
  const strength = h("input", { type: "range", min: 0, max: 1, step: 0.05, class: "cw-range", testid: "cw-strength", "aria-label": "Strength" });
  strength.addEventListener("input", () => {
    store.patch({ strength: Number(strength.value) });
  }, { signal });
  const strengthValue = h("output", { class: "cw-number" });
  const submit = button("Submit", { class: "cw-button cw-primary cw-submit", testid: "cw-submit" });
  submit.addEventListener("click", () => void actions.submit(), { signal });
  const caution = h("p", { class: "cw-caution", testid: "cw-caution" });

  const el = h("div", { class: "cw-tools" },
    h("div", { class: "cw-bar" },
      h("div", { class: "cw-group cw-meanings", role: "group", "aria-label": "Meaning of the strokes" }, ...kinds.map(([, one]) => one)),
      h("div", { class: "cw-group" },
        h("div", { class: "cw-segments", role: "group", "aria-label": "Drawing tool" }, ...tools),
        h("div", { class: "cw-group cw-edits" }, add, undo, redo, remove)),
      size),
    h("div", { class: "cw-bar" }, scope,
      h("div", { class: "cw-send" },
        h("label", { class: "cw-labelled cw-strength" }, h("span", {}, "strength"), strength, strengthValue), submit)),
    caution);

  return {
    el,
    keys: ["tool", "meaning", "pending", "radius", "scope", "strength", "status", "explanation", "drafts", "edits", "selected", "instruction", "connection", "echo", "at", "shelf"],
    update(state) {
      const drafts = draftsOf(state);
      const drawable = state.explanation !== null && state.explanation.picture !== null;
      for (const [kind, one] of kinds) setAttr(one, "aria-pressed", String(kind === state.meaning));
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
      if (scope.value !== (state.scope ?? "")) scope.value = state.scope ?? "";
      const now = strengthOf(state);
      if (Number(strength.value) !== now) strength.value = String(now);
      setVar(strength, "--cw-at", now.toFixed(3));
      setText(strengthValue, share(now));
      submit.disabled = !actions.canSubmit() || !isReachable(state);
      setAttr(submit, "aria-label", drafts.length === 0 ? null : `Submit ${plural(drafts.length, "stroke")}`);
      // Of the map on the screen, as the word beside the agreement is; an earlier one may be another.
      const shown = shownExplanation(state);
      const doubtful = shown?.quality === "not reliable";
      setHidden(caution, !doubtful);
      if (doubtful) setText(caution, `This map is not reliable: ${shown.quality_reason ?? ""}`);
    },
  };
}
