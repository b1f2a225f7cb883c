// Drawing on the picture: boxes that say "look here" or "ignore this", by pointer and by keyboard.

import { h, s, setAttr, setHidden, setText, syncChildren } from "./dom";
import { boxBetween, clamp, handleAt, HANDLES, moveBox, placeName, resizeBox, type Handle, type Point } from "./geometry";
import type { Box, StrokeKind } from "./protocol";
import { draftsOf, type State, type Stroke } from "./state";
import type { Context } from "./view";

export const KIND_WORDS: Record<StrokeKind, string> = { look: "look here", ignore: "ignore this" };
const STEP = 0.01;
const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP],
};

const percent = (share: number): string => `${(share * 100).toFixed(2)}%`;

function place(rect: Element, [x0, y0, x1, y1]: Box): void {
  setAttr(rect, "x", percent(x0));
  setAttr(rect, "y", percent(y0));
  setAttr(rect, "width", percent(x1 - x0));
  setAttr(rect, "height", percent(y1 - y0));
}

type Drag =
  | { mode: "draw"; from: Point; id: number | null }
  | { mode: "move"; from: Point; id: number; box: Box }
  | { mode: "resize"; from: Point; id: number; box: Box; handle: Handle };

export interface StrokeLayer {
  svg: SVGSVGElement;
  update(state: State): void;
}

