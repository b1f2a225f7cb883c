// A series on the stage: each channel's curve, the map as coloured intervals behind it; a drag along
// it, or the arrow keys, mark an interval. Ctrl and the wheel, + and -, look closer.

import { button, h, s, setAttr, setHidden, setText, syncChildren } from "../dom";
import { value as figure } from "../format";
import { clamp } from "../geometry";
import type { Explanation } from "../protocol";
import { isReachable, shownExplanation, type State } from "../state";
import type { Context, Part } from "../view";
import { bands, curve, rangeOf } from "./curves";
import { heatOf, legend, shade, shownHeat } from "./heat";
import type { Kind, Marked } from "./kind";
import { createChips, givenOf, marksOf, toggle } from "./marks";
import { holding, moved, type Span, WHOLE, zoomed } from "./zoom";

interface Channel {
  name: string;
  values: (number | null)[];
}

interface Shown {
  channels: readonly Channel[];
  length: number; // steps, of which a channel may hold fewer points
}

function isChannel(value: unknown): value is Channel {
  const { name, values } = (value ?? {}) as Partial<Channel>;
  return typeof name === "string" && Array.isArray(values) && values.every((one) => one === null || typeof one === "number");
}

function shownOf(content: Record<string, unknown> | null | undefined): Shown {
  return { channels: (content?.["channels"] ?? []) as Channel[], length: Number(content?.["length"] ?? 0) };
}

export interface Interval {
  from: number;
  to: number; // fractions of the length
  channels: readonly [number, number] | null; // half open; null: all of them
}

const isPair = (value: unknown): value is [number, number] => Array.isArray(value) && value.length === 2 && value.every((one) => typeof one === "number");

/** The interval that a region marks, in any of its forms; null where it is none. */
export function intervalOf({ roi }: Marked, { channels: all, length }: Pick<Shown, "channels" | "length">): Interval | null {
  const { interval, steps, box, channel } = roi;
  const channels = typeof channel === "number" ? ([channel, channel + 1] as const) : null;
  if (isPair(interval)) return { from: interval[0], to: interval[1], channels };
  if (isPair(steps) && length > 0) return { from: Math.min(steps[0] / length, 1), to: Math.min(steps[1] / length, 1), channels };
  if (Array.isArray(box) && box.length === 4 && box.every((one) => typeof one === "number")) {
    const [from = 0, low = 0, to = 1, high = 1] = box;
    return { from, to, channels: [Math.round(low * all.length), Math.round(high * all.length)] };
  }
  return channels === null ? null : { from: 0, to: 1, channels };
}

const holds = ({ channels }: Interval, channel: number): boolean => channels === null || (channel >= channels[0] && channel < channels[1]);

/** Whole steps, the last one included, as a region. */
export function regionOf(one: number, other: number, length: number, channel: number | null): Record<string, unknown> {
  const [from, to] = [Math.min(one, other), Math.max(one, other) + 1];
  return { interval: [from / length, to / length], ...(channel === null ? {} : { channel }) };
}

function say(shown: Shown, mark: Marked): string {
  const found = intervalOf(mark, shown);
  if (found === null) return "a region";
  const { channels, length } = shown;
  const [first, last] = [Math.round(found.from * length), Math.round(found.to * length) - 1];
  const of = (found.channels === null ? [] : channels.slice(...found.channels)).map(({ name }) => name).join(", ");
  if (of !== "" && found.from === 0 && found.to === 1) return of;
  return `${first >= last ? `step ${first}` : `steps ${first} to ${last}`}${of === "" ? "" : ` of ${of}`}`;
}

/** The part of a map that belongs to one channel; channels that are marked together share it. */
function heatAt(heat: Float32Array | null, rows: number, columns: number, channel: number): Float32Array | null {
  if (heat === null || heat.length !== rows * columns) return null;
  return rows > 1 ? heat.subarray(channel * columns, (channel + 1) * columns) : heat;
}

const area = ({ from, to }: Pick<Interval, "from" | "to">): string => `M${from} 0H${to}V1H${from}Z`;
const path = (name: string): SVGPathElement => s("path", { class: name, "vector-effect": "non-scaling-stroke" });
const square = (...children: Element[]): SVGSVGElement => s("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" }, ...children);

