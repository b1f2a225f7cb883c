// What a drawing tool does with the points it is led over, whether a pointer or the keyboard
// leads it. It changes the drafts of the sample that is shown, one undoable change a gesture.

import type { Actions } from "./actions";
import { boxBetween, moveBox, resizeBox, type Handle, type Point } from "./geometry";
import type { Box } from "./protocol";
import { brush, closed, drawn, isEmpty, MAX_CORNERS, moveShape, rasterise, type Mask, type Shape } from "./shapes";
import { draftsOf, shownExplanation, type Stroke } from "./state";
import type { Store } from "./store";

/** What lies under the point where a gesture begins. */
export interface Hit {
  stroke: number | null;
  handle: string | null; // of the selected stroke: a compass direction, or a corner's number
}

type Gesture =
  | { mode: "box"; from: Point; id: number | null }
  | { mode: "line"; last: Point; drawn: boolean }
  | { mode: "move"; from: Point; id: number; shape: Shape }
  | { mode: "resize"; from: Point; id: number; box: Box; handle: Handle }
  | { mode: "corner"; id: number; at: number; points: readonly Point[] }
  | { mode: "paint"; last: Point; id: number | null }
  | { mode: "erase"; last: Point };

const NEAR = 0.035; // how close to the first corner closes a polygon
const APART = 0.015; // distance between the points of a line drawn by hand

const distance = (a: Point, b: Point): number => Math.hypot(a.x - b.x, a.y - b.y);

export class Pen {
  #gesture: Gesture | null = null;

  constructor(
    private readonly store: Store,
    private readonly actions: Actions,
    /** Called with a stroke that is finished. */
    private readonly onDrawn: (id: number) => void,
  ) {}

  get down(): boolean {
    return this.#gesture !== null;
  }

  find(id: number | null): Stroke<Shape> | undefined {
    return id === null ? undefined : drawn(draftsOf(this.store.state)).find((one) => one.id === id);
  }

  begin(at: Point, hit: Hit): void {
    if (shownExplanation(this.store.state) === null) return;
    this.actions.beginGesture();
    this.#gesture = this.#start(at, hit);
    this.store.patch({ drawing: true });
    if (this.#gesture.mode === "paint" || this.#gesture.mode === "erase") this.move(at);
  }

  #start(at: Point, hit: Hit): Gesture {
    const { tool, pending, selected } = this.store.state;
    if (tool === "brush") {
      const onto = this.find(selected);
      const same = onto?.shape.form === "mask" && onto.kind === this.store.state.meaning;
      return { mode: "paint", last: at, id: same ? onto.id : null };
    }
    if (tool === "eraser") return { mode: "erase", last: at };
    if (pending.length === 0) {
      const chosen = this.find(selected);
      if (hit.handle !== null && chosen?.shape.form === "box") {
        return { mode: "resize", from: at, id: chosen.id, box: chosen.shape.box, handle: hit.handle as Handle };
      }
      if (hit.handle !== null && chosen?.shape.form === "polygon") {
        return { mode: "corner", id: chosen.id, at: Number(hit.handle), points: chosen.shape.points };
      }
      const stroke = this.find(hit.stroke);
      if (stroke) {
        this.store.patch({ selected: stroke.id });
        return { mode: "move", from: at, id: stroke.id, shape: stroke.shape };
      }
    }
    this.store.patch({ selected: null });
    if (tool === "box") return { mode: "box", from: at, id: null };
    const first = pending[0];
    if (first !== undefined && pending.length >= 3 && distance(first, at) < NEAR) this.close();
    else this.store.patch({ pending: [...pending, at] });
    return { mode: "line", last: at, drawn: false };
  }