/** The layer over the picture that shows the model's focus and takes the person's boxes. */
export function createStrokeLayer({ store, actions, signal, announce }: Context): StrokeLayer {
  const focus = s("rect", { class: "cw-focus-box" });
  const boxes = s("g");
  const handles = s("g", { class: "cw-handles" });
  const svg = s("svg", {
    class: "cw-strokes", testid: "cw-picture", role: "group",
    "aria-label": "Boxes on the picture. Draw with the pointer, or use the button Add box below.",
  }, focus, boxes, handles);
  let drag: Drag | null = null;

  function pointOf(event: PointerEvent): Point {
    const area = svg.getBoundingClientRect();
    return {
      x: clamp((event.clientX - area.left) / Math.max(area.width, 1)),
      y: clamp((event.clientY - area.top) / Math.max(area.height, 1)),
    };
  }

  function find(id: number): Stroke | undefined {
    return draftsOf(store.state).find((one) => one.id === id);
  }

  function startDrag(event: PointerEvent): Drag {
    const from = pointOf(event);
    const target = event.target as Element;
    const handle = target.getAttribute("data-handle") as Handle | null;
    const { selected } = store.state;
    const chosen = selected === null ? undefined : find(selected);
    if (handle !== null && chosen) return { mode: "resize", from, id: chosen.id, box: chosen.box, handle };
    const stroke = find(Number(target.closest("[data-stroke]")?.getAttribute("data-stroke") ?? NaN));
    if (stroke) return { mode: "move", from, id: stroke.id, box: stroke.box };
    return { mode: "draw", from, id: null };
  }

  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || store.state.explanation === null) return;
    event.preventDefault();
    drag = startDrag(event);
    svg.setPointerCapture(event.pointerId);
    store.patch({ drawing: true, selected: drag.id });
    if (drag.id !== null) focusStroke(drag.id);
  }, { signal });

  svg.addEventListener("pointermove", (event) => {
    if (drag === null) return;
    const to = pointOf(event);
    const dx = to.x - drag.from.x;
    const dy = to.y - drag.from.y;
    if (drag.mode === "move") actions.changeStroke(drag.id, { box: moveBox(drag.box, dx, dy) });
    else if (drag.mode === "resize") actions.changeStroke(drag.id, { box: resizeBox(drag.box, drag.handle, dx, dy) });
    else {
      const box = boxBetween(drag.from, to);
      if (box === null) return;
      if (drag.id === null) drag.id = actions.addStroke({ kind: store.state.tool, box });
      else actions.changeStroke(drag.id, { box });
    }
  }, { signal });

  const endDrag = (): void => {
    if (drag === null) return;
    if (drag.mode === "draw" && drag.id !== null) announce(describe(drag.id));
    drag = null;
    store.patch({ drawing: false });
  };
  svg.addEventListener("pointerup", endDrag, { signal });
  svg.addEventListener("pointercancel", endDrag, { signal });
  svg.addEventListener("lostpointercapture", endDrag, { signal });

  svg.addEventListener("focusin", (event) => {
    const id = Number((event.target as Element).getAttribute("data-stroke") ?? NaN);
    if (!Number.isNaN(id)) store.patch({ selected: id });
  }, { signal });

  svg.addEventListener("keydown", (event) => {
    const { selected } = store.state;
    const stroke = selected === null ? undefined : find(selected);
    if (!stroke) return;
    const arrow = ARROWS[event.key];
    if (arrow) {
      const box = event.shiftKey ? resizeBox(stroke.box, "se", ...arrow) : moveBox(stroke.box, ...arrow);
      actions.changeStroke(stroke.id, { box });
    } else if (event.key === "Delete" || event.key === "Backspace") {
      actions.removeStroke(stroke.id);
      announce("Box deleted");
    } else if (event.key === "Escape") {
      store.patch({ selected: null });
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }, { signal });

  function focusStroke(id: number): void {
    svg.querySelector<SVGElement>(`[data-stroke="${id}"]`)?.focus({ preventScroll: true });
  }

  function describe(id: number): string {
    const stroke = find(id);
    return stroke ? `Box, ${KIND_WORDS[stroke.kind]}, ${placeName(stroke.box)}` : "";
  }

  function make(): SVGGElement {
    return s("g", { class: "cw-stroke", tabindex: 0, role: "img" }, s("rect", { class: "cw-stroke-box" }),
      s("text", { class: "cw-stroke-label" }));
  }

  function show(group: SVGGElement, stroke: Stroke, selected: number | null): void {
    setAttr(group, "data-stroke", stroke.id);
    setAttr(group, "data-kind", stroke.kind);
    setAttr(group, "data-selected", stroke.id === selected);
    const [x0, y0, x1, y1] = stroke.box;
    const sides = [x0, y0, x1, y1].map((share) => Math.round(share * 100)).join(", ");
    setAttr(group, "aria-label", `${describe(stroke.id)}, ${sides} percent. Arrows move, Shift and arrows resize, Delete removes.`);
    const [rect, label] = group.children;
    if (rect) place(rect, stroke.box);
    if (!label) return;
    const above = y0 > 0.06;
    setAttr(label, "x", percent(x0));
    setAttr(label, "y", percent(above ? y0 : y1));
    setAttr(label, "dx", 1);
    setAttr(label, "dy", above ? -8 : y1 > 0.94 ? -6 : 14);
    setText(label, KIND_WORDS[stroke.kind]);
  }

  return {
    svg,
    update(state) {
      const drafts = draftsOf(state);
      syncChildren(boxes, drafts, make, (group, stroke) => {
        show(group, stroke, state.selected);
      });
      const chosen = drafts.find((one) => one.id === state.selected);
      syncChildren(handles, chosen ? HANDLES : [], () => s("rect", { class: "cw-handle", width: 9, height: 9 }), (rect, handle) => {
        const at = handleAt(chosen?.box ?? [0, 0, 1, 1], handle);
        setAttr(rect, "x", percent(at.x));
        setAttr(rect, "y", percent(at.y));
        setAttr(rect, "data-handle", handle);
      });
      const bbox = state.explanation?.bbox ?? null;
      setAttr(focus, "visibility", bbox === null || state.map === "off" ? "hidden" : null);
      if (bbox !== null) place(focus, bbox);
      setAttr(svg, "data-tool", state.tool);
    },
  };
}

/** Hint that lies over the picture while there is none. */
export function createPlaceholder(): { el: HTMLElement; show(text: string | null): void } {
  const el = h("p", { class: "cw-placeholder" });
  return {
    el,
    show(text) {
      setHidden(el, text === null);
      if (text !== null) setText(el, text);
    },
  };
}
