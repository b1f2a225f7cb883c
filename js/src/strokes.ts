// The layer over the picture: where the model looks, what the ledger holds for this sample, and
// the strokes that a person draws, led by pointer, pen, finger or keyboard.

import { h, s, setAttr, setHidden, setText, syncChildren } from "./dom";
import { clamp, handleAt, HANDLES, placeName, resizeBox, type Point } from "./geometry";
import { hasPlaces, placeWords } from "./outlines";
import { Pen, type Hit } from "./pen";
import type { StrokeKind } from "./protocol";
import { boundsOf, drawn, fromRoi, moveShape, pathOf, type Shape } from "./shapes";
import { draftsOf, isReachable, shownExplanation, type State, type Stroke } from "./state";
import { showThumbnail } from "./thumbnails";
import type { Context } from "./view";

export const KIND_WORDS: Record<StrokeKind, string> = { look: "look here", ignore: "ignore this" };
const FORM_WORDS: Record<Shape["form"], string> = { box: "Box", polygon: "Polygon", mask: "Brushed region" };
const STEP = 0.01;
const STILL = 0.01; // a press that moves no further draws nothing
const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP],
};
const GRIPS = 24; // a polygon of more corners is moved as a whole

const percent = (share: number): string => `${(share * 100).toFixed(2)}%`;

export interface StrokeLayer {
  svg: SVGSVGElement;
  pen: Pen;
  focusStroke(id: number): void;
  update(state: State): void;
}