  move(to: Point): void {
    const gesture = this.#gesture;
    if (gesture === null) return;
    const { state } = this.store;
    switch (gesture.mode) {
      case "box": {
        const box = boxBetween(gesture.from, to);
        if (box === null) return;
        const shape: Shape = { form: "box", box };
        if (gesture.id === null) gesture.id = this.actions.addStroke({ kind: state.meaning, shape });
        else this.actions.changeStroke(gesture.id, { shape });
        return;
      }
      case "line":
        if (state.pending.length === 0 || state.pending.length >= MAX_CORNERS || distance(gesture.last, to) < APART) return;
        gesture.last = to;
        gesture.drawn = true;
        this.store.patch({ pending: [...state.pending, to] });
        return;
      case "move":
        this.actions.changeStroke(gesture.id, { shape: moveShape(gesture.shape, to.x - gesture.from.x, to.y - gesture.from.y) });
        return;
      case "resize": {
        const box = resizeBox(gesture.box, gesture.handle, to.x - gesture.from.x, to.y - gesture.from.y);
        this.actions.changeStroke(gesture.id, { shape: { form: "box", box } });
        return;
      }
      case "corner": {
        const { width, height } = this.#raster();
        const shape = closed(gesture.points.map((one, i) => (i === gesture.at ? to : one)), width, height);
        if (shape?.form === "polygon") this.actions.changeStroke(gesture.id, { shape });
        return;
      }
      case "paint": {
        const old = this.find(gesture.id);
        const onto = old?.shape.form === "mask" ? old.shape : this.#raster();
        const shape = brush(onto, gesture.last, to, state.radius, 1);
        gesture.last = to;
        if (gesture.id === null) gesture.id = this.actions.addStroke({ kind: state.meaning, shape });
        else this.actions.changeStroke(gesture.id, { shape });
        return;
      }
      case "erase":
        this.#erase(gesture.last, to);
        gesture.last = to;
    }
  }

  end(): void {
    const gesture = this.#gesture;
    if (gesture === null) return;
    this.#gesture = null;
    if (gesture.mode === "line" && gesture.drawn) this.close();
    this.actions.endGesture();
    this.store.patch({ drawing: this.store.state.pending.length > 0 });
    if ((gesture.mode === "box" || gesture.mode === "paint") && gesture.id !== null) this.onDrawn(gesture.id);
  }

  /** Make the corners set so far a polygon. */
  close(): void {
    const { pending, meaning } = this.store.state;
    if (pending.length === 0) return;
    const { width, height } = this.#raster();
    const points = pending.filter((one, i) => i === 0 || distance(one, pending[i - 1] ?? one) > 0.004);
    const shape = closed(points, width, height);
    this.store.patch({ pending: [], drawing: false });
    const id = shape === null ? null : this.actions.addStroke({ kind: meaning, shape });
    if (id !== null) this.onDrawn(id);
  }

  /** Leave what is being drawn. */
  cancel(): void {
    this.#gesture = null;
    this.actions.endGesture();
    this.store.patch({ pending: [], drawing: false });
  }

  /** A shape in the middle, for those who do not want to lead the tool. */
  centred(n: number): Shape {
    const [x0, y0, x1, y1] = moveBox([0.35, 0.35, 0.65, 0.65], (n % 5) * 0.04, (n % 5) * 0.04);
    const centre = { x: (x0 + x1) / 2, y: (y0 + y1) / 2 };
    const { tool } = this.store.state;
    if (tool === "brush") return brush(this.#raster(), centre, centre, 0.15, 1);
    if (tool !== "polygon") return { form: "box", box: [x0, y0, x1, y1] };
    const points = Array.from({ length: 6 }, (_, i) => ({ x: centre.x + 0.15 * Math.cos((i * Math.PI) / 3), y: centre.y + 0.15 * Math.sin((i * Math.PI) / 3) }));
    return closed(points, 1, 1) ?? { form: "box", box: [x0, y0, x1, y1] };
  }

  #erase(from: Point, to: Point): void {
    const { width, height } = this.#raster();
    for (const stroke of drawn(draftsOf(this.store.state))) {
      const before = rasterise(stroke.shape, width, height);
      const after = brush(before, from, to, this.store.state.radius, 0);
      if (after.cells.every((cell, i) => cell === before.cells[i])) continue;
      if (isEmpty(after)) this.actions.removeStroke(stroke.id);
      else this.actions.changeStroke(stroke.id, { shape: after });
    }
  }

  /** An empty mask of the picture's size, which the kernel expects of brushed cells. */
  #raster(): Mask {
    const explanation = shownExplanation(this.store.state);
    const width = Math.max(1, explanation?.width ?? 1);
    const height = Math.max(1, explanation?.height ?? 1);
    return { form: "mask", width, height, cells: new Uint8Array(width * height) };
  }
}
