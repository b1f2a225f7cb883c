// The metrics: one chart a metric with its training and validation lines, the interventions and
// the times when the review window was open.

import uPlot from "uplot";
import { button, h, setAttr, setHidden, setText } from "./dom";
import { axisLabels, tick, value } from "./format";
import { clamp } from "./geometry";
import { isPoint, LINES, outliers, plotMarks, rangeOf } from "./marks";
import type { Marker } from "./protocol";
import { align, chartsOf, splitName, stretch, type Series } from "./series";
import type { State } from "./state";
import { colour } from "./theme";
import type { Context, Part } from "./view";

/** Milliseconds between two drawings at least: the lines need not be as fresh as the step counter. */
const PERIOD = 250;
/** Pixels between the labels of the values and the drawing, and of those labels at least. */
const [GAP, LEAST_LABELS] = [6, 34];
// eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- an ambient enum cannot be named here
const LOGARITHMIC = 3 as uPlot.Scale.Distr;
let views = 0;
/** What keys do on a chart: move by a share, change the size; null shows the whole run. */
const KEYS: Record<string, [number, number] | null> = {
  "+": [0, 0.5], "=": [0, 0.5], "-": [0, 2], ArrowLeft: [-0.25, 1], ArrowRight: [0.25, 1], "0": null,
};

interface Chart {
  el: HTMLElement;
  names: string;
  show(lines: readonly Series[]): void;
  repaint: () => void;
  remove(): void;
}

