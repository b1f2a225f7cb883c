// The dashboard's own words have room at every width; a saved page knows what was, a dialog begins at its top.
import "../src/style.css";
import "../src/parts.css";
import "../src/kinds.css";
import { describe, expect, it } from "vitest";
import createWidget from "../src/widget";
import { buffers, raw } from "./fixtures";
import { frame, get, mountEach, press } from "./mounted";
import { settle, TestModel } from "./model";

mountEach();
const WORDS = "button, label, summary, h3, h4, .cw-stat-word, .cw-legend-item, .cw-labelled, .cw-feature-head > span";
/** Names of the data may be shortened. */
const NAMES = ".cw-card, .cw-class-choose, .cw-jump, .cw-mark, .cw-knob-layer *, .cw-crops, .cw-hit";

/** Those of the dashboard's own words that are wider than their place. */
function cut(root: HTMLElement): string[] {
  return [...root.querySelectorAll<HTMLElement>(WORDS)]
    .filter((e) => !e.matches(NAMES) && e.clientWidth > 0 && e.textContent.trim() !== "" && e.checkVisibility({ visibilityProperty: true }))
    .filter((e) => e.scrollWidth > e.clientWidth + 1)
    .map((e) => `${e.className} “${e.textContent.trim()}”: ${e.scrollWidth} in ${e.clientWidth}`);
}

describe("room", () => {
  it.each([1584, 1180, 984, 834, 284, 250])("there is enough of it for every word at %i px", async (width) => {
    const root = get("cw-root");
    root.style.width = `${width}px`;
    for (const one of root.querySelectorAll("details")) one.open = true;
    await settle(400);
    expect(get("cw-knob").clientWidth + get("cw-tab-ledger").clientWidth).toBeGreaterThan(0);
    for (const tab of ["look", "list", "charts", "ledger"]) {
      get(`cw-tab-${tab}`).click();
      await settle(300);
      expect(cut(root)).toEqual([]);
    }
  });
});

describe("the knobs", () => {
  it("open over the ledger and move nothing; Escape closes them", async () => {
    const root = get("cw-root");
    root.style.width = "1180px";
    await settle(400);
    const knobs = root.querySelector<HTMLDetailsElement>(".cw-knob-panel");
    const tops = (): number[] => [...root.querySelectorAll(".cw-ledger > *, [data-testid='cw-ledger-item']")].filter((one) => one !== knobs).map((one) => one.getBoundingClientRect().top);
    const before = tops();
    knobs?.querySelector("summary")?.click();
    await settle(100);
    expect(knobs?.open).toBe(true);
    expect(get("cw-knob-values").checkVisibility()).toBe(true);
    expect(tops()).toEqual(before);
    press(get("cw-knob-values"), "Escape");
    expect(knobs?.open).toBe(false);
    expect(document.activeElement).toBe(knobs?.querySelector("summary"));
  });
});

describe("a dialog", () => {
  it("opens at its beginning, however long it is", async () => {
    press(get("cw-root"), "?", { shiftKey: true });
    await frame();
    const dialog = get("cw-help-dialog");
    dialog.style.maxHeight = "200px";
    (dialog as HTMLDialogElement).close();
    press(get("cw-root"), "?", { shiftKey: true });
    await frame();
    expect(dialog.scrollHeight).toBeGreaterThan(dialog.clientHeight);
    expect(dialog.scrollTop).toBe(0);
    expect(document.activeElement).toBe(dialog);
    (dialog as HTMLDialogElement).close();
  });
});

describe("a saved page", () => {
  it("says what was under way, and tells no time that is left", async () => {
    const { status } = raw.updateFull.message;
    for (const [state, word] of [["training", "Was training"], ["paused", "Was paused"], ["finished", "Finished"]] as const) {
      const test = new TestModel();
      test.state["_controls"] = "";
      test.state["_snapshot"] = { update: { ...raw.updateFull.message, status: { ...status, state } }, buffers: buffers(raw.updateFull) };
      const widget = createWidget();
      const stop = widget.initialize({ model: test.model });
      const el = document.body.appendChild(document.createElement("div"));
      const remove = widget.render({ model: { ...test.model }, el });
      await settle(400);
      expect(el.querySelector("[data-testid=cw-connection]")?.textContent).toBe("saved view");
      expect(el.querySelector("[data-testid=cw-state]")?.textContent).toBe(word);
      expect(el.querySelector(".cw-fact-value")?.textContent).toBe(""); // time left
      remove();
      stop();
      el.remove();
    }
  });
});
