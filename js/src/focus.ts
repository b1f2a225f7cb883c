// Where the model looks: one sample's picture under its maps, and what the model says about it.

import { button, h, isolated, setAttr, setHidden, setText, setVar, syncChildren } from "./dom";
import { share } from "./format";
import { Picture } from "./picture";
import type { Explanation, MapName } from "./protocol";
import { className, hasMaps, shownMap, type State } from "./state";
import { createPlaceholder, createStrokeLayer } from "./strokes";
import type { Context, Part } from "./view";

export const MAPS: readonly (readonly [MapName | "off", string])[] = [
  ["livecam", "LiveCAM"], ["smoothgrad", "SmoothGrad"], ["consensus", "Consensus"], ["off", "Off"],
];

function placeholderText(state: State): string | null {
  const { explanation, explaining } = state;
  if (explanation?.picture) return null;
  if (explanation?.failed) return explanation.failed;
  if (explaining !== null) return `Explaining sample ${explaining}…`;
  return "Choose a sample from the queue, or type its number, to see where the model looks.";
}

export function createFocus(context: Context, tools: HTMLElement): Part {
  const { store, signal } = context;
  const title = h("h3", { class: "cw-title" });
  const target = isolated("cw-class");
  const predicted = isolated("cw-class");
  const seen = h("span", { class: "cw-seen" }, target, h("span", { class: "cw-seen-verb" }), predicted);
  const busy = h("span", { class: "cw-busy", role: "status" });
  const picture = new Picture();
  const layer = createStrokeLayer(context);
  const placeholder = createPlaceholder();
  const frame = h("div", { class: "cw-picture" }, picture.canvas, layer.svg, placeholder.el);

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
  const mapBar = h("div", { class: "cw-bar" },
    h("div", { class: "cw-segments", role: "group", "aria-label": "Map over the picture" }, ...segments),
    h("label", { class: "cw-labelled cw-opacity" }, h("span", {}, "opacity"), opacity));

  const agreement = h("span", { class: "cw-strong", testid: "cw-agreement" });
  const quality = h("span", { class: "cw-quality" });
  const modelStep = h("span", { testid: "cw-model-step" });
  const facts = h("p", { class: "cw-evidence" },
    h("span", { title: "How far LiveCAM and SmoothGrad agree, from 0 (chance) to 1" }, "agreement ", agreement, " ", quality), modelStep);
  const bars = h("ol", { class: "cw-bars", "aria-label": "Most probable classes" });

  const el = h("section", { class: "cw-panel cw-focus", testid: "cw-focus", "aria-label": "Focus: where the model looks" },
    h("div", { class: "cw-panel-head" }, title, busy, seen),
    mapBar, frame, tools, facts, bars);

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
      if (number) setText(number, share(one.probability));
    });
  }

  function showText(state: State): void {
    const { explanation, explaining } = state;
    setText(title, explanation === null ? "Focus" : `Sample ${explanation.index}`);
    const known = explanation !== null && explanation.target !== null;
    setHidden(seen, !known);
    const right = explanation?.target === explanation?.predicted;
    setText(target, className(state, explanation?.target ?? null));
    setText(predicted, right ? "" : className(state, explanation?.predicted ?? null));
    const verb = seen.children[1];
    if (verb) setText(verb, right ? ", seen as such" : ", seen as ");
    setAttr(seen, "title", known ? `${target.textContent}${verb?.textContent ?? ""}${predicted.textContent}` : null);
    const failed = explanation?.failed ?? null;
    const waiting = explaining !== null || (explanation !== null && failed === null && !hasMaps(explanation));
    setText(busy, waiting ? "explaining…" : failed !== null && explanation?.picture ? "no map" : "");
    setAttr(busy, "title", failed);
    setText(agreement, explanation === null || !hasMaps(explanation) ? "–" : explanation.agreement === null ? "not defined" : share(explanation.agreement));
    setText(quality, explanation?.quality ?? "");
    setAttr(quality, "data-quality", explanation?.quality ?? null);
    setText(modelStep, typeof explanation?.model_step === "number" ? `model of step ${explanation.model_step}` : "");
    showBars(state, explanation);
  }

  function showPicture(state: State): void {
    const { explanation } = state;
    const shown = shownMap(state);
    MAPS.forEach(([name], i) => {
      const one = segments[i];
      if (!one) return;
      setAttr(one, "aria-pressed", String(name === shown));
      one.disabled = name !== "off" && (explanation === null || explanation.maps[name] === null);
    });
    if (document.activeElement !== opacity) opacity.value = String(Math.round(state.opacity * 100));
    setVar(opacity, "--cw-at", state.opacity.toFixed(2));
    opacity.disabled = shown === "off";
    const ready = explanation !== null && hasMaps(explanation);
    setAttr(el, "data-sample", ready ? explanation.index : null);
    setAttr(frame, "data-empty", explanation?.picture ? null : true);
    placeholder.show(placeholderText(state));
    if (!explanation?.picture) return;
    setVar(frame, "--cw-ratio", String(explanation.width / explanation.height));
    picture.paint(explanation, shown, state.opacity);
    setAttr(picture.canvas, "aria-label", `Sample ${explanation.index}, ${shown === "off" ? "without a map" : `with the ${shown} map`}`);
  }

  return {
    el,
    keys: ["explanation", "explaining", "status", "map", "opacity", "drafts", "selected", "tool"],
    update(state, changed) {
      const picturesChanged = changed.has("explanation") || changed.has("map") || changed.has("opacity") || changed.has("explaining");
      if (picturesChanged) showPicture(state);
      if (changed.has("explanation") || changed.has("status") || changed.has("explaining")) showText(state);
      if (picturesChanged || changed.has("drafts") || changed.has("selected") || changed.has("tool")) layer.update(state);
    },
  };
}
