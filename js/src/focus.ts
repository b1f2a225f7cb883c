// Where the model looks: one sample's picture under its maps, and what the model says about it.

import { PALETTES } from "./colormap";
import { button, focusedBeside, h, isolated, setAttr, setHidden, setText, setVar, syncChildren } from "./dom";
import { probability, share } from "./format";
import { icon } from "./icons";
import { keptInstead, thumbnailOf } from "./kept";
import { Picture } from "./picture";
import type { Explanation } from "./protocol";
import { className, filtered, hasMaps, isReachable, shownExplanation, shownMap, type MapName, type MapView, type State } from "./state";
import { createTimeline } from "./timeline";
import { createPlaceholder, createStrokeLayer } from "./strokes";
import { createTools } from "./tools";
import type { Context, Part } from "./view";

const NAMES: readonly (readonly [MapName, string])[] = [
  ["livecam", "LiveCAM"], ["smoothgrad", "SmoothGrad"], ["consensus", "Consensus"],
];
export const MAPS: readonly (readonly [MapView, string])[] = [...NAMES, ["all", "All"], ["off", "Off"]];

function placeholderText(state: State): string | null {
  const { explanation, explaining } = state;
  if (explanation?.picture) return null;
  if (explanation?.failed) return explanation.failed;
  if (explaining !== null) return `Explaining sample ${explaining}…`;
  const kept = keptInstead(state);
  if (kept !== null) return kept;
  return "Choose a sample from the queue, or type its number, to see where the model looks.";
}