function title(metric: string): string {
  const words = metric.replace(/_/g, " ").replace(/\biou\b/, "IoU");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function createCharts(context: Context): Part & { repaint: () => void } {
  const { root, signal, store, actions } = context;
  const sync = `cw-${views++}`;
  const list = h("div", { class: "cw-charts-list" });
  const empty = h("p", { class: "cw-hint" }, "Metrics appear after the first steps of session.train(epochs=…).");
  const key = h("div", { class: "cw-chart-key" });
  const keyIntervention = button("", { class: "cw-link cw-key-entry", testid: "cw-key-entry" }, h("span", { class: "cw-key-mark", "aria-hidden": "true" }, "▼ "), h("span"));
  const keyWindow = h("span", {}, h("span", { class: "cw-key-band", "aria-hidden": "true" }), "good time to look");
  keyIntervention.addEventListener("click", () => {
    const last = markers.filter((one) => one.kind === "intervention").at(-1);
    if (last?.id) open(last.id);
  }, { signal });
  const smooth = h("select", { class: "cw-input cw-select cw-small", testid: "cw-smooth", "aria-label": "Smoothing of the lines", title: "Exact: each value as it was; smooth: a running mean" },
    ...[["0", "exact"], ["0.6", "smooth"], ["0.9", "smoother"]].map(([value = "", label = ""]) => h("option", { value }, label)));
  const other = h("select", { class: "cw-input cw-select cw-small cw-other", testid: "cw-behind", "aria-label": "Another run of this folder, drawn faintly behind", title: "Another run of this folder, drawn faintly behind" });
  let asked: string | null = null; // another run, not drawn yet
  other.addEventListener("change", () => {
    asked = other.value;
    setAttr(other, "aria-busy", "true");
    actions.compare(asked);
  }, { signal });
  const log = button("log", { class: "cw-button cw-small", testid: "cw-log", "aria-pressed": "false", title: "Logarithmic scale" });
  const reset = button("whole run", { class: "cw-button cw-small", testid: "cw-zoom-reset", title: "Show the whole run again (0, or double click)" });
  const set = (change: Partial<State["chart"]>): void => {
    store.patch({ chart: { ...store.state.chart, ...change } });
  };
  smooth.addEventListener("change", () => {
    set({ smooth: Number(smooth.value) });
  }, { signal });
  log.addEventListener("click", () => {
    set({ log: !store.state.chart.log });
  }, { signal });
  reset.addEventListener("click", () => {
    set({ zoom: null });
  }, { signal });
  key.append(h("div", { class: "cw-key-set" }, smooth, log), other, reset, keyIntervention, keyWindow);

  function open(entry: string): void {
    store.patch({ entry: null, tab: "ledger" });
    store.patch({ entry });
  }

  /** Show another stretch of the run: `by` moves it, `factor` shrinks it, both about the middle. */
  function look(by: number, factor: number): void {
    const [from, to] = shownSpan();
    const width = Math.max((to - from) * factor, 2);
    const start = clamp((from + to - width) / 2 + by * (to - from), span[0], span[1] - width);
    set({ zoom: width >= span[1] - span[0] ? null : [start, start + width] });
  }
  const shownSpan = (): readonly [number, number] => store.state.chart.zoom ?? span;
  const el = h("section", { class: "cw-panel cw-charts", "aria-label": "Metrics" }, empty, list, key);
  const { drawSpans, drawSingle, drawBehind, drawInterventions, drawOutliers } = plotMarks(root, store);
  const charts = new Map<string, Chart>();
  let markers: readonly Marker[] = [];
  let span: [number, number] = [0, 1];

  function create(metric: string, lines: readonly Series[]): Chart {
    const legend = h("span", { class: "cw-legend" });
    const box = h("div", { class: "cw-chart-box" });
    const chartEl = h("div", { class: "cw-chart", role: "group", tabindex: 0, "aria-label": `${title(metric)} by step. Plus and minus zoom, arrows or a drag with Shift pan, 0 shows the whole run.` },
      h("div", { class: "cw-chart-head" }, h("h3", { class: "cw-title" }, title(metric)), legend), box);
    list.append(chartEl);
    let shown: readonly Series[] = lines;
    let blank = false; // nothing of it can be shown on a logarithmic scale
    const logarithmic = store.state.chart.log;
    const values = lines.map((line, i) => {
      const { split } = splitName(line.name);
      const number = h("span", { class: "cw-legend-value", testid: `cw-metric-${line.name.replace(/[^\w]+/g, "-")}` });
      legend.append(h("span", { class: "cw-legend-item" },
        h("span", { class: `cw-swatch cw-swatch-${i % LINES.length}`, "aria-hidden": "true" }), split === "" ? "" : `${split} `, number));
      return number;
    });
    const at = h("span", { class: "cw-legend-at" });
    const away = h("span", { class: "cw-sr" }); // drawn as well
    legend.prepend(at, away);

    function showValues(step: number | null): void {
      shown.forEach((line, i) => {
        const number = values[i];
        if (number) setText(number, value(step === null ? line.last() : line.at(step)));
      });
      const near = step === null ? undefined : markers.filter((one) => isPoint(one) && Math.abs(one.step - step) <= reach()).at(-1);
      const beyond = step === null && !blank && !logarithmic ? outliers(plot) : null;
      setText(away, beyond ?? "");
      setText(at, step === null ? (blank ? "nothing above 0" : "") : near ? `${near.text} · step ${near.step}` : `step ${step}`);
    }

    /** Steps that four pixels stand for. */
    function reach(): number {
      return plot.posToVal(4, "x") - plot.posToVal(0, "x");
    }

    const font = `11px ${getComputedStyle(root).fontFamily}`;

    /** Pixels that the widest label takes; with few or short ones as much as the other charts have. */
    function labelsWidth({ ctx }: uPlot, labels: readonly string[] | null): number {
      ctx.save();
      ctx.font = font;
      const widest = Math.max(0, ...(labels ?? []).map((one) => ctx.measureText(one).width));
      ctx.restore();
      return Math.max(LEAST_LABELS, Math.ceil(widest));
    }

    const axis = {
      stroke: () => colour(root, "--cw-muted"),
      grid: { stroke: () => colour(root, "--cw-grid"), width: 1 },
      ticks: { show: false },
      font,
    };
    let width = box.clientWidth || 300;
    const options: uPlot.Options = {
      width, height: box.clientHeight || 120, padding: [10, 18, 0, 2], // half of the last step's label stands out on the right
      legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false, setScale: false, dist: 6 }, sync: { key: sync }, points: { size: 6 } },
      scales: { x: { time: false, range: () => [...shownSpan()] }, y: logarithmic ? { distr: LOGARITHMIC } : { range: (u, least, most) => rangeOf(u, least, most) } },
      axes: [
        { ...axis, grid: { show: false }, size: 22, gap: 4, space: 44, values: (_, steps) => steps.map((one) => (Number.isInteger(one) ? tick(one) : "")) },
        { ...axis, size: (u, labels) => labelsWidth(u, labels) + GAP, gap: GAP, space: 16, values: (_, ticks: (number | null)[]) => axisLabels(ticks, !logarithmic) },
      ],
      series: [{}, ...lines.map(({ name }, i) => ({
        label: name,
        stroke: () => colour(root, LINES[i % LINES.length] ?? "--cw-line-1"),
        width: 1.5, points: { show: false },
      }))],
      hooks: {
        drawClear: [drawSpans, drawBehind],
        draw: [drawInterventions, drawSingle, logarithmic ? () => undefined : drawOutliers],
        setSelect: [(u) => {
          const { left, width } = u.select;
          if (width < 6) return;
          const zoom = [u.posToVal(left, "x"), u.posToVal(left + width, "x")] as const;
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          set({ zoom });
        }],
        setCursor: [(u) => {
          const index = u.cursor.idx;
          const step = index === null || index === undefined ? null : (u.data[0][index] ?? null);
          showValues(u.cursor.left !== undefined && u.cursor.left >= 0 ? step : null);
        }],
      },
    };
    const points = (next: readonly Series[]): uPlot.AlignedData => {
      const most = 2 * devicePixelRatio * width; // more would show nothing
      const data = align(next, most, shownSpan(), store.state.chart.smooth, logarithmic ? 0 : -Infinity);
      blank = logarithmic && data.slice(1).every((one) => one.every((y) => typeof y !== "number"));
      return data;
    };
    const plot = new uPlot(options, points(lines), box);
    box.addEventListener("dblclick", () => {
      set({ zoom: null });
    }, { signal });
    // Shift or the middle button leads the shown stretch. By pointer events: JupyterLab takes
    // mouse moves with Shift for itself.
    box.addEventListener("pointerdown", (event) => {
      if (!event.shiftKey && event.button !== 1) return;
      event.preventDefault();
      box.setPointerCapture(event.pointerId);
      let x = event.clientX;
      box.onpointermove = (move) => {
        look((x - move.clientX) / plot.over.clientWidth, 1);
        x = move.clientX;
      };
      box.onlostpointercapture = () => {
        box.onpointermove = null;
      };
    }, { signal });
    box.addEventListener("click", (event) => {
      if (event.shiftKey) return; // the end of a drag
      const at = plot.posToVal(plot.cursor.left ?? -1, "x");
      const near = markers.filter((one) => one.kind === "intervention" && Math.abs(one.step - at) <= 1.5 * reach()).at(-1);
      if (near?.id) open(near.id);
    }, { signal });
    chartEl.addEventListener("keydown", (event) => {
      const action = KEYS[event.key];
      if (event.target !== chartEl || action === undefined) return;
      if (action === null) set({ zoom: null });
      else look(...action);
      event.preventDefault();
      event.stopPropagation();
    }, { signal });
    const resize = (): void => {
      const { clientWidth, clientHeight: height } = box;
      if (clientWidth === 0 || height === 0 || (clientWidth === plot.width && height === plot.height)) return;
      width = clientWidth;
      plot.setSize({ width, height });
      plot.setData(points(shown));
    };
    const observer = new ResizeObserver(() => requestAnimationFrame(resize));
    observer.observe(box);
    return {
      el: chartEl,
      names: namesOf(lines),
      show(next) {
        shown = next;
        plot.setData(points(next));
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

  function namesOf(lines: readonly Series[]): string {
    return `${store.state.chart.log ? "log " : ""}${lines.map((line) => line.name).join()}`;
  }

  function showKey(): void {
    const interventions = markers.filter((one) => one.kind === "intervention");
    const last = interventions[interventions.length - 1];
    const opened = markers.some((one) => one.kind === "window_open");
    const text = keyIntervention.lastElementChild;
    if (text) setText(text, interventions.length === 1 ? "1 intervention" : `${interventions.length} interventions`);
    setAttr(keyIntervention, "title", last === undefined ? null : `The last one was at step ${last.step}; go to it in the ledger`);
    setHidden(keyIntervention, last === undefined);
    setHidden(keyWindow, !opened);
  }

  let offered = "";
  function showOthers({ status, behind }: State, came: boolean): void {
    const names = status?.others ?? [];
    const drawn = behind?.run ?? "";
    if (!actions.connected || (came && (drawn === asked || drawn === ""))) asked = null;
    setAttr(other, "aria-busy", asked === null ? null : "true");
    // Without a kernel it only says what is drawn.
    other.disabled = !actions.connected;
    setHidden(other, names.length === 0 || (other.disabled && behind === null));
    if (offered !== names.join()) {
      offered = names.join();
      other.replaceChildren(...["", ...names].map((name) => h("option", { value: name }, name === "" ? "compare with…" : name)));
    }
    if (other.value !== (asked ?? drawn)) other.value = asked ?? drawn;
  }

  let drawnAt = -Infinity;
  let timer: ReturnType<typeof setTimeout> | null = null;

  function showMetrics(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    const wanted = chartsOf(store.state.metrics.values());
    span = stretch(store.state.metrics.values());
    if (wanted.length > 0) drawnAt = performance.now();
    for (const [metric, chart] of charts) {
      const lines = wanted.find((one) => one.metric === metric)?.lines;
      if (lines === undefined || namesOf(lines) !== chart.names) {
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
    keys: ["metrics", "markers", "ledger", "chart", "behind", "status", "connection"],
    repaint,
    update(state, changed) {
      markers = state.markers;
      if (["status", "behind", "connection"].some((key) => changed.has(key as keyof State))) showOthers(state, changed.has("behind"));
      if (!["metrics", "markers", "ledger", "chart", "behind"].some((key) => changed.has(key as keyof State))) return;
      if (changed.has("chart")) {
        smooth.value = String(state.chart.smooth);
        setAttr(log, "aria-pressed", String(state.chart.log));
        setHidden(reset, state.chart.zoom === null);
        showMetrics();
      } else if (changed.has("metrics")) {
        const wait = PERIOD - (performance.now() - drawnAt);
        // In a task of its own: drawn within the frame of the update, the same costs twice as much.
        timer ??= setTimeout(showMetrics, Math.max(wait, 0));
      } else {
        repaint();
      }
      showKey();
    },
  };
}
