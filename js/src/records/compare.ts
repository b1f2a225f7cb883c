// Several runs side by side: curves, settings against results, and a table of what differs.

import { button, h, setAttr, setHidden } from "../dom";
import { plural } from "../format";
import type { Answer } from "./asking";
import { createCurves, reachedBy } from "./curves";
import type { Column, Compared } from "./data";
import { coloursOf, Link } from "./link";
import { createMaps, type Maps } from "./maps";
import { createParallel } from "./parallel";
import { createScatter } from "./scatter";
import { createTable } from "./table";

const MANY = 7; // runs, above which a colour is a result and not a run

export interface CompareView {
  el: HTMLElement;
  maps: Maps;
}

export function createCompare(data: Compared, ask: (sample: number) => Promise<Answer>, signal: AbortSignal): CompareView {
  const { runs, columns, aim } = data;
  const link = new Link(signal);
  const names = runs.map((one) => one.label);
  const result = columns.find((one) => one.name === aim?.column);
  const colours = coloursOf(runs.length, result);
  const of = (): readonly string[] => colours;
  const table = createTable("What differs between the runs", "run", link, of, signal);
  const first = { x: "seconds trained", y: result?.name ?? columns[0]?.name ?? "" };
  const scatter = createScatter(names, first, link, of, signal);
  const parallel = createParallel(names, link, of, signal);
  const settings = columns.filter((one) => one.kind === "setting" || (one.kind === "tag" && !columns.some((other) => other.kind === "setting" && same(other, one))));

  const curves = createCurves(data, link, colours, show, signal);
  function show(threshold: number): void {
    const reached = reachedBy(data, threshold);
    const after = columns.map((one) => one.kind).lastIndexOf("cost") + 1;
    const all: Column[] = [...columns];
    if (reached !== null) all.splice(after, 0, { name: reached.name, kind: "cost", better: "lower", values: reached.values });
    table.show(names.map((name) => ({ name })), all);
    scatter.show(all);
  }
  show(aim?.threshold ?? 0);

  const modes = [["parallel", "settings and result", parallel.el], ["scatter", "two against each other", scatter.el]] as const;
  const buttons = modes.map(([mode, label]) => button(label, { class: "cr-button", testid: `cr-${mode}` }));
  function choose(mode: string): void {
    modes.forEach(([name, , el], i) => {
      setHidden(el, name !== mode);
      setAttr(buttons[i] as HTMLElement, "aria-pressed", String(name === mode));
    });
  }
  buttons.forEach((one, i) => {
    one.addEventListener("click", () => {
      choose(modes[i]?.[0] ?? "");
    }, { signal });
  });
  const axes = [...settings, ...(result ? [result] : [])];
  if (axes.length >= 2) parallel.show(axes);
  setHidden(buttons[0] as HTMLElement, axes.length < 2);
  choose(axes.length >= 2 && runs.length > 3 ? "parallel" : "scatter");

  const key = result !== undefined && runs.length > MANY ? `Colour: ${aim?.metric ?? ""}, from the worst (violet) to the best (yellow).` : "";
  const maps = createMaps(names, link, colours, ask, signal);
  const el = h("div", { class: "cr-body" },
    h("header", { class: "cr-head" }, h("h3", {}, plural(runs.length, "run")), h("span", { class: "cr-note" }, key)),
    h("div", { class: "cr-two" }, curves, h("section", { class: "cr-panel", "aria-label": "Settings and results" }, h("div", { class: "cr-tools" }, ...buttons), parallel.el, scatter.el)),
    table.el, maps.el,
  );
  return { el, maps };
}

function same(a: Column, b: Column): boolean {
  return a.values.every((one, i) => one === b.values[i]);
}
