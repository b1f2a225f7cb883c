// What is drawn into a chart beside its lines: interventions, the times to review, single points,
// and what lies beyond the shown stretch of values.

import uPlot from "uplot";
import { value } from "./format";
import type { Marker } from "./protocol";
import { gathered, robust } from "./ranges";
import type { Store } from "./store";
import { colour } from "./theme";

export const LINES = ["--cw-line-1", "--cw-line-2", "--cw-line-3", "--cw-line-4"];
const GATHER = 10; // pixels within which interventions have one mark

/** Whether it is one step: an intervention, or where a finding began. */
export function isPoint({ kind }: Marker): boolean {
  return kind === "intervention" || kind === "finding";
}

/** Spans of steps in which the review window was open. */
export function openSpans(markers: readonly Marker[], end: number): [number, number][] {
  const spans: [number, number][] = [];
  let from: number | null = null;
  for (const { kind, step } of markers) {
    if (kind === "window_open") from ??= step;
    if (kind === "window_shut" && from !== null) {
      spans.push([from, step]);
      from = null;
    }
  }
  if (from !== null) spans.push([from, Math.max(end, from)]);
  return spans;
}

/** The stretch of values that a chart shows; a few that are far from all others are left outside. */
export function rangeOf(u: uPlot, least: number | null, most: number | null): uPlot.Range.MinMax {
  if (least === null || most === null) return [null, null];
  const [low, high] = robust(valuesOf(u.data)) ?? [least, most];
  return uPlot.rangeNum(low, high, 0.1, true);
}

function valuesOf(data: uPlot.AlignedData): number[] {
  const found: number[] = [];
  for (const line of data.slice(1)) for (const one of line) if (typeof one === "number") found.push(one);
  return found;
}

/** What stands outside the shown stretch, in words; null where nothing does. */
export function outliers({ data, scales }: uPlot): string | null {
  const { min = -Infinity, max = Infinity } = scales["y"] ?? {};
  const beyond = valuesOf(data).filter((one) => one > max || one < min);
  if (beyond.length === 0) return null;
  const furthest = beyond.reduce((a, b) => (Math.abs(a) > Math.abs(b) ? a : b));
  return `${beyond.length} beyond the edge, up to ${value(furthest)}`;
}

type Draw = (u: uPlot) => void;

