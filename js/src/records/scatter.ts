// Two columns against each other, with the Pareto front where both have a better direction.

import { h, s, setAttr, setText } from "../dom";
import { plural, value as shown } from "../format";
import { select } from "./curves";
import { shortName, type Cell, type Column } from "./data";
import { axes, ABOVE, BELOW, frame, HIGH, LEFT, placeIn, RIGHT } from "./frame";
import type { Link } from "./link";
import { isNumber, scaleOf, spansDecades } from "./scale";

const NEAR = 12;

/** Those of which no other is at least as good in both and better in one, by their x. */
export function paretoFront(x: Column, y: Column): number[] {
  const sign = (column: Column): number => (column.better === "lower" ? 1 : -1);
  const points = x.values.flatMap((a, i) => {
    const b = y.values[i];
    return isNumber(a) && isNumber(b) ? [{ i, a: sign(x) * a, b: sign(y) * b }] : [];
  }).sort((p, q) => p.a - q.a || p.b - q.b);
  let best = Infinity;
  const front = points.flatMap(({ i, b }) => {
    if (b >= best) return [];
    best = b;
    return [i];
  });
  return x.better === "lower" ? front : front.reverse();
}

export interface Scatter {
  el: HTMLElement;
  /** Columns may come and change; the choice stays where it can. */
  show(columns: readonly Column[]): void;
}

export function createScatter(
  names: readonly string[], first: { x: string; y: string }, link: Link, colours: () => readonly string[], signal: AbortSignal,
  extra: (x: Column, y: Column, at: (i: number) => [number, number] | null) => SVGElement[] = () => [],
): Scatter {
  let columns: readonly Column[] = [];
  let offered = "";
  const x = select("Across", [], []);
  const y = select("Up", [], []);
  const said = h("p", { class: "cr-said" });
  const chart = frame("Runs as points", draw, signal);
  let dots: { i: number; x: number; y: number; el: SVGElement }[] = [];
  let summary = "";

  const named = (name: string): Column | undefined => columns.find((one) => one.name === name);

  function draw(): void {
    const [a, b] = [named(x.value), named(y.value)];
    if (!a || !b) return;
    const [sx, sy] = [scaleOf(a.values, spansDecades(a.values)), scaleOf(b.values, a.kind !== "cost" && b.kind === "setting" && spansDecades(b.values))];
    const width = chart.width();
    const at = (i: number): [number, number] | null => {
      const [p, q] = [sx.at(a.values[i] ?? null), sy.at(b.values[i] ?? null)];
      return p === null || q === null ? null : [LEFT + p * (width - LEFT - RIGHT), HIGH - BELOW - q * (HIGH - BELOW - ABOVE)];
    };
    chart.el.replaceChildren(axes(width, sx, sy, shortName(a.name), shortName(b.name)));
    const front = a !== b && a.better && b.better ? paretoFront(a, b) : [];
    const path = front.map(at).filter((one) => one !== null);
    if (path.length > 1) chart.el.append(s("path", { class: "cr-front", d: `M${path.map((one) => one.join(" ")).join("L")}` }));
    chart.el.append(...extra(a, b, at));
    const onFront = new Set(front);
    dots = a.values.flatMap((_, i) => {
      const place = at(i);
      if (place === null) return [];
      const el = s("circle", { cx: place[0], cy: place[1], r: onFront.has(i) ? 6 : 4.5, fill: colours()[i] ?? "", class: "cr-dot" });
      if (onFront.has(i)) el.setAttribute("data-front", "");
      return [{ i, x: place[0], y: place[1], el }];
    });
    chart.el.append(...dots.map((one) => one.el));
    summary = front.length > 0 ? `${plural(front.length, "run")} on the Pareto front: no other is better in both.` : "";
    highlight();
  }

  function highlight(): void {
    for (const { i, el } of dots) {
      const on = link.hovered === i;
      setAttr(el, "class", `cr-dot${on ? " cr-on" : ""}${link.keeps(i) && (link.hovered === null || on) ? "" : " cr-off"}`);
    }
    const i = link.hovered;
    const tell = (column: Column | undefined): string => (column && i !== null ? `${shortName(column.name)} ${plain(column.values[i] ?? null)}` : "");
    setText(said, i === null ? summary : `${names[i] ?? i}: ${tell(named(x.value))}, ${tell(named(y.value))}`);
  }

  chart.el.addEventListener("pointermove", (event) => {
    const [px, py] = placeIn(chart.el, event);
    let [nearest, least] = [null as number | null, NEAR];
    for (const dot of dots) {
      const away = Math.hypot(dot.x - px, dot.y - py);
      if (away < least && link.keeps(dot.i)) [nearest, least] = [dot.i, away];
    }
    link.hover(nearest);
  }, { signal });
  chart.el.addEventListener("pointerleave", () => {
    link.hover(null);
  }, { signal });
  for (const one of [x, y]) one.addEventListener("change", draw, { signal });
  link.listen(highlight);
  return {
    el: h("div", {}, h("div", { class: "cr-tools" }, h("label", { class: "cr-label" }, "across ", x), h("label", { class: "cr-label" }, "up ", y)), chart.el, said),
    show(next) {
      columns = next;
      const heads = JSON.stringify(next.map((one) => one.name));
      if (heads === offered) { // a list that is open stays open
        draw();
        return;
      }
      offered = heads;
      for (const [choice, name] of [[x, x.value || first.x], [y, y.value || first.y]] as const) {
        choice.replaceChildren(...next.map((one) => h("option", { value: one.name }, shortName(one.name))));
        choice.value = named(name) ? name : (next.find((one) => name.startsWith("seconds to") && one.name.startsWith("seconds to")) ?? next[0])?.name ?? "";
      }
      draw();
    },
  };
}

export function plain(value: Cell): string {
  if (value === null) return "–";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? value.toLocaleString("en-US") : shown(value);
}