export function createStrokeLayer({ store, actions, signal, announce }: Context): StrokeLayer {
  const path = (name: string): SVGPathElement => s("path", { class: name, "vector-effect": "non-scaling-stroke" });
  const focus = path("cw-focus-box");
  const given = s("g", { class: "cw-given-strokes" });
  const shapes = s("g");
  const pending = path("cw-pending");
  const area = s("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", width: "100%", height: "100%" }, focus, given, shapes, pending);
  const labels = s("g");
  const grips = s("g", { class: "cw-handles" });
  const cross = s("g", { class: "cw-cross", visibility: "hidden" },
    s("line", { x1: -9, x2: 9, y1: 0, y2: 0 }), s("line", { y1: -9, y2: 9, x1: 0, x2: 0 }));
  const crossAt = s("svg", { overflow: "visible" }, cross);
  const svg = s("svg", {
    class: "cw-strokes", testid: "cw-picture", role: "application", tabindex: 0,
    "aria-label": "Picture to draw on. Arrow keys lead the tool, Space sets it down and lifts it, Enter closes a polygon, Escape leaves; Tab goes to the strokes.",
  }, area, labels, grips, crossAt);
  const pen = new Pen(store, actions, (id) => {
    announce(describe(pen.find(id)));
  });

  function pointOf(event: PointerEvent): Point {
    const box = svg.getBoundingClientRect();
    return {
      x: clamp((event.clientX - box.left) / Math.max(box.width, 1)),
      y: clamp((event.clientY - box.top) / Math.max(box.height, 1)),
    };
  }

  function hitOf(target: Element): Hit {
    const stroke = target.closest("[data-stroke]")?.getAttribute("data-stroke");
    return { stroke: stroke === null || stroke === undefined ? null : Number(stroke), handle: target.getAttribute("data-handle") };
  }

  let pressed: Point | null = null;

  /** Explain the region at a place. */
  function choose(at: Point): void {
    const explanation = shownExplanation(store.state);
    if (explanation === null || !isReachable(store.state)) return;
    announce(`Explaining the region at the place: ${placeWords(store.state, at)}`);
    void actions.explain(explanation.index, null, at);
  }

  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary || shownExplanation(store.state) === null) return;
    event.preventDefault();
    svg.setPointerCapture(event.pointerId);
    svg.focus({ preventScroll: true });
    store.patch({ cursor: null });
    pen.begin(pointOf(event), hitOf(event.target as Element));
    const { selected, tool } = store.state;
    // Where each pixel has a class a press that draws nothing chooses the region there.
    pressed = tool === "box" && selected === null && hasPlaces(shownExplanation(store.state)) ? pointOf(event) : null;
    if (selected !== null) focusStroke(selected);
  }, { signal });
  svg.addEventListener("pointermove", (event) => {
    if (!pen.down || !event.isPrimary) return;
    const here = pointOf(event);
    if (pressed !== null && Math.hypot(here.x - pressed.x, here.y - pressed.y) > STILL) pressed = null;
    // a fast pen reports several places at once; a brush must not skip them
    const places = typeof event.getCoalescedEvents === "function" ? event.getCoalescedEvents() : [];
    for (const place of places.length > 0 ? places : [event]) pen.move(pointOf(place));
  }, { signal });
  const end = (event: PointerEvent): void => {
    if (!event.isPrimary) return; // a second finger, or a palm, ends nothing
    const at = event.type === "pointerup" ? pressed : null;
    pressed = null;
    pen.end();
    if (at !== null) choose(at);
  };
  svg.addEventListener("pointerup", end, { signal });
  svg.addEventListener("pointercancel", end, { signal });
  svg.addEventListener("lostpointercapture", end, { signal });
  svg.addEventListener("dblclick", () => {
    pen.close();
  }, { signal });

  svg.addEventListener("focusin", (event) => {
    const { stroke } = hitOf(event.target as Element);
    if (stroke !== null) store.patch({ selected: stroke });
  }, { signal });
  svg.addEventListener("blur", () => {
    if (store.state.cursor !== null && !pen.down) store.patch({ cursor: null });
  }, { signal });

  svg.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const stroke = pen.find(store.state.selected);
    const taken = event.target !== svg && stroke !== undefined ? editKey(stroke, event) : leadKey(event);
    if (!taken) return;
    event.preventDefault();
    event.stopPropagation();
  }, { signal });

  /** Keys on a stroke: move it, resize it, remove it. */
  function editKey(stroke: Stroke<Shape>, event: KeyboardEvent): boolean {
    const arrow = ARROWS[event.key];
    if (arrow) {
      const { shape } = stroke;
      const [dx, dy] = shape.form === "mask" ? [Math.sign(arrow[0]) / shape.width, Math.sign(arrow[1]) / shape.height] : arrow;
      const resized = event.shiftKey && shape.form === "box";
      actions.changeStroke(stroke.id, { shape: resized ? { form: "box", box: resizeBox(shape.box, "se", dx, dy) } : moveShape(shape, dx, dy) });
    } else if (event.key === "Delete" || event.key === "Backspace") {
      actions.removeStroke(stroke.id);
      announce("Stroke deleted");
      svg.focus({ preventScroll: true });
    } else if (event.key === "Escape") {
      store.patch({ selected: null });
      svg.focus({ preventScroll: true });
    } else {
      return false;
    }
    return true;
  }

  /** Keys on the picture: lead the tool as a pointer would. */
  function leadKey(event: KeyboardEvent): boolean {
    const { state } = store;
    const arrow = ARROWS[event.key];
    const at = state.cursor ?? { x: 0.5, y: 0.5 };
    if (arrow) {
      const by = event.shiftKey ? 8 : 2;
      const to = state.cursor === null ? at : { x: clamp(at.x + arrow[0] * by), y: clamp(at.y + arrow[1] * by) };
      store.patch({ cursor: to });
      pen.move(to);
    } else if (event.key === " ") {
      store.patch({ cursor: at });
      if (pen.down) pen.end();
      else {
        pen.begin(at, { stroke: null, handle: null });
        if (state.tool === "polygon") pen.end();
      }
    } else if (event.key === "Enter" && state.pending.length > 0) {
      pen.close();
    } else if (event.key === "Enter" && state.cursor !== null && !pen.down && hasPlaces(shownExplanation(state))) {
      choose(state.cursor);
    } else if (event.key === "Backspace" && state.pending.length > 0) {
      store.patch({ pending: state.pending.slice(0, -1) });
    } else if (event.key === "Escape" && (pen.down || state.pending.length > 0 || state.cursor !== null)) {
      pen.cancel();
      store.patch({ cursor: null });
    } else {
      return false;
    }
    return true;
  }

  function focusStroke(id: number): void {
    store.flush(); // it must exist before it can be focused
    svg.querySelector<SVGElement>(`[data-stroke="${id}"]`)?.focus({ preventScroll: true });
  }

  function describe(stroke: Stroke<Shape> | undefined): string {
    return stroke ? `${FORM_WORDS[stroke.shape.form]}, ${KIND_WORDS[stroke.kind]}, ${placeName(boundsOf(stroke.shape))}` : "";
  }

  function make(): SVGGElement {
    return s("g", { class: "cw-stroke", tabindex: 0, role: "img" }, path("cw-stroke-area"), path("cw-stroke-rim"));
  }

  const outlines = new WeakMap<Shape, { area: string; rim: string }>();
  function outline(shape: Shape): { area: string; rim: string } {
    const known = outlines.get(shape) ?? pathOf(shape);
    outlines.set(shape, known);
    return known;
  }

  function show(group: SVGGElement, stroke: Stroke<Shape>, selected: number | null): void {
    setAttr(group, "data-stroke", stroke.id);
    setAttr(group, "data-kind", stroke.kind);
    setAttr(group, "data-selected", stroke.id === selected);
    const sides = boundsOf(stroke.shape).map((share) => Math.round(share * 100)).join(", ");
    const resize = stroke.shape.form === "box" ? ", Shift and arrows resize" : "";
    setAttr(group, "aria-label", `${describe(stroke)}, ${sides} percent. Arrows move${resize}, Delete removes.`);
    const { area: inside, rim } = outline(stroke.shape);
    const [areaPath, rimPath] = group.children;
    if (areaPath) setAttr(areaPath, "d", inside);
    if (rimPath) setAttr(rimPath, "d", rim);
  }

  function showLabel(label: SVGTextElement, stroke: Stroke<Shape>): void {
    const [x0, y0, x1, y1] = boundsOf(stroke.shape);
    const above = y0 > 0.06;
    const left = x0 + x1 < 1; // the words run towards the picture's middle, and are not cut
    setAttr(label, "x", percent(left ? x0 : x1));
    setAttr(label, "text-anchor", left ? null : "end");
    setAttr(label, "y", percent(above ? y0 : y1));
    setAttr(label, "dy", above ? -8 : y1 > 0.94 ? -6 : 14);
    setText(label, KIND_WORDS[stroke.kind]);
  }

  function gripsOf(stroke: Stroke<Shape> | undefined): { at: Point; handle: string }[] {
    if (stroke?.shape.form === "box") {
      const { box } = stroke.shape;
      return HANDLES.map((handle) => ({ at: handleAt(box, handle), handle }));
    }
    if (stroke?.shape.form !== "polygon" || stroke.shape.points.length > GRIPS) return [];
    return stroke.shape.points.map((at, i) => ({ at, handle: String(i) }));
  }

  /** Strokes of the ledger that hold for the sample that is shown. */
  function showGiven(state: State): void {
    const sample = state.explanation?.index;
    const found = state.ledger.filter((item) => !item.undone).flatMap((item) =>
      item.strokes.filter((one) => one.sample === null || one.sample === sample).map((one) => ({ ...one, item })));
    syncChildren(given, found, () => s("g", { class: "cw-given" }, path("cw-given-rim"), s("title")), (group, one) => {
      const [rim, title] = group.children;
      const shape = shapeOf(one.roi);
      if (rim) setAttr(rim, "d", shape === null ? "" : outline(shape).rim);
      if (title) setText(title, `${one.item.text} (step ${one.item.step})`);
      setAttr(group, "data-kind", one.kind);
      setAttr(group, "data-pointed", one.item.id === state.entry);
    });
  }

  const parsed = new WeakMap<object, Shape | null>();
  function shapeOf(roi: Record<string, unknown>): Shape | null {
    if (!parsed.has(roi)) parsed.set(roi, fromRoi(roi));
    return parsed.get(roi) ?? null;
  }

  return {
    svg,
    pen,
    focusStroke,
    update(state) {
      const drafts = drawn(draftsOf(state));
      syncChildren(shapes, drafts, make, (group, stroke) => {
        show(group, stroke, state.selected);
      });
      syncChildren(labels, drafts, () => s("text", { class: "cw-stroke-label" }), showLabel);
      const chosen = state.tool === "brush" || state.tool === "eraser" ? undefined : drafts.find((one) => one.id === state.selected);
      syncChildren(grips, gripsOf(chosen), () => s("rect", { class: "cw-handle", width: 9, height: 9 }), (rect, { at, handle }) => {
        setAttr(rect, "x", percent(at.x));
        setAttr(rect, "y", percent(at.y));
        setAttr(rect, "data-handle", handle);
      });
      showGiven(state);
      const line = [...state.pending, ...(state.cursor !== null && state.pending.length > 0 ? [state.cursor] : [])];
      setAttr(pending, "d", line.length === 0 ? null : `M${line.map(({ x, y }) => `${x.toFixed(4)} ${y.toFixed(4)}`).join("L")}${line.length === 1 ? "h0" : ""}`);
      setAttr(pending, "data-kind", state.meaning);
      setAttr(cross, "visibility", state.cursor === null ? "hidden" : null);
      if (state.cursor !== null) {
        setAttr(crossAt, "x", percent(state.cursor.x));
        setAttr(crossAt, "y", percent(state.cursor.y));
        setAttr(cross, "data-down", pen.down);
      }
      const bbox = shownExplanation(state)?.bbox ?? null;
      setAttr(focus, "visibility", bbox === null || state.map === "off" ? "hidden" : null);
      if (bbox !== null) setAttr(focus, "d", pathOf({ form: "box", box: bbox }).rim);
      setAttr(svg, "data-tool", state.tool);
    },
  };
}

/** What lies in the picture's place while there is none: a hint, and the small picture where that is all there is. */
export function createPlaceholder(): { el: HTMLElement; show(text: string | null, thumbnail?: Uint8Array | null): void } {
  const image = h("img", { class: "cw-placeholder-image", alt: "", draggable: "false" });
  const line = h("p");
  const el = h("div", { class: "cw-placeholder", testid: "cw-placeholder" }, image, line);
  return {
    el,
    show(text, thumbnail = null) {
      setHidden(el, text === null);
      setHidden(image, thumbnail === null);
      if (thumbnail !== null) showThumbnail(image, thumbnail);
      if (text !== null) setText(line, text);
    },
  };
}
