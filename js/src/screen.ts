// How much room a view takes: as high as it is by itself, as a person pulls it, or the whole screen.

import { h, setAttr, setVar } from "./dom";

/** Pixels: the least height of a view, and what an arrow key adds to it. */
const [LEAST, STEP] = [360, 24];

export interface Screen {
  handle: HTMLElement;
  /** Whether the page lets a part of it fill the screen. */
  possible: boolean;
  toggle: () => void;
}

export function createScreen(root: HTMLElement, signal: AbortSignal): Screen {
  const handle = h("div", {
    class: "cw-resize", testid: "cw-resize", role: "separator", tabindex: 0, "aria-orientation": "horizontal", "aria-valuemin": LEAST,
    "aria-label": "Height of the dashboard: arrow keys or a drag change it, a double click sets it back", title: "Drag to make it higher or lower; double click sets it back",
  });
  const height = (): number => Math.round(root.getBoundingClientRect().height);
  const most = (): number => Math.max(LEAST, Math.round(window.innerHeight * 0.95));
  const set = (pixels: number | null): void => {
    if (pixels === null) root.style.removeProperty("--cw-height");
    else setVar(root, "--cw-height", `${Math.min(Math.max(pixels, LEAST), most())}px`);
    setAttr(handle, "aria-valuenow", height());
    setAttr(handle, "aria-valuemax", most());
  };
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    const [from, before] = [event.clientY, height()];
    handle.onpointermove = (move) => {
      set(before + move.clientY - from);
    };
    handle.onlostpointercapture = () => {
      handle.onpointermove = null;
    };
  }, { signal });
  handle.addEventListener("dblclick", () => {
    set(null);
  }, { signal });
  handle.addEventListener("keydown", (event) => {
    const by = { ArrowDown: STEP, ArrowUp: -STEP, PageDown: 5 * STEP, PageUp: -5 * STEP }[event.key];
    if (by === undefined && event.key !== "Home") return;
    set(by === undefined ? null : height() + by);
    event.preventDefault();
    event.stopPropagation();
  }, { signal });
  handle.addEventListener("focus", () => {
    setAttr(handle, "aria-valuenow", height());
    setAttr(handle, "aria-valuemax", most());
  }, { signal });
  setAttr(handle, "aria-valuenow", LEAST);

  const isFull = (): boolean => root.matches(":fullscreen");
  root.addEventListener("fullscreenchange", () => {
    setAttr(root, "data-full", isFull());
  }, { signal });
  return {
    handle,
    possible: typeof root.requestFullscreen === "function" && document.fullscreenEnabled,
    toggle: () => {
      // A page may refuse; then the view stays as it is.
      (isFull() ? document.exitFullscreen() : root.requestFullscreen()).catch(() => undefined);
    },
  };
}
