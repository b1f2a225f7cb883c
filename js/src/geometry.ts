// Boxes on the picture: fractions of its width and height, origin top left, always inside it.

import type { Box } from "./protocol";

export interface Point {
  x: number;
  y: number;
}

/** Smallest side of a box; also how far a pointer must travel to mean a box. */
export const MIN_SIDE = 0.02;

/** Corner or edge being pulled: which of the four numbers of a box it moves. */
export type Handle = "nw" | "n" | "ne" | "e" | "se" | "s" | "sw" | "w";
export const HANDLES: readonly Handle[] = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];

export function clamp(value: number, low = 0, high = 1): number {
  return Math.min(high, Math.max(low, value));
}

export function tidy(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}

/** Box between two corners in any order; null where the drag was too short to mean one. */
export function boxBetween(a: Point, b: Point): Box | null {
  const x0 = clamp(Math.min(a.x, b.x));
  const x1 = clamp(Math.max(a.x, b.x));
  const y0 = clamp(Math.min(a.y, b.y));
  const y1 = clamp(Math.max(a.y, b.y));
  if (x1 - x0 < MIN_SIDE || y1 - y0 < MIN_SIDE) return null;
  return [tidy(x0), tidy(y0), tidy(x1), tidy(y1)];
}

/** The box moved as far as the picture allows; its size stays. */
export function moveBox(box: Box, dx: number, dy: number): Box {
  const [x0, y0, x1, y1] = box;
  const shiftX = clamp(dx, -x0, 1 - x1);
  const shiftY = clamp(dy, -y0, 1 - y1);
  return [tidy(x0 + shiftX), tidy(y0 + shiftY), tidy(x1 + shiftX), tidy(y1 + shiftY)];
}

/** The box with one handle pulled; sides neither cross nor leave the picture. */
export function resizeBox(box: Box, handle: Handle, dx: number, dy: number): Box {
  let [x0, y0, x1, y1] = box;
  if (handle.includes("w")) x0 = clamp(x0 + dx, 0, x1 - MIN_SIDE);
  if (handle.includes("e")) x1 = clamp(x1 + dx, x0 + MIN_SIDE, 1);
  if (handle.includes("n")) y0 = clamp(y0 + dy, 0, y1 - MIN_SIDE);
  if (handle.includes("s")) y1 = clamp(y1 + dy, y0 + MIN_SIDE, 1);
  return [tidy(x0), tidy(y0), tidy(x1), tidy(y1)];
}

/** Where the handle of a box sits. */
export function handleAt(box: Box, handle: Handle): Point {
  const [x0, y0, x1, y1] = box;
  return {
    x: handle.includes("w") ? x0 : handle.includes("e") ? x1 : (x0 + x1) / 2,
    y: handle.includes("n") ? y0 : handle.includes("s") ? y1 : (y0 + y1) / 2,
  };
}

/** A centred box for those who draw by keyboard; the n-th one is a little lower and further right. */
export function centredBox(n: number): Box {
  const shift = (n % 5) * 0.04;
  return moveBox([0.35, 0.35, 0.65, 0.65], shift, shift);
}

/** Position in words: "upper left", "centre", "right". */
export function placeName(box: Box): string {
  const x = (box[0] + box[2]) / 2;
  const y = (box[1] + box[3]) / 2;
  const across = x < 1 / 3 ? "left" : x > 2 / 3 ? "right" : "";
  const down = y < 1 / 3 ? "upper" : y > 2 / 3 ? "lower" : "";
  if (down !== "" && across !== "") return `${down} ${across}`;
  if (across !== "") return across;
  return down === "" ? "centre" : down === "upper" ? "top" : "bottom";
}
