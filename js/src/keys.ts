// Keys that work anywhere in the dashboard outside its text fields, and the dialog that lists them.

import { button, h, setAttr } from "./dom";
import { MAPS } from "./focus";
import { clamp } from "./geometry";
import { timelineOf } from "./state";
import { RADII } from "./tools";
import type { Context } from "./view";

const KEYS: readonly (readonly [string, string])[] = [
  ["P", "pause or resume"],
  ["S", "one step, then hold; with Shift: to the end of the epoch"],
  ["L I", "strokes say “look here”, “ignore this”"],
  ["B G U E", "box, polygon, brush, eraser"],
  ["[ ]", "smaller, larger brush"],
  ["A", "add a stroke in the middle of the picture"],
  ["Ctrl+Z", "take back a change of the drawing; with Shift: redo"],
  ["1 2 3 4 5", "LiveCAM, SmoothGrad, Consensus, side by side, no map"],
  ["N", "next candidate; with Shift: the one before"],
  [", .", "earlier, later map of this sample"],
  ["F O", "list what will fail soon and is still right; open the review window"],
  ["R W", "the model looks for the right reason, the wrong reason"],
  ["Shift", "while dragging on a chart: move it, as the middle button does; without: choose a stretch"],
  ["/", "go to the instruction line"],
  ["?", "this list"],
  ["Arrows", "on the picture: lead the tool; Space sets it down and lifts it, Enter closes a polygon"],
  ["Arrows", "on a stroke: move it; with Shift: resize a box"],
  ["Delete", "on a stroke: remove it"],
  ["Up Down", "in the queue: next sample; Enter explains it"],
  ["Up Down", "in the instruction line: earlier instructions"],
  ["Enter", "in the instruction line: send, with the strokes"],
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

const TOOL_KEYS: Record<string, string> = { b: "box", g: "polygon", u: "brush", e: "eraser" };

function isField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || (target instanceof HTMLInputElement && target.type !== "range");
}

/** Listen for the dashboard's keys; none of them reaches the page around it. */
export function listenForKeys({ root, store, actions, signal }: Context, openHelp: () => void): void {
  const click = (testid: string): void => {
    const control = root.querySelector<HTMLButtonElement>(`[data-testid="${testid}"]`);
    if (control?.offsetParent) control.click(); // what cannot be seen cannot be pressed
  };
  const run = (key: string, shift: boolean): boolean => {
    const map = MAPS[Number(key) - 1];
    if (map) click(`cw-map-${map[0]}`);
    else if (key === "p") void actions.pauseOrResume();
    else if (key === "s") void actions.advance(shift ? "epoch" : "step");
    else if (key === "l") store.patch({ meaning: "look" });
    else if (key === "i") store.patch({ meaning: "ignore" });
    else if (key === "a") click("cw-add-box");
    else if (key === "f") click("cw-onset");
    else if (key === "o") click("cw-open-window");
    else if (key in TOOL_KEYS) click(`cw-shape-${TOOL_KEYS[key] ?? ""}`);
    else if (key === "[" || key === "]") store.patch({ radius: clamp(store.state.radius + (key === "[" ? -0.02 : 0.02), ...RADII) });
    else if (key === "n") void actions.step(shift ? -1 : 1);
    else if (key === "r" || key === "w") void actions.judgeReason(key === "r");
    else if (key === "," || key === ".") {
      const steps = timelineOf(store.state).map((one) => one.step);
      const here = store.state.at === null ? steps.length - 1 : steps.indexOf(store.state.at);
      const to = here + (key === "," ? -1 : 1);
      if (steps[to] !== undefined) actions.scrub(to === steps.length - 1 ? null : steps[to]);
    } else if (key === "/") root.querySelector<HTMLElement>("[data-testid='cw-instruction']")?.focus();
    else if (key === "?") openHelp();
    else return false;
    return true;
  };
  // The notebook has shortcuts of its own on many of these keys, and hears them before the dashboard does.
  // It is left those of a letter with Ctrl that mean nothing here, as saving is.
  const left = (event: KeyboardEvent): boolean => (event.ctrlKey || event.metaKey) && /^[^acvxyz]$/i.test(event.key);
  window.addEventListener("keydown", (event) => {
    setAttr(root, "data-lm-suppress-shortcuts", left(event) ? null : "true");
  }, { signal, capture: true });
  root.addEventListener("keydown", (event) => {
    if (left(event)) return;
    event.stopPropagation();
    if (isField(event.target) || event.altKey || root.querySelector("dialog[open]") !== null) return;
    if (event.ctrlKey || event.metaKey) {
      const key = event.key.toLowerCase();
      if (key !== "z" && key !== "y") return;
      event.preventDefault();
      actions.undoDrawing(key === "z" && !event.shiftKey);
      return;
    }
    if (event.repeat) return;
    if (run(event.key.toLowerCase(), event.shiftKey)) event.preventDefault();
  }, { signal });
}