function showBands(group: Element, heat: Float32Array | null, looks: { opacity: number; threshold: number }, closer = 1): void {
  syncChildren(group, heat === null ? [] : bands(heat, looks.threshold, closer), () => path("cw-band"), (one, { level, path: d }) => {
    setAttr(one, "d", d);
    setAttr(one, "fill-opacity", shade(level, { ...looks, threshold: 0 }).toFixed(3));
  });
}

function createSeries(context: Context): Part {
  const { store, signal, announce } = context;
  const list = h("div", { class: "cw-curves", testid: "cw-curves", role: "application", tabindex: 0, dir: "ltr" });
  const readout = h("span", { class: "cw-note cw-readout", testid: "cw-readout" });
  const one = button("this channel", { class: "cw-segment", testid: "cw-one-channel" });
  const all = button("all channels", { class: "cw-segment", testid: "cw-all-channels" });
  const reach = h("div", { class: "cw-segments cw-reach", role: "group", "aria-label": "What a marked interval means" }, one, all);
  const out = button("−", { class: "cw-segment", testid: "cw-zoom-out", "aria-label": "See more of the curve", title: "See more (−)" });
  const into = button("+", { class: "cw-segment", testid: "cw-zoom-in", "aria-label": "Look closer", title: "Look closer (+, or Ctrl and the wheel)" });
  const whole = button("all", { class: "cw-segment", testid: "cw-zoom-all", "aria-label": "Show all of the curve", title: "The whole curve (0)" });
  const zoom = h("div", { class: "cw-segments cw-zoom", role: "group", "aria-label": "How much of the curve is seen" }, out, into, whole);
  const key = legend();
  let shown: Shown = { channels: [], length: 0 };
  let sample: number | null = null;
  let cursor: { step: number; channel: number } | null = null;
  let anchor: number | null = null; // step where a drag, or Space, set it down
  let pressed = false;
  let span: Span = WHOLE; // what is seen of the length
  let hauled: number | null = null; // where the curve is held while it is moved, on the screen
  let together = false; // an interval is marked in all channels
  const chips = createChips(context, (mark) => say(shown, mark));
  const axis = h("div", { class: "cw-axis", "aria-hidden": "true" }, h("span"), h("span"), h("span"));
  const el = h("div", { class: "cw-place cw-wide", testid: "cw-series" }, list, axis, h("div", { class: "cw-foot" }, reach, zoom, readout, key), chips.el);

  const rows = (): number => shownExplanation(store.state)?.map_height ?? 1;
  const channelOf = (channel: number): number | null => (rows() > 1 && !together ? channel : null);
  const redraw = (): void => {
    draw(store.state);
  };
  for (const [pick, now] of [[one, false], [all, true]] as const) {
    pick.addEventListener("click", () => {
      together = now;
      redraw();
    }, { signal });
  }
  const see = (next: Span): void => {
    span = next;
    redraw();
  };
  const closer = (times: number): void => {
    const middle = (span[0] + span[1]) / 2;
    const at = cursor === null ? middle : (cursor.step + 0.5) / shown.length;
    see(zoomed(span, times, at < span[0] || at > span[1] ? middle : at, shown.length));
  };
  for (const [pick, act] of [[out, () => { closer(2); }], [into, () => { closer(0.5); }], [whole, () => { see(WHOLE); }]] as const) {
    pick.addEventListener("click", act, { signal });
  }
  const placed = (clientX: number): number => {
    const plot = list.querySelector(".cw-curve-plot")?.getBoundingClientRect();
    return plot === undefined ? 0 : span[0] + clamp((clientX - plot.left) / Math.max(plot.width, 1)) * (span[1] - span[0]);
  };
  list.addEventListener("wheel", (event) => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.shiftKey ? event.deltaY : 0;
    if (event.ctrlKey || event.metaKey) see(zoomed(span, Math.exp(Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 100) / 250), placed(event.clientX), shown.length));
    else if (sideways !== 0 && span !== WHOLE) see(moved(span, Math.sign(sideways) * (span[1] - span[0]) / 10));
    else return; // the page scrolls
    event.preventDefault();
  }, { signal, passive: false });
  function mark(): void {
    if (cursor !== null && anchor !== null) toggle(context, regionOf(anchor, cursor.step, shown.length, channelOf(cursor.channel)));
    anchor = null;
  }

  function placeOf(event: PointerEvent, channel?: number): { step: number; channel: number } | null {
    const found = channel === undefined ? (event.target as Element).closest("[data-channel]") : list.children[channel];
    const plot = found?.querySelector(".cw-curve-plot")?.getBoundingClientRect();
    if (!found || plot === undefined) return null;
    const share = span[0] + clamp((event.clientX - plot.left) / Math.max(plot.width, 1)) * (span[1] - span[0]);
    return { step: Math.min(shown.length - 1, Math.floor(share * shown.length)), channel: Number(found.getAttribute("data-channel")) };
  }
  list.addEventListener("pointerdown", (event) => {
    const at = placeOf(event);
    if (event.isPrimary && at !== null && span !== WHOLE && (event.button === 1 || (event.button === 0 && event.shiftKey))) {
      event.preventDefault();
      list.setPointerCapture(event.pointerId);
      hauled = event.clientX;
      return;
    }
    if (event.button !== 0 || !event.isPrimary || at === null || !isReachable(store.state)) return;
    event.preventDefault();
    list.focus({ preventScroll: true });
    list.setPointerCapture(event.pointerId);
    pressed = true;
    cursor = at;
    anchor = at.step;
    redraw();
  }, { signal });
  list.addEventListener("pointermove", (event) => {
    if (hauled !== null) {
      const wide = list.querySelector(".cw-curve-plot")?.getBoundingClientRect().width ?? 1;
      see(moved(span, (hauled - event.clientX) / Math.max(wide, 1) * (span[1] - span[0])));
      hauled = event.clientX;
      return;
    }
    const at = placeOf(event, pressed ? cursor?.channel : undefined);
    if (at === null || (!pressed && anchor !== null)) return;
    cursor = at;
    redraw();
  }, { signal });
  const end = (event: PointerEvent): void => {
    hauled = null;
    if (!pressed || !event.isPrimary) return;
    pressed = false;
    if (event.type === "pointerup" && anchor !== cursor?.step) mark(); // a click alone sets the cursor
    anchor = null;
    redraw();
  };
  list.addEventListener("pointerup", end, { signal });
  list.addEventListener("pointercancel", end, { signal });

  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || shown.length === 0) return;
    const at = cursor ?? { step: Math.floor(shown.length / 2), channel: 0 };
    const stride = Math.max(1, Math.round((shown.length * (span[1] - span[0])) / 100));
    const closeness = { "+": 0.5, "=": 0.5, "-": 2 }[event.key];
    const to = { ArrowLeft: at.step - stride, ArrowRight: at.step + stride, PageUp: at.step - 10 * stride, PageDown: at.step + 10 * stride, Home: 0, End: shown.length - 1 }[event.key];
    const over = { ArrowUp: at.channel - 1, ArrowDown: at.channel + 1 }[event.key];
    if (closeness !== undefined) closer(closeness);
    else if (event.key === "0") span = WHOLE;
    else if (to !== undefined) {
      if (event.shiftKey) anchor ??= at.step;
      cursor = { ...at, step: Math.min(Math.max(to, 0), shown.length - 1) };
      span = holding(holding(span, (cursor.step + 1) / shown.length), cursor.step / shown.length);
    } else if (over !== undefined) {
      cursor = { ...at, channel: Math.min(Math.max(over, 0), shown.channels.length - 1) };
      list.children[cursor.channel]?.scrollIntoView({ block: "nearest" });
    } else if (event.key === " " && isReachable(store.state)) {
      cursor = at;
      if (anchor === null) anchor = at.step;
      else mark();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      const place = (at.step + 0.5) / shown.length;
      const found = marksOf(store.state).filter((one) => {
        const interval = intervalOf(one, shown);
        return interval !== null && interval.from <= place && interval.to > place && holds(interval, at.channel);
      }).at(-1);
      if (found === undefined) return;
      context.actions.removeStroke(found.id);
      announce("Mark deleted");
    } else if (event.key === "Escape" && (anchor !== null || cursor !== null)) {
      if (anchor === null) cursor = null;
      anchor = null;
    } else return;
    redraw();
    announce(readout.textContent);
    event.preventDefault();
    event.stopPropagation();
  }, { signal });

  const make = (): HTMLElement => h("div", { class: "cw-curve" }, h("bdi", { class: "cw-curve-name", dir: "auto" }),
    h("div", { class: "cw-curve-plot" }, square(s("g"), s("g", { class: "cw-intervals" }), path("cw-interval cw-interval-new"), path("cw-curve-frame"), path("cw-curve-line"), path("cw-curve-at"))),
    h("div", { class: "cw-curve-range", "aria-hidden": "true" }, h("span"), h("span")));
  const lines = new WeakMap<Channel, { line: string; range: [number, number] }>();

  function drawChannel(row: HTMLElement, channel: Channel, i: number, state: State, explanation: Explanation | null): void {
    const [name, plot, range] = row.children as unknown as [HTMLElement, HTMLElement, HTMLElement];
    const [heat, marked, fresh, frame, line, at] = plot.firstElementChild?.children as unknown as Element[];
    if (plot.firstElementChild) setAttr(plot.firstElementChild, "viewBox", `${span[0]} 0 ${span[1] - span[0]} 1`);
    if (!heat || !marked || !fresh || !frame || !line || !at) return;
    const known = lines.get(channel) ?? { line: curve(channel.values), range: rangeOf(channel.values) };
    lines.set(channel, known);
    setAttr(row, "data-channel", i);
    setText(name, shown.channels.length > 1 ? channel.name : "");
    setAttr(line, "d", known.line);
    [...known.range].reverse().forEach((edge, k) => {
      if (range.children[k]) setText(range.children[k], figure(edge));
    });
    const columns = explanation?.map_width ?? 0;
    const mapRows = explanation?.map_height ?? 1;
    showBands(heat, heatAt(shownHeat(state), mapRows, columns, i), state, Math.min(8, 1 / (span[1] - span[0])));
    const inHere = (mark: Marked): Interval | null => {
      const interval = intervalOf(mark, shown);
      return interval !== null && holds(interval, i) ? interval : null;
    };
    const found = [...givenOf(state).map((mark) => ({ ...mark, id: null })), ...marksOf(state).map((mark) => ({ ...mark, pointed: false }))]
      .flatMap((mark) => {
        const interval = inHere(mark);
        return interval === null ? [] : [{ ...mark, interval }];
      });
    syncChildren(marked, found, () => path("cw-interval"), (shape, mark) => {
      setAttr(shape, "d", area(mark.interval));
      setAttr(shape, "data-kind", mark.kind);
      setAttr(shape, "data-given", mark.id === null);
      setAttr(shape, "data-pointed", mark.pointed);
      setAttr(shape, "data-selected", mark.id !== null && mark.id === state.selected);
    });
    const chosen = cursor !== null && anchor !== null && (channelOf(cursor.channel) ?? i) === i ? intervalOf({ kind: "look", roi: regionOf(anchor, cursor.step, shown.length, null) }, shown) : null;
    setAttr(fresh, "d", chosen === null ? null : area(chosen));
    setAttr(fresh, "data-kind", state.meaning);
    const box = explanation?.bbox ?? null;
    const framed = box !== null && state.map !== "off" && (mapRows === 1 || (i >= Math.round(box[1] * mapRows) && i < Math.round(box[3] * mapRows)));
    setAttr(frame, "d", framed ? area({ from: box[0], to: box[2] }) : null);
    setAttr(at, "d", cursor === null || cursor.channel !== i ? null : `M${(cursor.step + 0.5) / shown.length} 0V1`);
  }

  function draw(state: State): void {
    const explanation = shownExplanation(state);
    syncChildren(list, shown.channels, make, (row, channel, i) => {
      drawChannel(row, channel, i, state, explanation);
    });
    [span[0], (span[0] + span[1]) / 2, span[1]].map((share) => Math.floor(share * shown.length + 1e-6)).forEach((step, i) => {
      if (axis.children[i]) setText(axis.children[i], String(step));
    });
    setAttr(el, "data-single", shown.channels.length === 1);
    setHidden(reach, rows() < 2 || !isReachable(state) || state.status?.guidance === false);
    setAttr(one, "aria-pressed", String(!together));
    setAttr(all, "aria-pressed", String(together));
    out.disabled = whole.disabled = span === WHOLE;
    into.disabled = zoomed(span, 0.5, span[0], shown.length)[1] - zoomed(span, 0.5, span[0], shown.length)[0] >= span[1] - span[0] - 1e-9;
    setHidden(key, shownHeat(state) === null);
    setText(readout, said());
  }

  /** Where the cursor is, or what is chosen, in words. */
  function said(): string {
    if (cursor === null) return `${shown.length} steps`;
    const channel = shown.channels[cursor.channel];
    if (anchor !== null) return say(shown, { kind: "look", roi: regionOf(anchor, cursor.step, shown.length, channelOf(cursor.channel)) });
    const values = channel?.values ?? [];
    const there = values[Math.floor(((cursor.step + 0.5) / shown.length) * values.length)];
    return `step ${cursor.step}${shown.channels.length > 1 ? ` of ${channel?.name ?? ""}` : ""}: ${typeof there === "number" ? figure(there) : "unknown"}`;
  }

  return {
    el,
    keys: ["explanation", "map", "opacity", "threshold", "at", "shelf", "connection", "status", "drafts", "selected", "meaning", "ledger", "entry"],
    update(state) {
      const explanation = shownExplanation(state);
      shown = shownOf(explanation?.content);
      if (explanation?.index !== sample) {
        sample = explanation?.index ?? null;
        cursor = anchor = null;
        span = WHOLE;
      }
      setAttr(list, "aria-label", `Curves of sample ${explanation?.index ?? ""}. Left and right move along, up and down change the channel, Space sets an interval down and lifts it, Delete takes a mark away, plus and minus look closer and further, 0 shows all.`);
      draw(state);
      chips.update(state);
    },
  };
}

