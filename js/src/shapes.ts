// What can be drawn on a picture: a box, a polygon, or brushed cells of its raster. Each knows its
// outline, its bounds, how to move, and how it is written in a message.

import { boxBetween, clamp, moveBox, tidy, type Point } from "./geometry";
import type { Box, Roi } from "./protocol";
import type { Stroke } from "./state";

export interface Mask {
  form: "mask";
  width: number;
  height: number;
  cells: Uint8Array; // row by row, 1 inside
}

/** A region of what is no picture, as its message says it. */
export interface Mark {
  form: "mark";
  roi: Record<string, unknown>;
}

export type Shape =
  | { form: "box"; box: Box }
  | { form: "polygon"; points: readonly Point[] }
  | Mask;

/** Points of a polygon drawn by hand; more than the kernel needs for any picture. */
export const MAX_CORNERS = 200;

export function boundsOf(shape: Shape): Box {
  if (shape.form === "box") return shape.box;
  if (shape.form === "polygon") {
    const x = shape.points.map((one) => one.x);
    const y = shape.points.map((one) => one.y);
    return [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)];
  }
  const { width, height, cells } = shape;
  let [x0, y0, x1, y1] = [width, height, 0, 0];
  cells.forEach((inside, i) => {
    if (inside === 0) return;
    const x = i % width;
    const y = (i - x) / width;
    x0 = Math.min(x0, x);
    x1 = Math.max(x1, x + 1);
    y0 = Math.min(y0, y);
    y1 = Math.max(y1, y + 1);
  });
  return [x0 / width, y0 / height, x1 / width, y1 / height];
}

/** Lengths of the runs, row by row, outside and inside in turn, beginning with outside. */
export function runs(cells: Uint8Array): number[] {
  const lengths: number[] = [];
  let inside = 0;
  let from = 0;
  for (let i = 0; i <= cells.length; i++) {
    if (i < cells.length && cells[i] === inside) continue;
    lengths.push(i - from);
    from = i;
    inside = 1 - inside;
  }
  return lengths;
}

export function toRoi(shape: Shape | Mark): Roi {
  if (shape.form === "mark") return shape.roi;
  if (shape.form === "box") return [...shape.box];
  if (shape.form === "polygon") return { polygon: shape.points.map(({ x, y }) => [x, y]) };
  return { mask: { height: shape.height, width: shape.width, rle: runs(shape.cells) } };
}

/** A region of one of several inputs. */
export function ofPart(roi: Roi, part: string): Roi {
  return { ...(Array.isArray(roi) ? { box: roi } : roi), part };
}

/** A region as the ledger holds it; null where it is none that can be drawn. */
export function fromRoi(roi: Record<string, unknown>): Shape | null {
  const { box, polygon, mask } = roi as { box?: unknown; polygon?: unknown; mask?: { height: number; width: number; rle: unknown } | null };
  const numbers = (all: unknown, count?: number): all is number[] => Array.isArray(all) && all.length === (count ?? all.length) && all.every(Number.isFinite);
  if (numbers(box, 4)) return { form: "box", box: box as unknown as Box };
  if (Array.isArray(polygon)) {
    const points = polygon.map((one: unknown) => (numbers(one, 2) ? { x: one[0] ?? 0, y: one[1] ?? 0 } : null)).filter((one) => one !== null);
    return points.length === polygon.length ? { form: "polygon", points } : null;
  }
  if (!(mask && mask.height > 0 && mask.width > 0 && mask.height * mask.width <= 1 << 24) || !numbers(mask.rle)) return null;
  const cells = new Uint8Array(mask.height * mask.width);
  let at = 0;
  mask.rle.forEach((length, i) => {
    if (i % 2 === 1) cells.fill(1, at, at + length);
    at += length;
  });
  return { form: "mask", width: mask.width, height: mask.height, cells };
}

/** Those that are drawn on a picture. */
export function drawn(strokes: readonly Stroke[]): Stroke<Shape>[] {
  return strokes.filter((one): one is Stroke<Shape> => one.shape.form !== "mark");
}

const n = (value: number): string => String(tidy(value));

/** The shape as an SVG path in fractions of the picture: its area, and of a mask its rim. */
export function pathOf(shape: Shape): { area: string; rim: string } {
  if (shape.form === "box") {
    const [x0, y0, x1, y1] = shape.box;
    const area = `M${n(x0)} ${n(y0)}H${n(x1)}V${n(y1)}H${n(x0)}Z`;
    return { area, rim: area };
  }
  if (shape.form === "polygon") {
    const area = `M${shape.points.map(({ x, y }) => `${n(x)} ${n(y)}`).join("L")}Z`;
    return { area, rim: area };
  }
  const { width, height, cells } = shape;
  const at = (x: number, y: number): number => (x < 0 || y < 0 || x >= width || y >= height ? 0 : (cells[y * width + x] ?? 0));
  let area = "";
  let rim = "";
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      if (at(x, y) === 1 && at(x - 1, y) === 0) {
        let end = x;
        while (at(end, y) === 1) end++;
        area += `M${n(x / width)} ${n(y / height)}H${n(end / width)}V${n((y + 1) / height)}H${n(x / width)}Z`;
      }
      if (at(x, y) !== at(x - 1, y)) rim += `M${n(x / width)} ${n(y / height)}V${n((y + 1) / height)}`;
      if (at(x, y) !== at(x, y - 1)) rim += `M${n(x / width)} ${n(y / height)}H${n((x + 1) / width)}`;
    }
  }
  return { area, rim };
}

