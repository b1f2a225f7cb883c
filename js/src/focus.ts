// The middle of the dashboard: one sample's picture under its map, what the model says of it, and
// under the hand what to tell the training.

import { button, focusedBeside, h, isolated, setAttr, setHidden, setText, setVar } from "./dom";
import { createEvidence } from "./evidence";
import { icon } from "./icons";
import { keptInstead, thumbnailOf } from "./kept";
import { walk } from "./lists";
import { createLooks, NAMES } from "./looks";
import { Picture } from "./picture";
import { className, hasMaps, isReachable, shownExplanation, shownMap, type State } from "./state";
import { createPlaceholder, createStrokeLayer } from "./strokes";
import { createTell } from "./tell";
import { createTools } from "./tools";
import type { Context, Part } from "./view";

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

export function createFocus(context: Context): Part {
  const { store, signal, actions } = context;
  const number = h("input", {
    type: "number", min: 0, step: 1, class: "cw-input cw-sample-number", testid: "cw-explain-index",
    "aria-label": "Number of the sample; Enter opens it", title: "Type a number and press Enter to see that sample", placeholder: "–", inputmode: "numeric",
  });
  const form = h("form", { class: "cw-explain" }, h("span", { class: "cw-muted", "aria-hidden": "true" }, "#"), number);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const index = Number(number.value);
    if (number.value !== "" && Number.isInteger(index) && index >= 0) void actions.explain(index);
  }, { signal });
  const stepButton = (by: number, name: string): HTMLButtonElement => {
    const one = button("", { class: "cw-button cw-icon", testid: by < 0 ? "cw-previous" : "cw-next", "aria-label": name, title: `${name} (${by < 0 ? "Shift+N" : "N"})` }, icon(by < 0 ? "left" : "right"));
    one.addEventListener("click", () => void actions.step(by), { signal });
    return one;
  };
  const previous = stepButton(-1, "Previous sample of the list");
  const next = stepButton(1, "Next sample of the list");
  const target = isolated("cw-class cw-strong");
  const predicted = isolated("cw-class");
  const verb = h("span", { class: "cw-seen-verb" });
  const seen = h("span", { class: "cw-seen" }, target, verb, predicted);
  const looks = createLooks(context);

  const picture = new Picture();
  const layer = createStrokeLayer(context);
  const tools = createTools(context, layer);
  const tell = createTell(context);
  const evidence = createEvidence(context);
  const placeholder = createPlaceholder();
  const frame = h("div", { class: "cw-picture" }, picture.canvas, layer.svg, placeholder.el);
  const four = ([...NAMES, ["off", "Picture"]] as const).map(([name, label]) => {
    const small = new Picture();
    const one = button("", { class: "cw-one-of-three", "aria-label": `Show ${label} alone` }, small.canvas, h("span", {}, label));
    one.addEventListener("click", () => {
      store.patch({ map: name });
    }, { signal });
    return { name, picture: small, el: one };
  });
  const side = h("div", { class: "cw-three", testid: "cw-side-by-side" }, ...four.map(({ el: one }) => one));
  const stage = h("div", { class: "cw-stage" }, tools.el, h("div", { class: "cw-place" }, frame, side), evidence.el);
  const el = h("section", { class: "cw-panel cw-focus", testid: "cw-focus", "aria-label": "Focus: where the model looks" },
    h("div", { class: "cw-focus-head" }, form, seen, looks.el, looks.menu, h("span", { class: "cw-group cw-steps" }, previous, next)),
    stage, tell.el);

  function showText(state: State): void {
    const explanation = shownExplanation(state);
    if (focusedBeside(number) !== number || number.value === "") number.value = explanation === null ? "" : String(explanation.index);
    if (state.status !== null && state.status.num_train > 0) setAttr(number, "max", state.status.num_train - 1);
    previous.disabled = next.disabled = walk(state).length === 0;
    const known = explanation !== null && explanation.target !== null;
    setHidden(seen, !known);
    const right = explanation?.target === explanation?.predicted;
    setText(target, className(state, explanation?.target ?? null));
    setText(predicted, right ? "" : className(state, explanation?.predicted ?? null));
    setText(verb, right ? " ✓ seen right" : " seen as ");
    setAttr(seen, "data-right", right);
    setAttr(seen, "title", known ? `${target.textContent}${verb.textContent}${predicted.textContent}` : null);
  }

  function showPicture(state: State): void {
    const explanation = shownExplanation(state);
    const shown = shownMap(state);
    const ready = explanation !== null && hasMaps(explanation);
    setAttr(el, "data-sample", ready ? explanation.index : null);
    setAttr(frame, "data-empty", explanation?.picture ? null : true);
    const many = shown === "all" && ready;
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
    keys: [...new Set<keyof State>([...tools.keys, ...tell.keys, ...evidence.keys, ...looks.keys, "queue", "page", "filter", "forgotten", "suspects", "ledger", "entry"])],
    update(state, changed) {
      const any = (...keys: readonly (keyof State)[]): boolean => keys.some((key) => changed.has(key));
      for (const part of [tools, tell, evidence, looks]) if (any(...part.keys)) part.update(state, changed);
      const picturesChanged = any("explanation", "map", "opacity", "threshold", "palette", "explaining", "at", "shelf", "connection");
      if (picturesChanged) showPicture(state);
      if (any("explanation", "status", "at", "shelf", "queue", "page", "filter", "forgotten", "suspects", "connection")) showText(state);
      if (picturesChanged || any("drafts", "selected", "tool", "meaning", "pending", "cursor", "ledger", "entry")) layer.update(state);
    },
  };
}
