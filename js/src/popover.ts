// A panel that a button opens over what lies beneath it: nothing moves aside for it.

import { focusedBeside, h, setAttr } from "./dom";

export interface Popover {
  el: HTMLElement;
  panel: HTMLElement;
  close: () => void;
}

/** `opener` shows and hides a panel of these children; Escape, and a click elsewhere, shut it. */
export function createPopover(opener: HTMLButtonElement, label: string, name: string, signal: AbortSignal, ...children: (Node | string)[]): Popover {
  const panel = h("div", { class: `cw-popover ${name}`, role: "group", "aria-label": label }, ...children);
  const el = h("div", { class: "cw-popover-place" }, opener, panel);
  // Not by `hidden`: where there is room a panel may stand open all the time.
  let shown = false;
  const show = (open: boolean): void => {
    shown = open;
    setAttr(panel, "data-open", open);
    setAttr(opener, "aria-expanded", String(open));
  };
  show(false);
  opener.addEventListener("click", () => {
    show(!shown);
  }, { signal });
  const inside = (one: EventTarget | null | undefined): boolean => one instanceof Node && el.contains(one);
  // In a shadow tree, as marimo's, the document hears only of the host: the path tells the rest.
  document.addEventListener("pointerdown", (event) => {
    if (shown && !inside(event.composedPath()[0])) show(false);
  }, { signal, capture: true });
  el.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !shown) return;
    event.stopPropagation();
    event.preventDefault();
    const had = panel.contains(focusedBeside(panel));
    show(false);
    if (had) opener.focus();
  }, { signal });
  return {
    el,
    panel,
    close: () => {
      show(false);
    },
  };
}
