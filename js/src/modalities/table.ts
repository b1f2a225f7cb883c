// A row of a table on the stage: a bar for each feature, the weightiest first, its value, and where
// that lies in the range of the data; small ones are gathered until somebody asks for them.

import { button, h, setAttr, setHidden, setText, setVar, syncChildren } from "../dom";
import { plural, share } from "../format";
import { isReachable, shownExplanation, type State } from "../state";
import type { Context, Part } from "../view";
import { heatOf, shade, shownHeat } from "./heat";
import type { Kind, Marked } from "./kind";
import { createChips, givenOf, marksOf, toggle } from "./marks";

interface Row {
  name: string;
  text: string;
  at: number | null; // where the value lies in the data's range
  units: number[];
}

const MOST = 12; // rows before the others
const LEAST = 0.05; // of the weightiest: what is below is one of the others
const TELLING = 3; // rows of a sample in a list

function isRow(value: unknown): value is Row {
  const { name, text, at, units } = (value ?? {}) as Partial<Row>;
  const placed = at === undefined || at === null || typeof at === "number";
  return typeof name === "string" && typeof text === "string" && placed && Array.isArray(units) && units.every((one) => typeof one === "number");
}

function rowsOf(content: Record<string, unknown> | null | undefined): readonly Row[] {
  return (content?.["rows"] ?? []) as Row[];
}

function featuresOf({ roi }: Marked): readonly unknown[] {
  return Array.isArray(roi["features"]) ? (roi["features"] as unknown[]) : [];
}

/** How much of the map lies on a feature: all of its places together. */
const weight = (heat: Float32Array | null, row: Row): number => row.units.reduce((sum, unit) => sum + (heat?.[unit] ?? 0), 0);

export interface Weighed {
  row: Row;
  share: number; // of the weightiest
}

/** The features, the weightiest first; without a map as they stand in the data. */
export function weighed(rows: readonly Row[], heat: Float32Array | null): Weighed[] {
  const most = Math.max(...rows.map((row) => weight(heat, row)), 1e-9);
  const all = rows.map((row) => ({ row, share: weight(heat, row) / most }));
  return heat === null ? all : all.sort((a, b) => b.share - a.share);
}

/** How many of them stand by themselves: few small ones, and never a single other. */
export function standing(all: readonly Weighed[], heat: boolean): number {
  const large = heat ? all.filter(({ share }) => share >= LEAST).length : all.length;
  const count = Math.min(Math.max(large, 3), MOST);
  return all.length - count <= 1 ? all.length : count;
}

