// A chart's frame: a drawing with axes, as wide as its place, drawn anew where that changes.

import { s } from "../dom";
import type { Scale } from "./scale";

export const HIGH = 250;
export const [LEFT, RIGHT, ABOVE, BELOW] = [58, 14, 12, 34];

export interface Frame {
  el: SVGSVGElement;
  width: () => number;
}

/** An empty drawing; `draw` is called at first, and whenever its width has changed. */
export function frame(label: string, draw: () => void, signal: AbortSignal): Frame {
  const el = s("svg", { class: "cr-chart", role: "img", "aria-label": label, height: HIGH });
  let width = 480;
  const observer = new ResizeObserver(() => {
    const now = Math.round(el.getBoundingClientRect().width);
    if (now === 0 || now === width) return;
    width = now;
    draw();
  });
  observer.observe(el);
  signal.addEventListener("abort", () => {
    observer.disconnect();
  });
  return { el, width: () => width };
}

/** Both axes with their marks, and what they are of. */
export function axes(width: number, x: Scale, y: Scale, xName: string, yName: string): SVGElement {
  const [right, bottom] = [width - RIGHT, HIGH - BELOW];
  const group = s("g", { class: "cr-axes" });
  for (const { at, label } of y.ticks) {
    const place = bottom - at * (bottom - ABOVE);
    group.append(s("path", { d: `M${LEFT} ${place}H${right}` }), s("text", { x: LEFT - 5, y: place + 3.5, "text-anchor": "end" }, cut(label, 9)));
  }
  let used = -Infinity;
  for (const { at, label } of x.ticks) {
    const place = LEFT + at * (right - LEFT);
    const half = 3 * Math.min(label.length, 14);
    if (place - half < used) continue; // it would stand on the one before
    used = place + half + 6;
    group.append(s("text", { x: Math.min(place, width - half - 1), y: bottom + 14, "text-anchor": "middle" }, cut(label, 14)));
  }
  group.append(
    s("path", { class: "cr-axis", d: `M${LEFT} ${ABOVE}V${bottom}H${right}` }),
    s("text", { class: "cr-axis-name", x: right, y: HIGH - 5, "text-anchor": "end" }, xName),
    s("title", {}, `${yName} against ${xName}`),
  );
  return group;
}

export function cut(label: string, most: number): string {
  return label.length > most ? `${label.slice(0, most - 1)}…` : label;
}

/** Where a pointer is, in the drawing's own pixels. */
export function placeIn(el: SVGSVGElement, event: MouseEvent): [number, number] {
  const box = el.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}
