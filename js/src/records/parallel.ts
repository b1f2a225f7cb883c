// Parallel coordinates: an axis a setting, the result last, a line a run; a stretch of an axis keeps runs.

import { focusedBeside, h, s, setAttr, setText } from "../dom";
import { plural } from "../format";
import { shortName, type Column } from "./data";
import { cut, frame, HIGH, placeIn } from "./frame";
import type { Link } from "./link";
import { plain } from "./scatter";
import { scaleOf, spansDecades, type Scale } from "./scale";

const MOST = 8; // settings with an axis ...
const ROOM = 46; // ... and pixels between two axes, at least
const [TOP, BOTTOM, SIDE] = [40, HIGH - 14, 46];
const KEYS: Record<string, [number, number]> = { ArrowUp: [0.1, 0], ArrowDown: [-0.1, 0] };

/** Marks of which none stands on another one. */
function apart(ticks: Scale["ticks"]): Scale["ticks"] {
  let last = -Infinity;
  return [...ticks].sort((a, b) => a.at - b.at).filter(({ at }) => {
    if ((at - last) * (BOTTOM - TOP) < 12) return false;
    last = at;
    return true;
  });
}

export interface Parallel {
  el: HTMLElement;
  show(columns: readonly Column[]): void;
}

/** Lines over these columns, of which the last is the result. */
export function createParallel(names: readonly string[], link: Link, colours: () => readonly string[], signal: AbortSignal): Parallel {
  let all: readonly Column[] = []; // of which the last is the result
  let columns: Column[] = []; // with an axis
  let left = 0;
  const said = h("p", { class: "cr-said" });
  const chart = frame("Settings and result of each run as a line", draw, signal);
  chart.el.setAttribute("role", "group");
  const kept = new Map<string, [number, number]>(); // by axis, the stretch that keeps
  let scales: Scale[] = [];
  let lines: { i: number; ys: (number | null)[]; el: SVGElement }[] = [];

  const px = (axis: number): number => SIDE + (columns.length < 2 ? 0 : (axis / (columns.length - 1)) * (chart.width() - 2 * SIDE));
  const py = (at: number): number => BOTTOM - at * (BOTTOM - TOP);

  /** Settings that have an axis, in their order: those that a person keeps a stretch of, then as many as there is room for. */
  function choose(): void {
    const settings = all.slice(0, -1);
    const room = Math.min(MOST, Math.max(Math.floor((chart.width() - 2 * SIDE) / ROOM), 1));
    const focused = focusedBeside(chart.el) as SVGElement | null;
    const stays = (one: Column): boolean => kept.has(one.name) || (focused !== null && chart.el.contains(focused) && focused.dataset["axis"] === one.name);
    const held = settings.filter(stays);
    const others = settings.filter((one) => !stays(one)).slice(0, Math.max(room - held.length, 0));
    columns = [...settings.filter((one) => held.includes(one) || others.includes(one)), ...all.slice(-1)];
    left = settings.length - held.length - others.length;
  }

  /** Make axes anew, and give the focus to the one that had it. */
  function keepFocus(change: () => void): void {
    const focused = focusedBeside(chart.el) as SVGElement | null;
    const name = focused !== null && chart.el.contains(focused) ? focused.dataset["axis"] : undefined;
    change();
    if (name !== undefined) chart.el.querySelector<SVGElement>(`[data-axis="${CSS.escape(name)}"]`)?.focus({ preventScroll: true });
  }

  function draw(): void {
    choose();
    scales = columns.map((one) => scaleOf(one.values, spansDecades(one.values), true));
    const count = columns[0]?.values.length ?? 0;
    lines = Array.from({ length: count }, (_, i) => {
      const ys = columns.map((one, axis) => {
        const at = scales[axis]?.at(one.values[i] ?? null) ?? null;
        return at === null ? null : py(at);
      });
      // A run that lacks a value has a gap there.
      let pen = "M";
      const d = ys.map((y, axis) => {
        if (y === null) {
          pen = "M";
          return "";
        }
        const part = `${pen}${px(axis).toFixed(1)} ${y.toFixed(1)}`;
        pen = "L";
        return part;
      }).join("");
      return { i, ys, el: s("path", { class: "cr-line", fill: "none", stroke: colours()[i] ?? "", d }) };
    });
    keepFocus(() => {
      chart.el.replaceChildren(...lines.map((one) => one.el), ...columns.map(axisOf));
    });
    highlight();
  }

  function axisOf(column: Column, axis: number): SVGElement {
    const x = px(axis);
    const room = Math.floor((chart.width() - 2 * SIDE) / Math.max(columns.length - 1, 1) / 6.2);
    const name = shortName(column.name);
    const group = s("g", { class: "cr-axes cr-parallel", tabindex: 0, role: "slider", "aria-orientation": "vertical" });
    group.append(
      s("rect", { x: x - 9, y: TOP - 4, width: 18, height: BOTTOM - TOP + 8, fill: "transparent" }),
      s("path", { class: "cr-axis", d: `M${x} ${TOP}V${BOTTOM}` }),
      s("text", { class: "cr-axis-name", x, y: axis % 2 === 0 || room > 14 ? 24 : 11, "text-anchor": "middle" }, cut(name, Math.max(room > 14 ? room : 2 * room, 8)), s("title", {}, column.name)),
      ...apart(scales[axis]?.ticks ?? []).map(({ at, label }) => s("text", { x: x + 5, y: py(at) + 3.5 }, cut(label, Math.max(room - 2, 5)))),
    );
    const stretch = kept.get(column.name);
    if (stretch) group.append(s("rect", { class: "cr-brush", x: x - 6, y: py(stretch[1]), width: 12, height: Math.max(py(stretch[0]) - py(stretch[1]), 2) }));
    const words = stretch ? `keeps ${Math.round(100 * stretch[0])} to ${Math.round(100 * stretch[1])} % of its length` : "keeps all";
    for (const [attribute, value] of Object.entries({
      "aria-label": `${name}. Up and down move the lower end of what is kept, with Shift the upper one, Escape keeps all.`,
      "aria-valuetext": words, "aria-valuenow": Math.round(100 * (stretch?.[0] ?? 0)), "aria-valuemin": 0, "aria-valuemax": 100,
    })) group.setAttribute(attribute, String(value));
    group.dataset["axis"] = column.name;
    return group;
  }

  /** Keep only runs whose value lies in a stretch of an axis; null keeps all. */
  function keep(name: string, stretch: [number, number] | null): void {
    const axis = columns.findIndex((one) => one.name === name);
    const column = columns[axis];
    if (!column) return;
    if (stretch) kept.set(name, stretch);
    else kept.delete(name);
    // Of the columns and scales of the moment it is asked: later trials may have come.
    link.brush(name, stretch && ((i) => {
      const now = columns.findIndex((one) => one.name === name);
      const at = scales[now]?.at(columns[now]?.values[i] ?? null) ?? null;
      return at !== null && at >= stretch[0] - 1e-6 && at <= stretch[1] + 1e-6;
    }));
    keepFocus(() => {
      chart.el.querySelector(`[data-axis="${CSS.escape(name)}"]`)?.replaceWith(axisOf(column, axis));
    });
  }

  function highlight(): void {
    for (const { i, el } of lines) {
      const on = link.hovered === i;
      setAttr(el, "class", `cr-line${on ? " cr-on" : ""}${link.keeps(i) && (link.hovered === null || on) ? "" : " cr-off"}`);
    }
    const i = link.hovered;
    const count = lines.filter((one) => link.keeps(one.i)).length;
    const all = link.brushes.size === 0 ? `Drag along an axis to keep a stretch of it.${left > 0 ? ` ${plural(left, "more setting")} without an axis.` : ""}` : `${count} of ${lines.length} kept.`;
    setText(said, i === null ? all : `${names[i] ?? i}: ${columns.map((one) => `${shortName(one.name)} ${plain(one.values[i] ?? null)}`).join(", ")}`);
  }

  let dragged: { name: string; from: number } | null = null;
  const share = (event: PointerEvent): number => Math.min(Math.max((BOTTOM - placeIn(chart.el, event)[1]) / (BOTTOM - TOP), 0), 1);
  chart.el.addEventListener("pointerdown", (event) => {
    const name = (event.target as Element).closest<SVGElement>("[data-axis]")?.dataset["axis"];
    if (name === undefined) return;
    dragged = { name, from: share(event) };
    chart.el.setPointerCapture(event.pointerId);
    event.preventDefault();
  }, { signal });
  chart.el.addEventListener("pointermove", (event) => {
    if (dragged) {
      const to = share(event);
      if (Math.abs(to - dragged.from) > 0.02) keep(dragged.name, [Math.min(to, dragged.from), Math.max(to, dragged.from)]);
      return;
    }
    link.hover(nearest(...placeIn(chart.el, event)));
  }, { signal });
  chart.el.addEventListener("lostpointercapture", (event) => {
    if (dragged && Math.abs(share(event) - dragged.from) <= 0.02) keep(dragged.name, null);
    dragged = null;
  }, { signal });
  chart.el.addEventListener("pointerleave", () => {
    link.hover(null);
  }, { signal });
  chart.el.addEventListener("keydown", (event) => {
    const name = (event.target as SVGElement).dataset["axis"];
    if (name === undefined) return;
    const [low, high] = kept.get(name) ?? [0, 1];
    const by = KEYS[event.key]?.[0];
    if (event.key === "Escape") keep(name, null);
    else if (by === undefined) return;
    else if (event.shiftKey) keep(name, [low, Math.min(Math.max(high + by, low), 1)]);
    else keep(name, [Math.max(Math.min(low + by, high), 0), high]);
    event.preventDefault();
    event.stopPropagation();
  }, { signal });

  function nearest(x: number, y: number): number | null {
    const gap = columns.length < 2 ? 1 : px(1) - px(0);
    const axis = Math.min(Math.max(Math.floor((x - SIDE) / gap), 0), columns.length - 2);
    const share = (x - px(axis)) / gap;
    let [found, least] = [null as number | null, 10];
    for (const { i, ys } of lines) {
      const [a, b] = [ys[axis], ys[axis + 1]];
      if (a === null || b === null || a === undefined || b === undefined || !link.keeps(i)) continue;
      const away = Math.abs(a + share * (b - a) - y);
      if (away < least) [found, least] = [i, away];
    }
    return found;
  }

  link.listen(highlight);
  return {
    el: h("div", {}, chart.el, said),
    show(next) {
      all = next;
      draw();
    },
  };
}
