// The few small pictures on buttons, drawn as lines so that they take the text's colour.

import { s, setAttr } from "./dom";

const PATHS = {
  box: "M2.5 3.5h11v9h-11z",
  polygon: "M8 2l5.5 4.2-2 7h-7l-2-7z",
  brush: "M13.5 2.5L7 9M6.5 8.5c-2 0-2 2-2.6 3.2-.3.7-.9 1.2-1.6 1.5 2.7.6 5.7.2 5.7-2.6",
  eraser: "M6.5 13.5h7M3 10l5.5-6.5 4.5 4L7.5 13.5h-2z",
  undo: "M5.5 3L2.5 6l3 3M3 6h6.5a3.5 3.5 0 010 7H6",
  redo: "M10.5 3l3 3-3 3M13 6H6.5a3.5 3.5 0 000 7H10",
  remove: "M3.5 4.5h9M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9",
  left: "M10 3L5 8l5 5",
  right: "M6 3l5 5-5 5",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3l8 5-8 5z",
  stop: "M4 4h8v8H4z",
  save: "M8 2.5v7M5 7l3 3 3-3M3 12.5v1h10v-1",
  full: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  help: "M6 6.2a2 2 0 113 1.7c-.7.4-1 .8-1 1.6M8 12v.3",
  gear: "M2 4.5h7M12 4.5h2M2 11.5h2M7 11.5h7M9 2.5v4M4 9.5v4",
} as const;

export type IconName = keyof typeof PATHS;

export function icon(name: IconName): SVGSVGElement {
  return s("svg", { class: "cw-svg-icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: PATHS[name] }));
}

/** Make an icon another one. */
export function setIcon(svg: Element, name: IconName): void {
  const path = svg.firstElementChild;
  if (path) setAttr(path, "d", PATHS[name]);
}