function createTable(context: Context): Part {
  const { store, signal, announce } = context;
  const list = h("div", { class: "cw-features", testid: "cw-features", role: "listbox", "aria-multiselectable": "true" });
  const more = button("", { class: "cw-link cw-others", testid: "cw-others", "aria-expanded": "false" });
  let wide = false; // the others are shown
  let at = ""; // feature under the cursor
  const chips = createChips(context, (mark) => featuresOf(mark).join(", "));
  const head = h("div", { class: "cw-feature-head", "aria-hidden": "true" }, h("span", {}, "feature"), h("span", {}, "weight"), h("span", { title: "Where the value lies between the least and the most of the data" }, "in the data"), h("span", {}, "value"));
  const el = h("div", { class: "cw-place cw-wide", testid: "cw-table" }, head, list, more, chips.el);

  const nameOf = (target: EventTarget | null): string | null => (target as Element).closest("[data-feature]")?.getAttribute("data-feature") ?? null;
  more.addEventListener("click", () => {
    wide = !wide;
    draw(store.state);
  }, { signal });
  list.addEventListener("click", (event) => {
    const name = nameOf(event.target);
    if (name === null || !isReachable(store.state)) return;
    at = name;
    toggle(context, { features: [name] });
  }, { signal });
  list.addEventListener("focusin", (event) => {
    at = nameOf(event.target) ?? at;
    rove();
  }, { signal });
  list.addEventListener("keydown", (event) => {
    const name = nameOf(event.target);
    if (name === null || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = [...list.querySelectorAll<HTMLElement>("[data-feature]")];
    const here = all.findIndex((one) => one.dataset["feature"] === name);
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) all[Math.min(Math.max(to, 0), all.length - 1)]?.focus();
    else if (event.key === " " && isReachable(store.state)) toggle(context, { features: [name] });
    else if (event.key === "Delete" || event.key === "Backspace") {
      const found = marksOf(store.state).find((one) => featuresOf(one).includes(name));
      if (found === undefined) return;
      context.actions.removeStroke(found.id);
      announce("Mark deleted");
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }, { signal });

  /** Tab goes to one row: the one under the cursor, else the first. */
  function rove(): void {
    const all = [...list.querySelectorAll<HTMLElement>("[data-feature]")];
    const stop = all.find((one) => one.dataset["feature"] === at) ?? all[0];
    for (const one of all) setAttr(one, "tabindex", one === stop ? 0 : -1);
  }

  const make = (): HTMLElement => h("div", { class: "cw-feature", role: "option" },
    h("bdi", { class: "cw-feature-name", dir: "auto" }), h("span", { class: "cw-feature-bar" }), h("span", { class: "cw-feature-range" }), h("bdi", { class: "cw-feature-value", dir: "auto" }), h("span", { class: "cw-sr" }));

  function draw(state: State): void {
    const explanation = shownExplanation(state);
    const heat = shownHeat(state);
    const all = weighed(rowsOf(explanation?.content), heat);
    const [drafts, given] = [marksOf(state), givenOf(state)];
    const few = standing(all, heat !== null);
    const rows = all.filter(({ row }, i) => wide || i < few || [...drafts, ...given].some((mark) => featuresOf(mark).includes(row.name)));
    const [x0, , x1] = explanation?.bbox ?? [1, 0, 0];
    const count = explanation?.map_width ?? 0;
    setAttr(el, "data-plain", heat === null);
    syncChildren(list, rows, make, (one, { row, share: part }) => {
      const [name, bar, range, value, spoken] = one.children as unknown as [HTMLElement, HTMLElement, HTMLElement, HTMLElement, HTMLElement];
      const draft = drafts.filter((mark) => featuresOf(mark).includes(row.name)).at(-1);
      const told = given.filter((mark) => featuresOf(mark).includes(row.name)).at(-1);
      setAttr(one, "data-feature", row.name);
      setText(name, row.name);
      setText(value, row.text);
      setVar(bar, "--cw-share", (shade(part, { ...state, opacity: 1 })).toFixed(3));
      setAttr(range, "data-unknown", typeof row.at !== "number");
      if (typeof row.at === "number") setVar(range, "--cw-at", Math.min(1, Math.max(0, row.at)).toFixed(3));
      setAttr(one, "data-kind", draft?.kind ?? null);
      setAttr(one, "data-given", told?.kind ?? null);
      setAttr(one, "data-pointed", given.some((mark) => mark.pointed && featuresOf(mark).includes(row.name)));
      setAttr(one, "data-framed", state.map !== "off" && row.units.some((unit) => unit >= Math.round(x0 * count) && unit < Math.round(x1 * count)));
      setAttr(one, "aria-selected", String(draft !== undefined));
      const said = [
        heat === null ? "" : `weight ${Math.round(part * 100)} %`, typeof row.at === "number" ? `${Math.round(row.at * 100)} % of the way from the least to the most` : "",
        draft?.kind ?? "", told === undefined ? "" : `told: ${told.kind}`,
      ].filter((part) => part !== "");
      setText(spoken, said.length === 0 ? "" : `, ${said.join(", ")}`);
      setAttr(one, "title", `${row.name}: ${row.text}`);
    });
    const others = all.length - few;
    setHidden(more, others === 0);
    const total = all.reduce((sum, { share }) => sum + share, 0);
    const small = all.filter((one) => !rows.includes(one)).reduce((sum, { share }) => sum + share, 0);
    setText(more, wide ? "Fewer" : `${plural(all.length - rows.length, "other")}${heat === null || total === 0 ? "" : `, ${share(small / total)} of the weight together`}`);
    setAttr(more, "aria-expanded", String(wide));
    rove();
  }

  return {
    el,
    keys: ["explanation", "map", "opacity", "threshold", "at", "shelf", "connection", "drafts", "selected", "ledger", "entry"],
    update(state) {
      setAttr(list, "aria-label", `Features of sample ${shownExplanation(state)?.index ?? ""}, the weightiest first. Arrows move, Space marks, Delete takes a mark away.`);
      draw(state);
      chips.update(state);
    },
  };
}

export const TABLE: Kind = {
  name: "table",
  plain: "Values",
  first: "LiveCAM",
  about: "SmoothGrad: how far each feature moves the class, as the mean over noisy copies of the row.",
  hint: "Click a feature, or say it in words. Enter submits.",
  example: "ignore age",
  question: "Is this feature the right reason?",
  create: createTable,
  draws: ({ rows }) => Array.isArray(rows) && rows.every(isRow),
  focus({ content, map_width: count }, [x0, , x1]) {
    const [from, to] = [Math.round(x0 * count), Math.round(x1 * count)];
    const features = rowsOf(content).filter(({ units }) => units.some((unit) => unit >= from && unit < to)).map(({ name }) => name);
    return features.length === 0 ? null : { features };
  },
  glance(el, { content, cells }, marks) {
    const all = weighed(rowsOf(content), cells === null ? null : heatOf(cells));
    const marked = all.filter(({ row }) => marks.some((mark) => featuresOf(mark).includes(row.name)));
    for (const { row, share: part } of [...marked, ...all.filter((one) => !marked.includes(one))].slice(0, TELLING)) {
      const bar = h("span", { class: "cw-feature-bar" });
      setVar(bar, "--cw-share", cells === null ? "0" : part.toFixed(3));
      const one = h("span", { class: "cw-feature" }, h("bdi", { class: "cw-feature-name" }, row.name), bar, h("bdi", { class: "cw-feature-value" }, row.text));
      setAttr(one, "data-kind", marks.find((mark) => featuresOf(mark).includes(row.name))?.kind ?? null);
      el.append(one);
    }
  },
};
