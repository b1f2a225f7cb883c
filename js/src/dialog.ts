// A dialog over the dashboard: the list of keys, a text that has no room in its line.

import { button, h, setText } from "./dom";

export interface Dialog {
  el: HTMLDialogElement;
  open: () => void;
}

/** Close a dialog by a press beside it; not in its own padding, nor where a drag or a selection only ends there. */
export function closeBeside(el: HTMLDialogElement, signal: AbortSignal): void {
  let began = false; // beside it
  const beside = (event: MouseEvent): boolean => {
    const { left, top, right, bottom } = el.getBoundingClientRect();
    return event.target === el && (event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom);
  };
  el.addEventListener("pointerdown", (event) => {
    began = beside(event);
  }, { signal });
  el.addEventListener("click", (event) => {
    if (began && beside(event)) el.close();
    began = false;
  }, { signal });
}

export function createDialog(title: HTMLElement, testid: string, signal: AbortSignal, ...children: Node[]): Dialog {
  const close = button("Close", { class: "cw-button" });
  const el = h("dialog", { class: "cw-dialog", "aria-label": title.textContent, testid, tabindex: -1 }, title, ...children, close);
  close.addEventListener("click", () => {
    el.close();
  }, { signal });
  closeBeside(el, signal);
  return {
    el,
    open: () => {
      if (!el.open) el.showModal();
      el.focus(); // not the button at its end: it opens at its beginning
      el.scrollTop = 0;
    },
  };
}

/** A dialog that shows one text; `fixed` keeps its lines, as those of a traceback. */
export function createReader(signal: AbortSignal): { el: HTMLDialogElement; read: (title: string, text: string, fixed?: string) => void } {
  const title = h("h3", { class: "cw-title" }, "The whole text");
  const line = h("p", { class: "cw-read", dir: "auto" });
  const lines = h("pre", { class: "cw-trace", tabindex: 0 });
  const { el, open } = createDialog(title, "cw-reader", signal, line, lines);
  return {
    el,
    read(heading, text, fixed = "") {
      setText(title, heading);
      el.setAttribute("aria-label", heading);
      setText(line, text);
      setText(lines, fixed);
      lines.hidden = fixed === "";
      open();
    },
  };
}
