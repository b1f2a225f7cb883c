// The same metric of all runs in one chart, over steps, epochs or seconds.

import { button, h, s, setAttr, setText } from "../dom";
import { value as shown } from "../format";
import type { Compared, Track } from "./data";
import { axes, ABOVE, BELOW, frame, HIGH, LEFT, placeIn, RIGHT } from "./frame";
import type { Link } from "./link";
import { scaleOf } from "./scale";

const OVER = { step: "steps", epoch: "epochs", second: "seconds trained" } as const;
type Over = keyof typeof OVER;
const NEAR = 14; // pixels from a line at which the pointer is on it

interface Line {
  run: number;
  steps: number[]; // of the points drawn
  xs: number[];
  ys: number[];
  path: SVGElement;
}

export interface Reached {
  name: string;
  values: (number | null)[];
}

/** "val accuracy" of one run: its track and the metric's own name. */
function find(tracks: readonly Track[], metric: string): [Track, Float32Array] | null {
  for (const track of tracks) {
    for (const [name, values] of track.values) {
      if (`${track.split} ${name}`.trim() === metric) return [track, values];
    }
  }
  return null;
}

export function metricsOf({ tracks, aim }: Compared): string[] {
  const found = new Set<string>();
  for (const run of tracks) for (const track of run) for (const name of track.values.keys()) found.add(`${track.split} ${name}`.trim());
  const order = (one: string): number => (one === aim?.metric ? 0 : one.startsWith("val") ? 1 : 2);
  return [...found].sort((a, b) => order(a) - order(b) || a.localeCompare(b));
}

/** Seconds after which each run was as good as the threshold; null where it never was. */
export function reachedBy({ tracks, aim }: Compared, threshold: number): Reached | null {
  if (aim === null) return null;
  const least = Math.fround(threshold); // as exact as the columns are
  const good = (one: number): boolean => (aim.better === "higher" ? one >= least : one <= least);
  const values = tracks.map((run) => {
    const [track, column] = find(run, aim.metric) ?? [null, new Float32Array()];
    const at = column.findIndex(good);
    return at < 0 ? null : Number((track?.second[at] ?? 0).toFixed(2));
  });
  return { name: `seconds to ${aim.metric} ${aim.better === "higher" ? "≥" : "≤"} ${shown(threshold)}`, values };
}

/** A running mean that forgets by `weight` a point. */
function smoothed(ys: readonly number[], weight: number): number[] {
  let [sum, known] = [0, 0];
  return ys.map((one) => {
    [sum, known] = [weight * sum + one, weight * known + 1];
    return sum / known;
  });
}

