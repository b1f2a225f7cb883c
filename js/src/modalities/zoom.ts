// A stretch of a long series that is looked at, in fractions of the whole: zoomed, moved.

import { clamp } from "../geometry";

export type Span = readonly [number, number];

export const WHOLE: Span = [0, 1];
const FEWEST = 8; // steps that are seen at most zoomed

/** The stretch `times` as wide (below 1: closer), with the place `about` where it is on the screen. */
export function zoomed([from, to]: Span, times: number, about: number, length: number): Span {
  const width = Math.min(1, Math.max((to - from) * times, Math.min(1, FEWEST / Math.max(length, 1))));
  const share = (clamp(about) - from) / (to - from);
  const first = Math.min(Math.max(clamp(about) - share * width, 0), 1 - width);
  return width === 1 ? WHOLE : [first, first + width];
}

/** The stretch, moved by a fraction of the whole as far as there is something. */
export function moved([from, to]: Span, by: number): Span {
  const first = Math.min(Math.max(from + by, 0), 1 - (to - from));
  return [first, first + to - from];
}

/** The stretch, moved just so far that a place is in it. */
export function holding(span: Span, place: number): Span {
  return place < span[0] ? moved(span, place - span[0]) : place > span[1] ? moved(span, place - span[1]) : span;
}
