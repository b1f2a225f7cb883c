// Keys that work anywhere in the dashboard outside its text fields, and the dialog that lists them.

import { createDialog } from "./dialog";
import { focusedBeside, h, setAttr, setText } from "./dom";
import { clamp } from "./geometry";
import { runText } from "./header";
import { MAPS } from "./looks";
import { hasMaps, isReachable, shownExplanation, timelineOf, type MapView, type Tab } from "./state";
import { RADII } from "./tools";
import type { Context, Part } from "./view";

const KEYS: readonly (readonly [string, string])[] = [
  ["P", "pause, resume, or train on after an end; with Shift: prove what was told last"],
  ["S", "one step, then hold; with Shift: to the end of the epoch"],
  ["N", "next sample of the list; with Shift: the one before"],
  ["D Q C K", "go to the sample, the list, the charts, the ledger; Shift K: go on from a branch of a proof"],
  ["Y", "do what the line under the header offers; of a finding, or with Shift F: see it"],
  ["L I", "strokes say “look here”, “ignore this”"],
  ["B G U E", "box, polygon, brush, eraser"],
  ["[ ]", "smaller, larger brush"],
  ["A", "add a stroke in the middle of the picture"],
  ["Enter", "submit the strokes and the sentence"],
  ["X", "undo what was told last; what was told before, by a second press"],
  ["R W", "the frame is the right reason, the wrong reason"],
  ["Ctrl+Z", "take back a change of the drawing; with Shift: redo"],
  ["V", "outlines of ground truth and prediction, where each pixel has a class; a click there, or Enter at the cross, explains the region"],
  ["1 2 3 4 5", "each map alone, their consensus, side by side, no map"],
  [", .", "earlier, later map of this sample"],
  ["O", "look now, whatever the lists wait for"],
  ["/", "go to the line for a sentence; F to the search"],
  ["Esc", "leave a field, a panel, what is being drawn"],
  ["?", "this list"],
  ["Arrows", "on the picture: lead the tool; Space sets it down and lifts it, Enter closes a polygon"],
  ["Arrows", "on words, curves, features: move; Shift or Space chooses several, Space marks, Delete takes a mark away"],
  ["+ - 0", "on curves: closer, further, all; Ctrl and the wheel too, and a drag with Shift moves them"],
  ["Arrows", "on a stroke: move it; with Shift: resize a box; Delete removes it"],
  ["Arrows", "in a list: step; Enter opens the sample"],
  ["Up Down", "in the line for a sentence: earlier ones"],
  ["Shift", "while dragging on a chart: move it, as the middle button does; without: choose a stretch"],
];

export function createHelp({ signal }: Context): Part & { el: HTMLDialogElement; open: () => void } {
  const rows = KEYS.flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]);
  const run = h("p", { class: "cw-note", testid: "cw-run" });
  const { el, open } = createDialog(h("h3", { class: "cw-title" }, "Keys"), "cw-help-dialog", signal, h("dl", { class: "cw-keys" }, ...rows), run);
  return {
    el,
    open,
    keys: ["status"],
    update({ status }) {
      setText(run, status === null ? "" : runText(status));
    },
  };
}

const TOOL_KEYS: Record<string, string> = { b: "box", g: "polygon", u: "brush", e: "eraser" };

function isField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || (target instanceof HTMLInputElement && target.type !== "range");
}

