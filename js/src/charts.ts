// The metrics: one chart a metric with its training and validation lines, the interventions and
// the times when the review window was open.

import uPlot from "uplot";
import { h, setHidden, setText } from "./dom";
import { tick, value } from "./format";
import type { Marker } from "./protocol";
import { align, chartsOf, splitName, stretch, type Series } from "./series";
import { colour } from "./theme";
import type { Context, Part } from "./view";

/** Milliseconds between two drawings at least: the lines need not be as fresh as the step counter. */
const PERIOD = 200;
const LINES = ["--cw-line-1", "--cw-line-2", "--cw-line-3", "--cw-line-4"];
let views = 0;

interface Chart {
  el: HTMLElement;
  names: string;
  show(lines: readonly Series[]): void;
  repaint: () => void;
  remove(): void;
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

function title(metric: string): string {
  const words = metric.replace(/_/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function createCharts(context: Context): Part & { repaint: () => void } {
  const { root, signal, store } = context;
  const sync = `cw-${views++}`;
  const list = h("div", { class: "cw-charts-list" });
  const empty = h("p", { class: "cw-hint" }, "Metrics appear after the first steps.");
  const key = h("p", { class: "cw-chart-key" });
  const keyIntervention = h("span", {}, h("span", { class: "cw-key-mark", "aria-hidden": "true" }, "▼ "), h("span"));
  const keyWindow = h("span", {}, h("span", { class: "cw-key-band", "aria-hidden": "true" }), "window open");
  key.append(keyIntervention, keyWindow, h("span", { class: "cw-key-axis" }, "step"));
  const el = h("section", { class: "cw-panel cw-charts", "aria-label": "Metrics" }, empty, list, key);
  const charts = new Map<string, Chart>();
  let markers: readonly Marker[] = [];
  let span: [number, number] = [0, 1];

  function create(metric: string, lines: readonly Series[]): Chart {
    const legend = h("span", { class: "cw-legend" });
    const box = h("div", { class: "cw-chart-box" });
    const chartEl = h("div", { class: "cw-chart", role: "group", "aria-label": `${title(metric)} by step` },
      h("div", { class: "cw-chart-head" }, h("h3", { class: "cw-title" }, title(metric)), legend), box);
    list.append(chartEl);
    let shown: readonly Series[] = lines;
    const values = lines.map((line, i) => {
      const { split } = splitName(line.name);
      const number = h("span", { class: "cw-legend-value", testid: `cw-metric-${line.name.replace(/[^\w]+/g, "-")}` });
      legend.append(h("span", { class: "cw-legend-item" },
        h("span", { class: `cw-swatch cw-swatch-${i % LINES.length}`, "aria-hidden": "true" }), split === "" ? "" : `${split} `, number));
      return number;
    });
    const at = h("span", { class: "cw-legend-at" });
    legend.prepend(at);

    function showValues(step: number | null): void {
      shown.forEach((line, i) => {
        const number = values[i];
        if (number) setText(number, value(step === null ? line.last() : line.at(step)));
      });
      const near = step === null ? undefined : markers.find((one) => one.kind === "intervention" && Math.abs(one.step - step) <= reach());
      setText(at, step === null ? "" : near ? `${near.text} · step ${near.step}` : `step ${step}`);
    }

    /** Steps that four pixels stand for. */
    function reach(): number {
      return plot.posToVal(4, "x") - plot.posToVal(0, "x");
    }

    const axis = {
      stroke: () => colour(root, "--cw-muted"),
      grid: { stroke: () => colour(root, "--cw-grid"), width: 1 },
      ticks: { show: false },
      font: `11px ${getComputedStyle(root).fontFamily}`,
    };
    const options: uPlot.Options = {
      width: 300, height: 120, padding: [10, 12, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, sync: { key: sync }, points: { size: 6 } },
      scales: { x: { time: false, range: () => span } },
      axes: [
        { ...axis, grid: { show: false }, size: 22, gap: 4, space: 56, values: (_, steps) => steps.map((one) => (Number.isInteger(one) ? tick(one) : "")) },
        { ...axis, size: 40, gap: 6, space: 32, values: (_, ticks) => ticks.map((one) => String(Number(one.toPrecision(6)))) },
      ],
      series: [{}, ...lines.map((_, i) => ({
        stroke: () => colour(root, LINES[i % LINES.length] ?? "--cw-line-1"),
        width: 1.5, spanGaps: true, points: { show: false },
      }))],
      hooks: {
        drawClear: [drawSpans],
        draw: [drawInterventions],
        setCursor: [(u) => {
          const index = u.cursor.idx;
          const step = index === null || index === undefined ? null : (u.data[0][index] ?? null);
          showValues(u.cursor.left !== undefined && u.cursor.left >= 0 ? step : null);
        }],
      },
    };
    const plot = new uPlot(options, align(lines), box);
    const resize = (): void => {
      const { clientWidth: width, clientHeight: height } = box;
      if (width > 0 && height > 0 && (width !== plot.width || height !== plot.height)) plot.setSize({ width, height });
    };
    const observer = new ResizeObserver(() => requestAnimationFrame(resize));
    observer.observe(box);
    return {
      el: chartEl,
      names: lines.map((line) => line.name).join(),
      show(next) {
        shown = next;
        plot.setData(align(next));
        showValues(null);
      },
      repaint() {
        plot.redraw(false);
      },
      remove() {
        observer.disconnect();
        plot.destroy();
        chartEl.remove();
      },
    };
  }

  function drawSpans(u: uPlot): void {
    const end = u.scales["x"]?.max ?? 0;
    u.ctx.save();
    u.ctx.fillStyle = colour(root, "--cw-band");
    for (const [from, to] of openSpans(markers, end)) {
      const x0 = Math.max(u.valToPos(from, "x", true), u.bbox.left);
      const x1 = Math.min(u.valToPos(to, "x", true), u.bbox.left + u.bbox.width);
      if (x1 > x0) u.ctx.fillRect(x0, u.bbox.top, Math.max(x1 - x0, 1), u.bbox.height);
    }
    u.ctx.restore();
  }

  function drawInterventions(u: uPlot): void {
    const pixel = devicePixelRatio;
    const undone = new Set(store.state.ledger.filter((item) => item.undone).map((item) => item.id));
    u.ctx.save();
    u.ctx.lineWidth = pixel;
    u.ctx.setLineDash([3 * pixel, 3 * pixel]);
    for (const { kind, step, id } of markers) {
      if (kind !== "intervention") continue;
      const tone = colour(root, id !== null && undone.has(id) ? "--cw-muted" : "--cw-mark");
      const x = u.valToPos(step, "x", true);
      if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue; // zoomed out of sight
      const top = u.bbox.top;
      u.ctx.strokeStyle = u.ctx.fillStyle = tone;
      u.ctx.beginPath();
      u.ctx.moveTo(x, top);
      u.ctx.lineTo(x, top + u.bbox.height);
      u.ctx.stroke();
      u.ctx.beginPath();
      u.ctx.moveTo(x - 4 * pixel, top - 6 * pixel);
      u.ctx.lineTo(x + 4 * pixel, top - 6 * pixel);
      u.ctx.lineTo(x, top + pixel);
      u.ctx.fill();
    }
    u.ctx.restore();
  }

  function showKey(): void {
    const interventions = markers.filter((one) => one.kind === "intervention");
    const last = interventions[interventions.length - 1];
    const opened = markers.some((one) => one.kind === "window_open");
    const text = keyIntervention.lastElementChild;
    if (text) setText(text, last === undefined ? "" : interventions.length === 1 ? `intervention at ${last.step}` : `${interventions.length} interventions, last at ${last.step}`);
    setHidden(keyIntervention, last === undefined);
    setHidden(keyWindow, !opened);
  }

  let drawnAt = -Infinity;
  let timer: ReturnType<typeof setTimeout> | null = null;

  function showMetrics(): void {
    timer = null;
    const wanted = chartsOf(store.state.metrics.values());
    span = stretch(store.state.metrics.values());
    if (wanted.length > 0) drawnAt = performance.now();
    for (const [metric, chart] of charts) {
      const lines = wanted.find((one) => one.metric === metric)?.lines.map((line) => line.name).join();
      if (lines !== chart.names) {
        chart.remove();
        charts.delete(metric);
      }
    }
    for (const { metric, lines } of wanted) {
      let chart = charts.get(metric);
      if (!chart) charts.set(metric, (chart = create(metric, lines)));
      chart.show(lines);
    }
    const order = wanted.map(({ metric }) => charts.get(metric)?.el);
    if (order.some((one, i) => one !== list.children[i])) list.append(...order.filter((one) => one !== undefined));
    setHidden(empty, wanted.length > 0);
    setHidden(key, wanted.length === 0);
  }

  signal.addEventListener("abort", () => {
    if (timer !== null) clearTimeout(timer);
    for (const chart of charts.values()) chart.remove();
  });

  function repaint(): void {
    for (const chart of charts.values()) chart.repaint();
  }

  return {
    el,
    keys: ["metrics", "markers", "ledger"],
    repaint,
    update(state, changed) {
      markers = state.markers;
      if (changed.has("metrics")) {
        const wait = PERIOD - (performance.now() - drawnAt);
        if (wait <= 0) showMetrics();
        else timer ??= setTimeout(showMetrics, wait);
      } else {
        repaint();
      }
      showKey();
    },
  };
}