export const SERIES: Kind = {
  name: "series",
  plain: "Curves",
  first: "LiveCAM",
  about: "LiveCAM: which stretches count. SmoothGrad: which steps. Consensus: what both mark.",
  hint: "Drag along the curve, or say it in words. Enter submits.",
  example: "ignore first half",
  question: "Are these steps the right reason?",
  create: createSeries,
  draws: ({ channels, length }) => Array.isArray(channels) && channels.every(isChannel) && typeof length === "number" && length > 0,
  focus: ({ map_height: channels }, [x0, y0, x1]) => ({ interval: [x0, x1], ...(channels > 1 ? { channel: Math.round(y0 * channels) } : {}) }),
  glance(el, { content, cells }, marks) {
    const shown = shownOf(content);
    const { channels } = shown;
    const heat = cells === null ? null : heatOf(cells);
    const rows = heat === null || heat.length % shown.length !== 0 ? 1 : heat.length / shown.length;
    const columns = heat === null ? 0 : heat.length / rows;
    const most = Math.max(0, heat === null ? 0 : Math.floor(heat.indexOf(Math.max(...heat)) / columns)); // the channel that the map marks most
    const group = s("g");
    showBands(group, heatAt(heat, rows, columns, most), { opacity: 0.7, threshold: 0 });
    const line = path("cw-curve-line");
    setAttr(line, "d", curve((channels[most] ?? channels[0])?.values ?? []));
    const shapes = marks.flatMap((mark) => {
      const interval = intervalOf(mark, shown);
      return interval === null ? [] : [s("path", { class: "cw-interval", d: area(interval), "data-kind": mark.kind, "vector-effect": "non-scaling-stroke" })];
    });
    el.append(square(group, ...shapes, line));
  },
};
