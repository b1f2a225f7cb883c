// How the picture is looked at: with its map, without, with all maps beside each other; and behind
// one button which map, how strongly, and in which colours.

import { PALETTES } from "./colormap";
import { button, focusedBeside, h, setAttr, setText, setVar } from "./dom";
import { icon } from "./icons";
import { shownKind } from "./modalities/kinds";
import { createPopover } from "./popover";
import { hasMaps, MAP_NAMES, shownExplanation, shownMap, type MapView, type State } from "./state";
import type { Context, Part } from "./view";

export const MAPS: readonly (readonly [MapView, string])[] = [...MAP_NAMES, ["all", "Compare"], ["off", "Picture"]];
/** The buttons in the order they stand in: the first means the map that was chosen last. */
const VIEWS: readonly (readonly [MapView | "map", string, string])[] = [
  ["off", "Picture", "The picture alone (5)"], ["map", "Map", "With the map over it (1, 2, 3)"], ["all", "Compare", "The three maps beside each other (4)"],
];

export function createLooks({ store, signal }: Context): Part & { menu: HTMLElement } {
  const views = VIEWS.map(([name, label, title]) => {
    const one = button(label, { class: "cw-segment", testid: `cw-view-${name}`, "aria-pressed": "false", title });
    one.addEventListener("click", () => {
      store.patch({ map: name === "map" ? null : name });
    }, { signal });
    return one;
  });
  const el = h("div", { class: "cw-segments cw-views", role: "group", "aria-label": "Picture or map" }, ...views);

  const segments = MAP_NAMES.map(([name, label], i) => {
    const one = button(label, { class: "cw-segment", testid: `cw-map-${name}`, "aria-pressed": "false", title: `${label} (${i + 1})` });
    one.addEventListener("click", () => {
      store.patch({ map: name });
    }, { signal });
    return one;
  });
  const opacity = h("input", { type: "range", min: 0, max: 100, step: 5, class: "cw-range", testid: "cw-opacity", "aria-label": "Opacity of the map" });
  opacity.addEventListener("input", () => {
    store.patch({ opacity: Number(opacity.value) / 100 });
  }, { signal });
  const threshold = h("input", { type: "range", min: 0, max: 95, step: 5, class: "cw-range", testid: "cw-threshold", "aria-label": "Hide what is weaker than this share of the strongest place" });
  threshold.addEventListener("input", () => {
    store.patch({ threshold: Number(threshold.value) / 100 });
  }, { signal });
  const palette = h("select", { class: "cw-input cw-select cw-palette", testid: "cw-palette", "aria-label": "Colours of the map" },
    ...PALETTES.map((name) => h("option", { value: name }, name)));
  palette.addEventListener("change", () => {
    store.patch({ palette: palette.value });
  }, { signal });
  const opener = button("", { class: "cw-button cw-icon", testid: "cw-looks", "aria-label": "Which map, and its colours", title: "Which map, and its colours" }, icon("gear"));
  const about = h("p", { class: "cw-note" });
  const menu = createPopover(opener, "Which map, and its colours", "cw-looks", signal,
    about,
    h("div", { class: "cw-segments cw-maps", role: "group", "aria-label": "Which map" }, ...segments),
    h("label", { class: "cw-labelled" }, h("span", {}, "opacity"), opacity),
    h("label", { class: "cw-labelled", title: "Places weaker than this share of the strongest are not drawn" }, h("span", {}, "hide weaker"), threshold),
    h("label", { class: "cw-labelled cw-colours" }, h("span", {}, "colours"), palette));

  return {
    el,
    menu: menu.el,
    keys: ["explanation", "status", "map", "opacity", "threshold", "palette", "at", "shelf"],
    update(state: State) {
      const explanation = shownExplanation(state);
      const [first] = views;
      const kind = shownKind(state);
      if (first) setText(first, kind.plain);
      setText(about, kind.about);
      const shown = shownMap(state);
      const view = shown === "off" || shown === "all" ? shown : "map";
      VIEWS.forEach(([name], i) => {
        const one = views[i];
        if (!one) return;
        setAttr(one, "aria-pressed", String(name === view));
        one.disabled = name !== "off" && (explanation === null || !hasMaps(explanation));
      });
      MAP_NAMES.forEach(([name], i) => {
        const one = segments[i];
        if (!one) return;
        if (i === 0) {
          setText(one, kind.first);
          setAttr(one, "title", `${kind.first} (1)`);
        }
        setAttr(one, "aria-pressed", String(name === shown));
        one.disabled = explanation === null || explanation.maps[name] === null;
      });
      if (focusedBeside(threshold) !== threshold) threshold.value = String(Math.round(state.threshold * 100));
      setVar(threshold, "--cw-at", (state.threshold / 0.95).toFixed(2));
      if (palette.value !== state.palette) palette.value = state.palette;
      if (focusedBeside(opacity) !== opacity) opacity.value = String(Math.round(state.opacity * 100));
      setVar(opacity, "--cw-at", state.opacity.toFixed(2));
      opacity.disabled = palette.disabled = threshold.disabled = shown === "off";
    },
  };
}