/** The drawing functions of one view's charts, in its colours. */
export function plotMarks(root: Element, store: Store): Record<"drawSpans" | "drawSingle" | "drawBehind" | "drawInterventions" | "drawOutliers", Draw> {
  function drawSpans(u: uPlot): void {
    const end = u.scales["x"]?.max ?? 0;
    u.ctx.save();
    u.ctx.fillStyle = colour(root, "--cw-band");
    for (const [from, to] of openSpans(store.state.markers, end)) {
      const x0 = Math.max(u.valToPos(from, "x", true), u.bbox.left);
      const x1 = Math.min(u.valToPos(to, "x", true), u.bbox.left + u.bbox.width);
      if (x1 > x0) u.ctx.fillRect(x0, u.bbox.top, Math.max(x1 - x0, 1), u.bbox.height);
    }
    u.ctx.restore();
  }

  /** A line of one point, as between two gaps, has no length: a dot stands for it. */
  function drawSingle(u: uPlot): void {
    const [steps, ...lines] = u.data;
    lines.forEach((line, i) => {
      u.ctx.fillStyle = colour(root, LINES[i % LINES.length] ?? "");
      let points = 0;
      let inLine = false; // the point before is a number
      let alone = -1; // a number whose neighbours so far are none
      const dot = (): void => {
        if (alone < 0) return;
        const size = (points === 1 ? 5 : 2) * devicePixelRatio;
        u.ctx.fillRect(u.valToPos(steps[alone] ?? 0, "x", true) - size / 2, u.valToPos(line[alone] ?? 0, "y", true) - size / 2, size, size);
      };
      for (let k = 0; k < line.length; k++) {
        if (line[k] === undefined) continue;
        points++;
        const known = typeof line[k] === "number";
        if (!known) dot();
        alone = known && !inLine ? k : -1;
        inLine = known;
      }
      dot();
    });
  }

  /** One mark for all interventions that would stand within some pixels, with their number. */
  function drawInterventions(u: uPlot): void {
    const pixel = devicePixelRatio;
    const undone = new Set(store.state.ledger.filter((item) => item.undone).map((item) => item.id));
    u.ctx.save();
    u.ctx.lineWidth = pixel;
    u.ctx.setLineDash([3 * pixel, 3 * pixel]);
    u.ctx.textAlign = "left";
    u.ctx.textBaseline = "bottom";
    u.ctx.font = `${9 * pixel}px ${getComputedStyle(root).fontFamily}`;
    const shown = store.state.markers.filter(isPoint).map((one) => ({ x: u.valToPos(one.step, "x", true), id: one.id, found: one.kind === "finding" }))
      .filter(({ x }) => x >= u.bbox.left && x <= u.bbox.left + u.bbox.width); // others are zoomed out of sight
    for (const group of gathered(shown.map(({ x }) => x), GATHER * pixel)) {
      const mine = shown.slice(group.from, group.to);
      const x = group.at;
      const top = u.bbox.top;
      u.ctx.strokeStyle = u.ctx.fillStyle = colour(root, mine.every(({ id }) => id !== null && undone.has(id)) ? "--cw-muted" : mine.every(({ found }) => found) ? "--cw-accent" : "--cw-mark");
      u.ctx.beginPath();
      u.ctx.moveTo(x, top);
      u.ctx.lineTo(x, top + u.bbox.height);
      u.ctx.stroke();
      u.ctx.beginPath();
      u.ctx.moveTo(x - 4 * pixel, top - 6 * pixel);
      u.ctx.lineTo(x + 4 * pixel, top - 6 * pixel);
      u.ctx.lineTo(x, top + pixel);
      u.ctx.fill();
      if (mine.length > 1) u.ctx.fillText(String(mine.length), x + 6 * pixel, top + 2 * pixel);
    }
    u.ctx.restore();
  }

  /** A small arrow at the edge for values beyond it, and how far the furthest is. */
  function drawOutliers(u: uPlot): void {
    const pixel = devicePixelRatio;
    const { min = -Infinity, max = Infinity } = u.scales["y"] ?? {};
    const [steps, ...lines] = u.data;
    lines.forEach((line, i) => {
      u.ctx.fillStyle = colour(root, LINES[i % LINES.length] ?? "");
      let last = -Infinity;
      let [furthest, size] = [{ at: 0, x: 0, y: 0 }, -1];
      line.forEach((at, k) => {
        if (typeof at !== "number" || (at <= max && at >= min)) return;
        const x = u.valToPos(steps[k] ?? 0, "x", true);
        if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) return;
        const [y, by] = at > max ? [u.bbox.top, 5 * pixel] : [u.bbox.top + u.bbox.height, -5 * pixel];
        if (Math.abs(at) > size) [furthest, size] = [{ at, x, y: y + by }, Math.abs(at)];
        if (x - last < 6 * pixel) return;
        last = x;
        u.ctx.beginPath();
        u.ctx.moveTo(x - 4 * pixel, y + by);
        u.ctx.lineTo(x + 4 * pixel, y + by);
        u.ctx.lineTo(x, y);
        u.ctx.fill();
      });
      if (size >= 0) tell(u, furthest);
    });
  }

  /** The furthest value, beside its arrow, on the side where there is room. */
  function tell(u: uPlot, { at, x, y }: { at: number; x: number; y: number }): void {
    const right = x < u.bbox.left + u.bbox.width / 2;
    u.ctx.save();
    u.ctx.font = `${10 * devicePixelRatio}px ${getComputedStyle(root).fontFamily}`;
    u.ctx.textAlign = right ? "left" : "right";
    u.ctx.textBaseline = "middle";
    u.ctx.fillText(value(at), x + (right ? 7 : -7) * devicePixelRatio, y);
    u.ctx.restore();
  }

  /** The same lines of another run, faint; what lies outside the shown stretch is cut. */
  function drawBehind(u: uPlot): void {
    const { behind } = store.state;
    if (behind === null) return;
    u.ctx.save();
    u.ctx.beginPath();
    u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    u.ctx.clip();
    u.ctx.globalAlpha = 0.4;
    u.ctx.lineWidth = 1.5 * devicePixelRatio;
    u.ctx.setLineDash([2 * devicePixelRatio, 2 * devicePixelRatio]);
    u.series.slice(1).forEach(({ label }, i) => {
      const line = typeof label === "string" ? behind.metrics.get(label) : undefined;
      if (line === undefined) return;
      u.ctx.strokeStyle = colour(root, LINES[i % LINES.length] ?? "");
      u.ctx.beginPath();
      let drawing = false;
      for (let k = 0; k < line.length; k++) {
        const known = Number.isFinite(line.values[k]);
        const [x, y] = [u.valToPos(line.steps[k] ?? 0, "x", true), u.valToPos(line.values[k] ?? 0, "y", true)];
        if (known && drawing) u.ctx.lineTo(x, y);
        else if (known) u.ctx.moveTo(x, y);
        drawing = known;
      }
      u.ctx.stroke();
    });
    u.ctx.restore();
  }

  return { drawSpans, drawSingle, drawBehind, drawInterventions, drawOutliers };
}