export function createFocus(context: Context): Part {
  const { store, signal, actions } = context;
  const title = h("h3", { class: "cw-title" }, "Sample");
  const number = h("input", {
    type: "number", min: 0, step: 1, class: "cw-input cw-sample-number", testid: "cw-explain-index",
    "aria-label": "Number of the sample; Enter explains it", title: "Type a number and press Enter to see that sample", placeholder: "number", inputmode: "numeric",
  });
  const form = h("form", { class: "cw-explain" }, title, number);
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
  const previous = stepButton(-1, "Previous candidate");
  const next = stepButton(1, "Next candidate");
  const target = isolated("cw-class");
  const predicted = isolated("cw-class");
  const seen = h("span", { class: "cw-seen" }, target, h("span", { class: "cw-seen-verb" }), predicted);
  const busy = h("span", { class: "cw-busy", role: "status" });
  const picture = new Picture();
  const layer = createStrokeLayer(context);
  const tools = createTools(context, layer);
  const placeholder = createPlaceholder();
  const frame = h("div", { class: "cw-picture" }, picture.canvas, layer.svg, placeholder.el);
  const three = NAMES.map(([name, label]) => {
    const small = new Picture();
    const one = button("", { class: "cw-one-of-three", "aria-label": `Show ${label} alone` }, small.canvas, h("span", {}, label));
    one.addEventListener("click", () => {
      store.patch({ map: name });
    }, { signal });
    return { name, picture: small, el: one };
  });
  const side = h("div", { class: "cw-three", testid: "cw-side-by-side" }, ...three.map(({ el: one }) => one));
  const timeline = createTimeline(context);

  const segments = MAPS.map(([name, label]) => {
    const one = button(label, { class: "cw-segment", testid: `cw-map-${name}`, "aria-pressed": "false" });
    one.addEventListener("click", () => {
      store.patch({ map: name });
    }, { signal });
    return one;
  });
  const opacity = h("input", { type: "range", min: 0, max: 100, step: 5, class: "cw-range", testid: "cw-opacity", "aria-label": "Opacity of the map" });
  opacity.addEventListener("input", () => {
    store.patch({ opacity: Number(opacity.value) / 100 });
  }, { signal });
  const threshold = h("input", { type: "range", min: 0, max: 95, step: 5, class: "cw-range", testid: "cw-threshold", "aria-label": "Threshold: weaker places are not drawn" });
  threshold.addEventListener("input", () => {
    store.patch({ threshold: Number(threshold.value) / 100 });
  }, { signal });
  const palette = h("select", { class: "cw-input cw-select cw-palette", testid: "cw-palette", "aria-label": "Colours of the map", title: "Colours of the map" },
    ...PALETTES.map((name) => h("option", { value: name }, name)));
  palette.addEventListener("change", () => {
    store.patch({ palette: palette.value });
  }, { signal });
  const mapBar = h("div", { class: "cw-bar" },
    h("div", { class: "cw-segments cw-maps", role: "group", "aria-label": "Map over the picture" }, ...segments),
    h("div", { class: "cw-looks" },
      h("label", { class: "cw-labelled", title: "Opacity of the map" }, h("span", {}, "opacity"), opacity),
      h("label", { class: "cw-labelled", title: "Weaker places are not drawn" }, h("span", {}, "above"), threshold), palette));

  const agreement = h("span", { class: "cw-strong", testid: "cw-agreement" });
  const quality = h("span", { class: "cw-quality" });
  const modelStep = h("span", { testid: "cw-model-step" });
  const reason = (right: boolean): HTMLButtonElement => {
    const [word, does, key] = right ? ["Right reason", "look at", "R"] : ["Wrong reason", "ignore", "W"];
    const one = button(word, { class: "cw-button cw-small", testid: right ? "cw-right-reason" : "cw-wrong-reason", title: `Tell the training to ${does} the framed region (${key})` });
    one.addEventListener("click", () => void actions.judgeReason(right), { signal });
    return one;
  };
  const reasons = [reason(true), reason(false)];
  const facts = h("div", { class: "cw-evidence" },
    h("span", { title: "How far LiveCAM and SmoothGrad agree, from 0 (chance) to 1" }, "agreement ", agreement, " ", quality), modelStep,
    h("span", { class: "cw-group cw-reasons" }, ...reasons));
  const bars = h("ol", { class: "cw-bars", "aria-label": "Most probable classes" });

  const el = h("section", { class: "cw-panel cw-focus", testid: "cw-focus", "aria-label": "Focus: where the model looks" },
    h("div", { class: "cw-panel-head" }, form, h("span", { class: "cw-group cw-steps" }, previous, next), busy, seen),
    mapBar, frame, side, timeline.el, tools.el, facts, bars);

  function makeBar(): HTMLLIElement {
    return h("li", { class: "cw-class-bar" }, isolated("cw-class"), h("span", { class: "cw-check" }),
      h("span", { class: "cw-meter", "aria-hidden": "true" }), h("span", { class: "cw-number" }));
  }

  function showBars(state: State, explanation: Explanation | null): void {
    const top = explanation?.top ?? [];
    syncChildren(bars, top.slice(0, 3), makeBar, (item, one) => {
      const [name, check, meter, number] = item.children;
      const truth = one.index === explanation?.target;
      const label = className(state, one.index);
      if (name) setText(name, label);
      setAttr(item, "title", label);
      if (check) {
        setText(check, truth ? "✓" : "");
        setAttr(check, "aria-label", truth ? "true class" : null);
        setAttr(check, "role", truth ? "img" : null);
      }
      setAttr(item, "data-true", truth);
      if (meter) setVar(meter as HTMLElement, "--cw-share", one.probability.toFixed(3));
      if (number) setText(number, probability(one.probability));
    });
  }

  function showText(state: State): void {
    const { explaining } = state;
    const explanation = shownExplanation(state);
    if (focusedBeside(number) !== number || number.value === "") number.value = explanation === null ? "" : String(explanation.index);
    if (state.status !== null && state.status.num_train > 0) setAttr(number, "max", state.status.num_train - 1);
    const candidates = filtered(state).length > 0;
    previous.disabled = next.disabled = !candidates;
    for (const one of reasons) one.disabled = (explanation?.bbox ?? null) === null || !isReachable(state);
    const known = explanation !== null && explanation.target !== null;
    setHidden(seen, !known);
    const right = explanation?.target === explanation?.predicted;
    setText(target, className(state, explanation?.target ?? null));
    setText(predicted, right ? "" : className(state, explanation?.predicted ?? null));
    const verb = seen.children[1];
    if (verb) setText(verb, right ? ", seen as such" : ", seen as ");
    setAttr(seen, "title", known ? `${target.textContent}${verb?.textContent ?? ""}${predicted.textContent}` : null);
    const failed = explanation?.failed ?? null;
    const kept = keptInstead(state);
    const waiting = explaining !== null || (explanation !== null && failed === null && kept === null && isReachable(state) && !hasMaps(explanation));
    setText(busy, waiting ? "explaining…" : kept !== null || (failed !== null && explanation?.picture) ? "no map" : "");
    setAttr(busy, "title", failed ?? kept);
    setText(agreement, explanation === null || !hasMaps(explanation) ? "–" : explanation.agreement === null ? "not defined" : share(explanation.agreement));
    setText(quality, explanation?.quality ?? "");
    setAttr(quality, "title", explanation?.quality_reason ?? null);
    setAttr(quality, "data-quality", explanation?.quality ?? null);
    setText(modelStep, typeof explanation?.model_step === "number" ? `model of step ${explanation.model_step}` : "");
    showBars(state, explanation);
  }

  function showPicture(state: State): void {
    const explanation = shownExplanation(state);
    const shown = shownMap(state);
    MAPS.forEach(([name], i) => {
      const one = segments[i];
      if (!one) return;
      setAttr(one, "aria-pressed", String(name === shown));
      one.disabled = name !== "off" && (explanation === null || (name === "all" ? !hasMaps(explanation) : explanation.maps[name] === null));
    });
    if (focusedBeside(threshold) !== threshold) threshold.value = String(Math.round(state.threshold * 100));
    setVar(threshold, "--cw-at", (state.threshold / 0.95).toFixed(2));
    if (palette.value !== state.palette) palette.value = state.palette;
    palette.disabled = threshold.disabled = shown === "off";
    if (focusedBeside(opacity) !== opacity) opacity.value = String(Math.round(state.opacity * 100));
    setVar(opacity, "--cw-at", state.opacity.toFixed(2));
    opacity.disabled = shown === "off";
    const ready = explanation !== null && hasMaps(explanation);
    setAttr(el, "data-sample", ready ? explanation.index : null);
    setAttr(frame, "data-empty", explanation?.picture ? null : true);
    const many = shown === "all" && ready;
    setHidden(side, !many);
    setHidden(frame, many);
    placeholder.show(placeholderText(state), explanation === null || keptInstead(state) === null ? null : thumbnailOf(state, explanation.index));
    if (!explanation?.picture) return;
    setVar(frame, "--cw-ratio", String(explanation.width / explanation.height));
    setVar(side, "--cw-ratio", String(explanation.width / explanation.height));
    if (many) for (const one of three) one.picture.paint(explanation, one.name, state);
    if (shown === "all") return;
    picture.paint(explanation, shown, state);
    setAttr(picture.canvas, "aria-label", `Sample ${explanation.index}, ${shown === "off" ? "without a map" : `with the ${shown} map`}`);
  }

  return {
    el,
    keys: [...new Set<keyof State>([...tools.keys, "explaining", "map", "opacity", "threshold", "palette", "at", "shelf", "timeline", "queue", "filter", "cursor", "ledger", "entry"])],
    update(state, changed) {
      tools.update(state, changed);
      const any = (...keys: (keyof State)[]): boolean => keys.some((key) => changed.has(key));
      const picturesChanged = any("explanation", "map", "opacity", "threshold", "palette", "explaining", "at", "shelf", "connection");
      if (picturesChanged) showPicture(state);
      if (any("explanation", "status", "explaining", "at", "shelf", "queue", "filter", "connection")) showText(state);
      if (any("explanation", "timeline", "at", "shelf")) timeline.update(state, changed);
      if (picturesChanged || any("drafts", "selected", "tool", "meaning", "pending", "cursor", "ledger", "entry")) layer.update(state);
    },
  };
}