/** Listen for the dashboard's keys; none of them reaches the page around it. */
export function listenForKeys({ root, store, actions, signal, ask, keep }: Context, openHelp: () => void): void {
  const click = (testid: string): boolean => {
    const control = root.querySelector<HTMLButtonElement>(`[data-testid="${testid}"]`);
    if (!control?.offsetParent) return false; // what cannot be seen cannot be pressed
    control.click();
    return true;
  };
  const show = (map: MapView): void => {
    const explanation = shownExplanation(store.state);
    if (map === "off" || (explanation !== null && (map === "all" ? hasMaps(explanation) : explanation.maps[map] !== null))) store.patch({ map });
  };
  /** Go to a part of the view, and bring it out where it stands behind a tab. */
  const go = (tab: Tab, ...where: readonly string[]): void => {
    store.patch({ tab });
    store.flush();
    const found = where.map((one) => root.querySelector<HTMLElement>(one)).find((one) => one !== null);
    found?.focus();
  };
  /**
   * Where the line under the picture speaks of something else, the ledger's own Undo: pressed where it is seen and the newest
   * entry's, or has the focus; else brought out, because what was told long ago may be of another sample.
   */
  const undo = (): void => {
    const { ledger, echo } = store.state;
    const id = ledger.filter((item) => !item.undone).at(-1)?.id;
    if (id === undefined || echo?.level === "busy" || !isReachable(store.state)) return;
    const entries = [...root.querySelectorAll<HTMLElement>("[data-testid='cw-ledger-item']")];
    const control = entries.find((one) => one.dataset["id"] === id)?.querySelector<HTMLButtonElement>(".cw-undo");
    if (control?.offsetParent && (ledger.at(-1)?.id === id || focusedBeside(control) === control)) {
      control.click();
      return;
    }
    store.patch({ tab: "ledger" });
    store.flush();
    control?.focus();
  };
  const run = (key: string, shift: boolean): boolean => {
    const map = MAPS[Number(key) - 1];
    if (map) show(map[0]);
    else if (key === "p" && shift) void actions.prove();
    else if (key === "p") void actions.pauseOrResume();
    else if (key === "s") void actions.advance(shift ? "epoch" : "step");
    else if (key === "l") store.patch({ meaning: "look" });
    else if (key === "i") store.patch({ meaning: "ignore" });
    else if (key === "a") click("cw-add-box");
    else if (key === "d") go("look", ".cw-place:not([hidden]) [tabindex='0']");
    else if (key === "q") go("list", ".cw-cards:not([hidden]) [data-index]:not([tabindex='-1'])", ".cw-alike-page:not([hidden]) .cw-hit", "[data-testid='cw-search']");
    else if (key === "f" && shift) ask();
    else if (key === "f") go("list", "[data-testid='cw-search']");
    else if (key === "c") go("charts", ".cw-chart");
    else if (key === "k" && shift) keep();
    else if (key === "k") go("ledger", ".cw-entry button:not([hidden], :disabled)");
    else if (key === "y") click("cw-coach-act");
    else if (key === "x") { if (!click("cw-undo-told")) undo(); }
    else if (key === "enter") {
      if (!actions.canSubmit()) return false;
      click("cw-submit");
    } else if (key === "o") {
      if (store.state.window?.open === false) void actions.send({ kind: "open_window" });
    }
    else if (key === "v") store.patch({ outlines: !store.state.outlines });
    else if (key in TOOL_KEYS) click(`cw-shape-${TOOL_KEYS[key] ?? ""}`);
    else if (key === "[" || key === "]") store.patch({ radius: clamp(store.state.radius + (key === "[" ? -0.02 : 0.02), ...RADII) });
    else if (key === "n") void actions.step(shift ? -1 : 1);
    else if (key === "r" || key === "w") void actions.judgeReason(key === "r");
    else if (key === "," || key === ".") {
      const steps = timelineOf(store.state).map((one) => one.step);
      const here = store.state.at === null ? steps.length - 1 : steps.indexOf(store.state.at);
      const to = here + (key === "," ? -1 : 1);
      if (steps[to] !== undefined) actions.scrub(to === steps.length - 1 ? null : steps[to]);
    } else if (key === "/") go("look", "[data-testid='cw-instruction']");
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
    if (event.key === "Escape" && isField(event.target) && !event.isComposing) {
      root.focus({ preventScroll: true });
      return;
    }
    if (event.key === "Escape" && store.state.sure) store.patch({ sure: false });
    // What has the focus and is pressed by Enter is pressed, and nothing else.
    if (event.key === "Enter" && focusedBeside(root)?.closest("button, a, summary")) return;
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