export function moveShape(shape: Shape, dx: number, dy: number): Shape {
  if (shape.form === "box") return { form: "box", box: moveBox(shape.box, dx, dy) };
  const [x0, y0, x1, y1] = boundsOf(shape);
  const byX = clamp(dx, -x0, 1 - x1);
  const byY = clamp(dy, -y0, 1 - y1);
  if (shape.form === "polygon") {
    return { form: "polygon", points: shape.points.map(({ x, y }) => ({ x: tidy(clamp(x + byX)), y: tidy(clamp(y + byY)) })) };
  }
  const { width, height, cells } = shape;
  const right = Math.round(byX * width);
  const down = Math.round(byY * height);
  const moved = new Uint8Array(cells.length);
  cells.forEach((inside, i) => {
    if (inside === 1) moved[i + down * width + right] = 1;
  });
  return { form: "mask", width, height, cells: moved };
}

/** Cells of a raster whose centre lies inside the shape. */
export function rasterise(shape: Shape, width: number, height: number): Mask {
  if (shape.form === "mask" && shape.width === width && shape.height === height) return { ...shape, cells: shape.cells.slice() };
  const cells = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      if (contains(shape, { x: (column + 0.5) / width, y: (row + 0.5) / height })) cells[row * width + column] = 1;
    }
  }
  return { form: "mask", width, height, cells };
}

export function contains(shape: Shape, { x, y }: Point): boolean {
  if (shape.form === "box") {
    const [x0, y0, x1, y1] = shape.box;
    return x >= x0 && x < x1 && y >= y0 && y < y1;
  }
  if (shape.form === "mask") {
    const column = Math.min(shape.width - 1, Math.floor(x * shape.width));
    const row = Math.min(shape.height - 1, Math.floor(y * shape.height));
    return shape.cells[row * shape.width + column] === 1;
  }
  let inside = false;
  const { points } = shape;
  points.forEach((a, i) => {
    const b = points[(i + 1) % points.length] ?? a;
    if (a.y <= y !== b.y <= y && x >= a.x + (y - a.y) * ((b.x - a.x) / (b.y - a.y))) inside = !inside;
  });
  return inside;
}

/** A copy of the mask with the cells within `radius` (a share of the longer side) of the line set to `value`. */
export function brush(mask: Mask, from: Point, to: Point, radius: number, value: 0 | 1): Mask {
  const { width, height } = mask;
  const cells = mask.cells.slice();
  const r = radius * Math.max(width, height);
  const length = Math.hypot((to.x - from.x) * width, (to.y - from.y) * height);
  const stops = Math.max(1, Math.ceil(length / Math.max(r / 2, 0.5)));
  for (let stop = 0; stop <= stops; stop++) {
    const cx = (from.x + ((to.x - from.x) * stop) / stops) * width;
    const cy = (from.y + ((to.y - from.y) * stop) / stops) * height;
    for (let y = Math.max(0, Math.floor(cy - r)); y <= Math.min(height - 1, cy + r); y++) {
      for (let x = Math.max(0, Math.floor(cx - r)); x <= Math.min(width - 1, cx + r); x++) {
        // the cell under the pointer always counts, however thin the brush
        const under = Math.floor(cx) === x && Math.floor(cy) === y;
        if (under || Math.hypot(x + 0.5 - cx, y + 0.5 - cy) <= r) cells[y * width + x] = value;
      }
    }
  }
  return { ...mask, cells };
}

export function isEmpty(mask: Mask): boolean {
  return !mask.cells.includes(1);
}

/** Whether two edges of the closed line cross. */
export function crosses(points: readonly Point[]): boolean {
  const side = (a: Point, b: Point, c: Point): number => Math.sign((b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x));
  const count = points.length;
  const corner = (i: number): Point => points[i % count] ?? { x: 0, y: 0 };
  for (let i = 0; i < count; i++) {
    for (let j = i + 2; j < count; j++) {
      const [a, b, c, d] = [corner(i), corner(i + 1), corner(j), corner(j + 1)];
      if (side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0) return true;
    }
  }
  return false;
}

/** A closed line as a shape: a polygon, or brushed cells where it crosses itself; null where it holds nothing. */
export function closed(points: readonly Point[], width: number, height: number): Shape | null {
  const polygon: Shape = { form: "polygon", points: points.map(({ x, y }) => ({ x: tidy(clamp(x)), y: tidy(clamp(y)) })) };
  const [x0, y0, x1, y1] = boundsOf(polygon);
  if (points.length < 3 || boxBetween({ x: x0, y: y0 }, { x: x1, y: y1 }) === null) return null;
  if (!crosses(points)) return polygon;
  const mask = rasterise(polygon, width, height);
  return isEmpty(mask) ? null : mask;
}
