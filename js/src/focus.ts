// The middle of the dashboard: one sample under its map, what the model says of it, and
// under the hand what to tell the training.

import { button, focusedBeside, h, isolated, setAttr, setHidden, setText } from "./dom";
import { createEvidence } from "./evidence";
import { icon } from "./icons";
import { walk } from "./lists";
import { createLooks } from "./looks";
import { createImage, IMAGE } from "./modalities/image";
import type { Kind } from "./modalities/kind";
import { kindOf, shownKind } from "./modalities/kinds";
import { className, hasMaps, shownExplanation, type State } from "./state";
import type { Changed } from "./store";
import { createTell } from "./tell";
import { createTools } from "./tools";
import type { Context, Part } from "./view";

export function createFocus(context: Context): Part {
  const { signal, actions } = context;
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

  const image = createImage(context);
  const tools = createTools(context, image.layer);
  const tell = createTell(context);
  const evidence = createEvidence(context);
  const views = new Map<Kind, Part>([[IMAGE, image]]); // each made when the first sample of its kind is shown
  let shown: Part = image;
  const stage = h("div", { class: "cw-stage" }, tools.el, image.el, evidence.el);
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

  /** Show the sample as its kind is drawn; a view that was hidden is brought up to date as a whole. */
  function showSample(state: State, changed: Changed): void {
    const explanation = shownExplanation(state);
    const kind = kindOf(explanation?.content ?? null);
    const view = views.get(kind) ?? kind.create(context);
    if (!views.has(kind)) {
      views.set(kind, view);
      evidence.el.before(view.el);
    }
    const fresh = view !== shown;
    shown = view;
    for (const one of views.values()) setHidden(one.el, one !== view);
    if (fresh || view.keys.some((key) => changed.has(key))) view.update(state, fresh ? new Set(view.keys) : changed);
    setAttr(el, "data-kind", shownKind(state).name);
    setAttr(el, "data-sample", explanation !== null && hasMaps(explanation) ? explanation.index : null);
  }

  return {
    el,
    keys: [...new Set<keyof State>([...tools.keys, ...tell.keys, ...evidence.keys, ...looks.keys, "queue", "page", "filter", "forgotten", "suspects", ...image.keys])],
    update(state, changed) {
      const any = (...keys: readonly (keyof State)[]): boolean => keys.some((key) => changed.has(key));
      for (const part of [tools, tell, evidence, looks]) if (any(...part.keys)) part.update(state, changed);
      showSample(state, changed);
      if (any("explanation", "status", "at", "shelf", "queue", "page", "filter", "forgotten", "suspects", "connection")) showText(state);
    },
  };
}
