// Keys that work anywhere in the dashboard outside its text fields, and the dialog that lists them.

import { button, h } from "./dom";
import { MAPS } from "./focus";
import type { Context } from "./view";

const KEYS: readonly (readonly [string, string])[] = [
  ["P", "pause or resume"],
  ["L / I", "boxes say “look here” / “ignore this”"],
  ["B", "add a box in the middle of the picture"],
  ["1 2 3 4", "LiveCAM, SmoothGrad, Consensus, no map"],
  ["/", "go to the instruction line"],
  ["?", "this list"],
  ["Arrows", "on a box: move it; with Shift: resize it"],
  ["Delete", "on a box: remove it"],
  ["Up Down", "in the queue: next sample; Enter explains it"],
  ["Up Down", "in the instruction line: earlier instructions"],
  ["Enter", "in the instruction line: send, with the boxes"],
];

export function createHelp({ signal }: Context): { el: HTMLDialogElement; open: () => void } {
  const close = button("Close", { class: "cw-button" });
  const rows = KEYS.flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]);
  const el = h("dialog", { class: "cw-help", "aria-label": "Keys", testid: "cw-help-dialog" },
    h("h3", { class: "cw-title" }, "Keys"), h("dl", { class: "cw-keys" }, ...rows), close);
  close.addEventListener("click", () => {
    el.close();
  }, { signal });
  el.addEventListener("click", (event) => {
    if (event.target === el) el.close(); // the backdrop
  }, { signal });
  return {
    el,
    open: () => {
      if (!el.open) el.showModal();
    },
  };
}

function isField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target instanceof HTMLTextAreaElement || (target instanceof HTMLInputElement && target.type !== "range");
}

/** Listen for the dashboard's keys; none of them reaches the page around it. */
export function listenForKeys({ root, store, actions, signal }: Context, openHelp: () => void): void {
  const click = (testid: string): void => {
    root.querySelector<HTMLButtonElement>(`[data-testid="${testid}"]`)?.click();
  };
  const run = (key: string): boolean => {
    const map = MAPS[Number(key) - 1];
    if (map) click(`cw-map-${map[0]}`);
    else if (key === "p") void actions.pauseOrResume();
    else if (key === "l") store.patch({ tool: "look" });
    else if (key === "i") store.patch({ tool: "ignore" });
    else if (key === "b") click("cw-add-box");
    else if (key === "/") root.querySelector<HTMLElement>("[data-testid='cw-instruction']")?.focus();
    else if (key === "?") openHelp();
    else return false;
    return true;
  };
  root.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the notebook has shortcuts of its own on many of these keys
    if (isField(event.target) || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (root.querySelector("dialog[open]") !== null) return;
    if (run(event.key.toLowerCase())) event.preventDefault();
  }, { signal });
}