export function createCurves(data: Compared, link: Link, colours: readonly string[], onThreshold: (threshold: number) => void, signal: AbortSignal): HTMLElement {
  const metrics = metricsOf(data);
  const metric = select("Metric", metrics, metrics);
  const over = select("Over", Object.keys(OVER), Object.values(OVER));
  const smooth = select("Smoothing of the lines", ["0", "0.6", "0.9"], ["exact", "smooth", "smoother"]);
  const log = button("log", { class: "cr-button", "aria-pressed": "false", title: "Logarithmic scale" });
  const threshold = h("input", { class: "cr-input", type: "number", step: "any", testid: "cr-threshold", "aria-label": `Threshold of ${data.aim?.metric ?? ""}`, value: Number((data.aim?.threshold ?? 0).toPrecision(4)) });
  const said = h("p", { class: "cr-said", "aria-live": "off" });
  const chart = frame("Curves of all runs", draw, signal);
  let lines: Line[] = [];

  function draw(): void {
    const key = over.value as Over;
    const weight = Number(smooth.value);
    const logarithmic = log.getAttribute("aria-pressed") === "true";
    const found = data.tracks.map((run) => find(run, metric.value));
    lines = found.flatMap((one, run) => {
      if (one === null) return [];
      const [track, column] = one;
      const places = [...column.keys()].filter((i) => Number.isFinite(column[i]) && (!logarithmic || (column[i] ?? 0) > 0));
      const ys = smoothed(places.map((i) => column[i] ?? 0), weight);
      return [{ run, steps: places.map((i) => track.step[i] ?? 0), xs: places.map((i) => track[key][i] ?? 0), ys, path: s("path", { class: "cr-line", fill: "none", stroke: colours[run] ?? "" }) }];
    });
    const x = scaleOf([0, ...lines.flatMap((line) => line.xs)]);
    const shownThreshold = data.aim !== null && metric.value === data.aim.metric && threshold.value !== "" ? Number(threshold.value) : null;
    const y = scaleOf([...lines.flatMap((line) => line.ys), ...(shownThreshold === null ? [] : [shownThreshold])], logarithmic);
    const width = chart.width();
    const px = (one: number): number => LEFT + (x.at(one) ?? 0) * (width - LEFT - RIGHT);
    const py = (one: number): number => HIGH - BELOW - (y.at(one) ?? 0) * (HIGH - BELOW - ABOVE);
    const few = lines.length <= 12;
    chart.el.replaceChildren(axes(width, x, y, OVER[key], metric.value));
    if (shownThreshold !== null && y.at(shownThreshold) !== null) {
      chart.el.append(s("path", { class: "cr-threshold", d: `M${LEFT} ${py(shownThreshold)}H${width - RIGHT}` }));
    }
    for (const line of lines) {
      line.xs = line.xs.map(px);
      line.ys = line.ys.map(py);
      const points = line.xs.map((one, i) => `${one.toFixed(1)} ${(line.ys[i] ?? 0).toFixed(1)}`);
      line.path.setAttribute("d", points.length === 0 ? "" : `M${points.join("L")}${points.length === 1 ? "h.1" : ""}`);
      chart.el.append(line.path);
      if (few) for (const mark of marksOf(line)) chart.el.append(mark);
    }
    if (lines.every((line) => line.xs.length === 0)) chart.el.append(s("text", { class: "cr-none", x: LEFT + 12, y: ABOVE + 24 }, logarithmic ? "Nothing above 0" : "No run has metrics yet"));
    highlight();
  }

  /** A triangle on the line at the first point from each step on where a person intervened. */
  function marksOf(line: Line): SVGElement[] {
    return (data.runs[line.run]?.told ?? []).flatMap((step) => {
      const at = line.steps.findIndex((one) => one >= step);
      const [x, y] = [line.xs[at], line.ys[at]];
      if (x === undefined || y === undefined) return [];
      return [s("path", { class: "cr-told", fill: colours[line.run] ?? "", d: `M${x - 5} ${y - 12}h10l-5 8z` }, s("title", {}, `A person intervened at step ${step}`))];
    });
  }

  function highlight(): void {
    for (const line of lines) {
      const on = link.hovered === line.run;
      setAttr(line.path, "class", `cr-line${on ? " cr-on" : ""}${link.keeps(line.run) && (link.hovered === null || on) ? "" : " cr-off"}`);
    }
    const run = link.hovered === null ? undefined : data.runs[link.hovered];
    const last = link.hovered === null ? null : find(data.tracks[link.hovered] ?? [], metric.value);
    setText(said, run ? `${run.label}: ${metric.value} ${shown([...(last?.[1] ?? [])].reverse().find(Number.isFinite) ?? null)} at the end` : few(data.runs.length));
  }

  chart.el.addEventListener("pointermove", (event) => {
    const [x, y] = placeIn(chart.el, event);
    let [nearest, least] = [null as number | null, NEAR];
    for (const line of lines) {
      if (!link.keeps(line.run)) continue;
      const away = distance(line, x, y);
      if (away < least) [nearest, least] = [line.run, away];
    }
    link.hover(nearest);
  }, { signal });
  chart.el.addEventListener("pointerleave", () => {
    link.hover(null);
  }, { signal });
  for (const one of [metric, over, smooth]) one.addEventListener("change", draw, { signal });
  log.addEventListener("click", () => {
    setAttr(log, "aria-pressed", String(log.getAttribute("aria-pressed") !== "true"));
    draw();
  }, { signal });
  threshold.addEventListener("input", () => {
    if (threshold.value === "" || !Number.isFinite(Number(threshold.value))) return;
    onThreshold(Number(threshold.value));
    draw();
  }, { signal });
  link.listen(highlight);
  draw();
  const reach = data.aim === null ? [] : [h("label", { class: "cr-label" }, `${data.aim.metric} to reach `, threshold)];
  return h("section", { class: "cr-panel", "aria-label": "Curves" }, h("div", { class: "cr-tools" }, metric, over, smooth, log, ...reach), chart.el, said);
}

function few(count: number): string {
  return count > 7 ? "Point at a line for its run." : "";
}

/** Pixels from a point to a line's nearest stretch. */
function distance({ xs, ys }: Line, x: number, y: number): number {
  let least = Infinity;
  for (let i = 0; i < xs.length; i++) {
    const [x0, y0] = [xs[i] ?? 0, ys[i] ?? 0];
    const [x1, y1] = [xs[i + 1] ?? x0, ys[i + 1] ?? y0];
    if (x < Math.min(x0, x1) - NEAR || x > Math.max(x0, x1) + NEAR) continue;
    const length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
    const at = length === 0 ? 0 : Math.min(Math.max(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length, 0), 1);
    least = Math.min(least, Math.hypot(x0 + at * (x1 - x0) - x, y0 + at * (y1 - y0) - y));
  }
  return least;
}

/** A choice among values with their labels. */
export function select(name: string, values: readonly string[], labels: readonly string[]): HTMLSelectElement {
  return h("select", { class: "cr-input", "aria-label": name, title: name }, ...values.map((value, i) => h("option", { value }, labels[i] ?? value)));
}
